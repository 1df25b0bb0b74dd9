//! The running tasks of an ECS service or task definition.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{DesiredStatus, Task, TaskField};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{Answer, Peers, Strategy, StrategyError};
use crate::Naming;
use crate::aws::{Access, Expected, LeaveThrottled, OwnTask, TaskMetadata, refusal};
use crate::naming::Namer;
use crate::spec::{SpecError, StrategySettings, one_or_many};

mod member;
use member::Filter;

/// The strategy `ecs`: the running tasks of services or task definition families of a cluster, named by their network
/// interfaces.
///
/// Each poll is one `ecs:ListTasks` and one `ecs:DescribeTasks` per hundred tasks. Tasks that start, drain or stop
/// are not members; those that drain or stop are ended.
#[derive(Debug)]
pub struct Ecs {
    name: String,
    settings: EcsSettings,
    namer: Namer,
    filter: Filter,
    access: Arc<Access>,
    metadata: TaskMetadata,
    client: OnceCell<Client>,
    own_digest: OnceCell<String>,
}

impl Ecs {
    /// The page size of DescribeTasks and ListTasks.
    const PAGE: usize = 100;
    /// A service has at most 5,000 tasks; a much longer listing is endless.
    const MOST_PAGES: usize = 1000;
    /// How many pages are described at once.
    const PARALLEL: usize = 4;

    /// Makes the strategy.
    ///
    /// # Errors
    /// If a setting is invalid.
    pub fn new(settings: EcsSettings, access: Arc<Access>, metadata: TaskMetadata) -> Result<Self, SpecError> {
        let (naming, filter) = settings.parsed()?;
        let name = crate::Spec::Ecs(settings.clone()).to_string();
        let (client, own_digest) = Default::default();
        let namer = Namer::new(naming);
        Ok(Self { name, settings, namer, filter, access, metadata, client, own_digest })
    }

    async fn poll(&self) -> Result<Answer, StrategyError> {
        let client = self.client().await?;
        let cluster = match &self.settings.cluster {
            Some(cluster) => cluster.clone(),
            None => self.metadata.task().await?.cluster.clone(),
        };
        let mut arns = BTreeSet::new();
        let listings = self.listings().await?;
        for listing in &listings {
            list(client, &cluster, listing, &mut arns).await?;
        }
        let arns: Vec<String> = arns.into_iter().collect();
        let pages: Vec<Vec<String>> = arns.chunks(Self::PAGE).map(<[String]>::to_vec).collect();
        let pages = pages.into_iter().map(|page| self.describe(client, &cluster, page));
        let tasks: Vec<Vec<Task>> = stream::iter(pages).buffered(Self::PARALLEL).try_collect().await?;
        let (running, others): (Vec<Task>, Vec<Task>) = tasks.into_iter().flatten().partition(member::is_in_service);
        let wanted = match self.filter.needs_own_task() {
            true => self.filter.as_of(&self.own(client, &running).await?)?,
            false => self.filter.clone(),
        };
        let peers = self.namer.nodes(running.iter().filter(|task| wanted.accepts(task)), member::value, member::arn)?;
        let ending = others.iter().filter(|task| member::is_ending(task));
        let ended: Peers =
            ending.filter_map(|task| self.namer.naming().node(|it| member::value(task, it)).ok()).collect();
        let listings: Vec<String> = listings.iter().map(ToString::to_string).collect();
        let (region, listings) = (self.access.region_name(), listings.join(", "));
        let asked = format!("ecs:ListTasks in {region} for running tasks of {listings} in the cluster {cluster}");
        Ok(Answer::whole(peers).with_ended(ended).with_asked(asked))
    }

    async fn client(&self) -> Result<&Client, StrategyError> {
        let make = async || {
            let config = aws_sdk_ecs::config::Builder::from(self.access.config().await?);
            Ok(Client::from_conf(config.retry_classifier(LeaveThrottled).build()))
        };
        self.client.get_or_try_init(make).await
    }

