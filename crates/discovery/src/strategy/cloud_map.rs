//! The instances of a Cloud Map service.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_servicediscovery::Client;
use aws_sdk_servicediscovery::types::{HealthStatusFilter, HttpInstanceSummary};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{Answer, Coverage, Peers, Strategy, StrategyError};
use crate::Naming;
use crate::aws::{Access, Expected, LeaveThrottled, NoHostPrefix, TaskMetadata, refusal};
use crate::naming::Namer;
use crate::spec::{SpecError, StrategySettings, one_or_many};

/// The strategy `cloudmap`: the instances registered with a Cloud Map service, named by their attributes.
///
/// Each poll is one `servicediscovery:DiscoverInstances`. Its answer is not paged: it can hold all instances of a
/// service.
#[derive(Debug)]
pub struct CloudMap {
    name: String,
    settings: CloudMapSettings,
    namer: Namer,
    attributes: Vec<(String, Expected)>,
    access: Arc<Access>,
    metadata: TaskMetadata,
    client: OnceCell<Client>,
    own: OnceCell<HashMap<String, String>>,
}

impl CloudMap {
    const ACTION: &str = "servicediscovery:DiscoverInstances";
    /// The most instances of a service, and of an answer.
    const MOST: i32 = 1000;

    /// Makes the strategy.
    ///
    /// # Errors
    /// If a setting is invalid.
    pub fn new(settings: CloudMapSettings, access: Arc<Access>, metadata: TaskMetadata) -> Result<Self, SpecError> {
        let (naming, attributes) = settings.parsed()?;
        let name = crate::Spec::CloudMap(settings.clone()).to_string();
        let (client, own) = Default::default();
        let namer = Namer::new(naming);
        Ok(Self { name, settings, namer, attributes, access, metadata, client, own })
    }

    async fn poll(&self) -> Result<Answer, StrategyError> {
        let mut wanted = HashMap::new();
        for (key, value) in &self.attributes {
            let value = match value {
                Expected::This(value) => value.clone(),
                Expected::Mine => self.own_attribute(key).await?,
            };
            if wanted.insert(key.clone(), value.clone()).is_some_and(|other| other != value) {
                // An attribute has one value, so two required values match nothing.
                return Ok(Answer::whole(Peers::new()));
            }
        }
        let instances = self.discover_instances(self.settings.health.into(), wanted.clone()).await?;
        let label = |instance: &HttpInstanceSummary| format!("instance {}", instance.instance_id().unwrap_or("?"));
        // A full answer may be incomplete.
        let is_full = i32::try_from(instances.len()).is_ok_and(|count| count >= Self::MOST);
        let coverage = if is_full { Coverage::Sample } else { Coverage::Whole };
        let CloudMapSettings { namespace, service, .. } = &self.settings;
        let (region, health) = (self.access.region_name(), HealthStatusFilter::from(self.settings.health));
        let mut asked = format!("{} in {region} for {service}.{namespace}, health {}", Self::ACTION, health.as_str());
        asked.extend(wanted.iter().map(|(key, value)| format!(", {key}={value}")));
        let peers = self.namer.nodes(&instances, value, label)?;
        Ok(Answer::whole(peers).with_coverage(coverage).with_asked(asked))
    }

    async fn discover_instances(
        &self,
        health: HealthStatusFilter,
        attributes: HashMap<String, String>,
    ) -> Result<Vec<HttpInstanceSummary>, StrategyError> {
        let make = async || {
            let config = aws_sdk_servicediscovery::config::Builder::from(self.access.config().await?);
            Ok::<_, StrategyError>(Client::from_conf(config.retry_classifier(LeaveThrottled).build()))
        };
        let client = self.client.get_or_try_init(make).await?;
        let request = client
            .discover_instances()
            .namespace_name(&self.settings.namespace)
            .service_name(&self.settings.service)
            .health_status(health)
            .max_results(Self::MOST)
            .set_query_parameters(Some(attributes).filter(|attributes| !attributes.is_empty()));
        let answer = request.customize().interceptor(NoHostPrefix).send().await;
        Ok(answer.map_err(|error| refusal(Self::ACTION, error))?.instances.unwrap_or_default())
    }

    /// The own value of an attribute. ECS registers a task by its id, others an EC2 instance by its id. The
    /// attributes of a release never change, so the value is requested until the own instance is registered, and then
    /// no more.
    async fn own_attribute(&self, key: &str) -> Result<String, StrategyError> {
        let find = || async {
            let id = match self.metadata.is_there() {
                true => self.metadata.task().await?.id(),
                false => self.access.metadata().instance_id().await?,
            };
            let instances = self.discover_instances(HealthStatusFilter::All, HashMap::new()).await?;
            let own = instances.into_iter().find(|instance| instance.instance_id() == Some(id));
            own.and_then(|own| own.attributes).ok_or_else(|| StrategyError::NotFound {
                what: format!("instance {id} registered with {}, which would be this one", self.settings.service),
            })
        };
        let own = self.own.get_or_try_init(find).await?;
        let missing = || StrategyError::NotFound { what: format!("attribute {key} of this instance") };
        own.get(key).cloned().ok_or_else(missing)
    }
}

impl Strategy for CloudMap {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(self.poll())
    }
}