    /// The listings to query: those of the settings, or else that of the own service or family.
    async fn listings(&self) -> Result<Vec<Listing>, StrategyError> {
        let EcsSettings { service, family, .. } = &self.settings;
        let services = service.iter().cloned().map(Listing::Service);
        let listings: Vec<Listing> = services.chain(family.iter().cloned().map(Listing::Family)).collect();
        if !listings.is_empty() {
            return Ok(listings);
        }
        let own = self.metadata.task().await?;
        Ok(vec![match &own.service {
            Some(service) => Listing::Service(service.clone()),
            None => Listing::Family(own.family.clone()),
        }])
    }

    async fn describe(&self, client: &Client, cluster: &str, arns: Vec<String>) -> Result<Vec<Task>, StrategyError> {
        const ACTION: &str = "ecs:DescribeTasks";
        let tags = self.filter.needs_tags() || self.namer.naming().variables().any(|name| name.starts_with("tag:"));
        let answer = client
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(arns))
            .set_include(tags.then(|| vec![TaskField::Tags]))
            .send()
            .await
            .map_err(|error| refusal(ACTION, error))?;
        // A task may have ended since it was listed.
        if let Some(failure) = answer.failures().iter().find(|failure| failure.reason() != Some("MISSING")) {
            let (arn, reason) = (failure.arn().unwrap_or("a task"), failure.reason().unwrap_or("no reason"));
            return Err(StrategyError::Refused { action: ACTION, message: format!("{arn}: {reason}") });
        }
        Ok(answer.tasks.unwrap_or_default())
    }

    /// The values of the own task that others must share.
    async fn own(&self, client: &Client, running: &[Task]) -> Result<Own<'_>, StrategyError> {
        let task = self.metadata.task().await?;
        let mut own = Own { task, digest: None, tags: None };
        if !self.filter.needs_own_digest() && !self.filter.needs_own_tags() {
            return Ok(own);
        }
        let described = match running.iter().find(|other| other.task_arn() == Some(&task.arn)) {
            Some(described) => Some(described.clone()),
            None => self.describe(client, &task.cluster, vec![task.arn.clone()]).await?.pop(),
        };
        let no_such = || StrategyError::Malformed {
            action: "ecs:DescribeTasks",
            message: format!("the own task {} is not known", task.arn),
        };
        let described = described.ok_or_else(no_such)?;
        if self.filter.needs_own_digest() {
            let find = || async {
                member::digest(&described, &task.container).map(str::to_owned).ok_or_else(|| StrategyError::Malformed {
                    action: "ecs:DescribeTasks",
                    message: format!("the own container {} has no image digest", task.container),
                })
            };
            own.digest = Some(self.own_digest.get_or_try_init(find).await?.clone());
        }
        own.tags = Some(member::tags(&described));
        Ok(own)
    }
}

impl Strategy for Ecs {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(self.poll())
    }
}

/// The values of the own task.
struct Own<'a> {
    task: &'a OwnTask,
    digest: Option<String>,
    tags: Option<Vec<(String, String)>>,
}

/// A set of tasks that ListTasks can list.
enum Listing {
    Service(String),
    Family(String),
}

/// The form in the text of a description.
impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => write!(f, "service={service}"),
            Self::Family(family) => write!(f, "family={family}"),
        }
    }
}

/// Adds the ARNs of all tasks of the listing whose desired status is to run.
async fn list(
    client: &Client,
    cluster: &str,
    listing: &Listing,
    arns: &mut BTreeSet<String>,
) -> Result<(), StrategyError> {
    const ACTION: &str = "ecs:ListTasks";
    let mut token: Option<String> = None;
    for _ in 0..Ecs::MOST_PAGES {
        let request = client.list_tasks().cluster(cluster).desired_status(DesiredStatus::Running);
        let request = match listing {
            Listing::Service(service) => request.service_name(service),
            Listing::Family(family) => request.family(family),
        };
        let page = i32::try_from(Ecs::PAGE).unwrap_or(i32::MAX);
        let answer = request.max_results(page).set_next_token(token.clone()).send().await;
        let answer = answer.map_err(|error| refusal(ACTION, error))?;
        arns.extend(answer.task_arns.unwrap_or_default());
        match answer.next_token.filter(|next| !next.is_empty()) {
            None => return Ok(()),
            next if next == token => break,
            next => token = next,
        }
    }
    Err(StrategyError::Malformed { action: ACTION, message: "its pages have no end".to_owned() })
}

/// The settings of `ecs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EcsSettings {
    /// The cluster's name or ARN; by default that of the own task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Services whose tasks are members; without services and families, the own service, else the own family.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub service: Vec<String>,
    /// Task definition families whose tasks are members.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub family: Vec<String>,
    /// The revision of the task definition: `7`, `FAMILY:7`, or `@mine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The digest (`sha256:…`) or the reference of the container's image, or `@mine` for the own digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The container whose image counts; by default that of this process, else any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Required tags: `KEY=VALUE`, or `KEY` for the value of the own task.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub tag: Vec<String>,
    /// The host of a node's name: `private-ip` by default, `private-dns`, `ipv6`, `tag:KEY`, or a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The name before the `@`: `node` by default, other text, `tag:KEY`, or a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basename: Option<String>,
    /// The region; by default that of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl EcsSettings {
    fn parsed(&self) -> Result<(Naming, Filter), SpecError> {
        let naming = Naming::new(
            self.basename.as_deref().unwrap_or(Naming::BASENAME),
            self.host.as_deref().unwrap_or(OwnTask::HOST),
            OwnTask::VARIABLES,
        )
        .map_err(SpecError::settings::<Self>)?;
        let empty = [("cluster", &self.cluster), ("container", &self.container), ("region", &self.region)];
        let lists = [("service", &self.service), ("family", &self.family)];
        let empty = empty
            .iter()
            .find(|(_, value)| value.as_deref() == Some(""))
            .map(|(key, _)| key)
            .or_else(|| lists.iter().find(|(_, values)| values.iter().any(String::is_empty)).map(|(key, _)| key));
        if let Some(key) = empty {
            return Err(SpecError::settings::<Self>(format!("`{key}` is empty: is a variable not set?")));
        }
        let expected = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| Expected::parse(key, text)).transpose().map_err(SpecError::settings::<Self>)
        };
        let tags = self.tag.iter().map(|tag| Expected::parse_keyed("tag", tag));
        let filter = Filter {
            revision: expected("revision", &self.revision)?,
            image: expected("image", &self.image)?,
            container: self.container.clone(),
            tags: tags.collect::<Result<_, _>>().map_err(SpecError::settings::<Self>)?,
        };
        Ok((naming, filter))
    }
}

impl StrategySettings for EcsSettings {
    const NAME: &'static str = "ecs";
    const BARE: Option<&'static str> = Some("cluster");

    fn check(&self) -> Result<(), SpecError> {
        self.parsed().map(drop)
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        let access = Access::from_env(self.region.as_deref());
        Ok(Arc::new(Ecs::new(self.clone(), access, TaskMetadata::from_env())?))
    }
}

#[cfg(test)]
mod tests {
    use crate::Spec;

    #[test]
    fn text_and_tables() {
        for text in [
            "ecs",
            "ecs:prod,service=web",
            "ecs:prod,family=web,host=private-dns,revision=@mine",
            "ecs:prod,container=app,image=sha256:0123,region=eu-west-1,service=web,service=worker",
            "ecs:prod,basename={task_id},tag=csrelease=0123,tag=stage",
        ] {
            let spec: Spec = text.parse().unwrap();
            assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec, "{text}");
            assert_eq!(spec.build().unwrap().name(), spec.to_string());
        }
        let table = r#"{"strategy": "ecs", "cluster": "prod", "service": "web", "revision": "@mine"}"#;
        let text: Spec = "ecs:prod,service=web,revision=@mine".parse().unwrap();
        assert_eq!(serde_json::from_str::<Spec>(table).unwrap(), text);
        for (wrong, part) in [
            ("ecs:prod,service=", "`service` is empty"),
            ("ecs:prod,revision=", "is a variable not set?"),
            ("ecs:prod,tag=csrelease=", "is a variable not set?"),
            ("ecs:prod,host=public-ip", "{private_ip}, {private_dns}"),
            ("ecs:prod,color=red", "color"),
            ("ecs:prod,test", "more than once"),
        ] {
            let error = wrong.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