/// The value of a variable of the strategy.
fn value(instance: &HttpInstanceSummary, variable: &str) -> Option<String> {
    let attribute = |key: &str| instance.attributes()?.get(key).cloned();
    match variable {
        "ipv4" => attribute("AWS_INSTANCE_IPV4"),
        "ipv6" => attribute("AWS_INSTANCE_IPV6"),
        "cname" => attribute("AWS_INSTANCE_CNAME"),
        "port" => attribute("AWS_INSTANCE_PORT"),
        "instance_id" => instance.instance_id().map(str::to_owned),
        "address" => ["ipv4", "cname", "ipv6"].iter().find_map(|variable| value(instance, variable)),
        _ => attribute(variable.strip_prefix("attribute:")?),
    }
}

/// The settings of `cloudmap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudMapSettings {
    /// The name of the namespace.
    pub namespace: String,
    /// The name of the service in the namespace.
    pub service: String,
    /// Which instances count, by health.
    #[serde(skip_serializing_if = "Health::is_default")]
    pub health: Health,
    /// Required attributes: `KEY=VALUE`, or `KEY` for the value of the own instance.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub attribute: Vec<String>,
    /// The host of a node's name: `address` (the default: IPv4, else CNAME, else IPv6), `ipv4`, `ipv6`, `cname`,
    /// `attribute:KEY`, or a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The name before the `@`: `node` by default, other text, `attribute:KEY`, or a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basename: Option<String>,
    /// The region; by default that of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Which instances of a Cloud Map service count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Health {
    /// The healthy ones, or all if none is healthy.
    #[default]
    HealthyOrElseAll,
    /// The healthy ones.
    Healthy,
    /// The unhealthy ones.
    Unhealthy,
    /// All.
    All,
}

impl Health {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Health> for HealthStatusFilter {
    fn from(health: Health) -> Self {
        match health {
            Health::HealthyOrElseAll => Self::HealthyOrElseAll,
            Health::Healthy => Self::Healthy,
            Health::Unhealthy => Self::Unhealthy,
            Health::All => Self::All,
        }
    }
}

impl CloudMapSettings {
    /// The variables of [`host`](Self::host) and [`basename`](Self::basename).
    pub const VARIABLES: &[&str] = &["address", "ipv4", "ipv6", "cname", "port", "instance_id", "attribute:*"];

    fn parsed(&self) -> Result<(Naming, Vec<(String, Expected)>), SpecError> {
        if self.namespace.is_empty() || self.service.is_empty() {
            let message = "needs a namespace and a service: cloudmap:namespace=NAME,service=NAME";
            return Err(SpecError::settings::<Self>(message));
        }
        let naming = Naming::new(
            self.basename.as_deref().unwrap_or(Naming::BASENAME),
            self.host.as_deref().unwrap_or("address"),
            Self::VARIABLES,
        )
        .map_err(SpecError::settings::<Self>)?;
        let attributes = self.attribute.iter().map(|text| Expected::parse_keyed("attribute", text));
        Ok((naming, attributes.collect::<Result<_, _>>().map_err(SpecError::settings::<Self>)?))
    }
}

impl StrategySettings for CloudMapSettings {
    const NAME: &'static str = "cloudmap";
    const BARE: Option<&'static str> = None;

    fn check(&self) -> Result<(), SpecError> {
        self.parsed().map(drop)
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        let access = Access::from_env(self.region.as_deref());
        Ok(Arc::new(CloudMap::new(self.clone(), access, TaskMetadata::from_env())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    #[test]
    fn variables() {
        let instance = |attributes: &[(&str, &str)]| {
            let summary = HttpInstanceSummary::builder().instance_id("i-1");
            attributes.iter().fold(summary, |summary, (key, value)| summary.attributes(*key, *value)).build()
        };
        let full = instance(&[
            ("AWS_INSTANCE_IPV4", "10.0.0.1"),
            ("AWS_INSTANCE_IPV6", "fd00::1"),
            ("AWS_INSTANCE_PORT", "9100"),
            ("release", "abc"),
        ]);
        for (variable, found) in [
            ("address", Some("10.0.0.1")),
            ("ipv6", Some("fd00::1")),
            ("cname", None),
            ("port", Some("9100")),
            ("instance_id", Some("i-1")),
            ("attribute:release", Some("abc")),
            ("attribute:other", None),
        ] {
            assert_eq!(value(&full, variable).as_deref(), found, "{variable}");
        }
        let named = instance(&[("AWS_INSTANCE_CNAME", "a.example.org"), ("AWS_INSTANCE_IPV6", "fd00::1")]);
        assert_eq!(value(&named, "address").as_deref(), Some("a.example.org"));
    }

    #[test]
    fn text_and_tables() {
        let text = "cloudmap:namespace=prod.local,service=web,health=healthy,attribute=release=abc,attribute=x";
        let spec: Spec = text.parse().unwrap();
        let Spec::CloudMap(settings) = &spec else { panic!("{spec:?}") };
        assert_eq!((settings.health, settings.attribute.len()), (Health::Healthy, 2));
        assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        let table = r#"{"strategy": "cloudmap", "namespace": "prod.local", "service": "web", "health": "healthy",
                        "attribute": ["release=abc", "x"]}"#;
        assert_eq!(serde_json::from_str::<Spec>(table).unwrap(), spec);
        for (wrong, part) in [
            ("cloudmap", "needs a namespace and a service"),
            ("cloudmap:namespace=a", "needs a namespace and a service"),
            ("cloudmap:namespace=a,service=b,health=good", "healthy"),
            ("cloudmap:namespace=a,service=b,attribute==b", "KEY=VALUE"),
            ("cloudmap:namespace=a,service=b,host=private-ip", "{ipv4}"),
            ("cloudmap:namespace=a,service=b,color=red", "color"),
        ] {
            let error = wrong.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
