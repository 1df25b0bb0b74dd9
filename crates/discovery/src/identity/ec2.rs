//! The name of the node on an EC2 instance.

use std::collections::HashMap;
use std::sync::Arc;

use peerl_proto::node_name::NodeName;
use serde::Deserialize;

use super::{IdentityError, named};
use crate::StrategyError;
use crate::aws::Access;
use crate::aws::instances::{self, Instances};
use crate::naming::Naming;
use crate::strategy::Ec2Settings;

/// What can be set of `auto:ec2`: the same as for the strategies `ec2` and `asg`, so that they find the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ec2Identity {
    /// The host: `private-dns` (unless said otherwise), `private-ip`, `public-dns`, `public-ip`, `ipv6`, `tag:KEY`, or
    /// a template such as `{instance_id}.example.org`.
    #[serde(default)]
    pub host: Option<String>,
    /// The name before the `@`: `node` unless said otherwise, a template, or `tag:KEY`.
    #[serde(default)]
    pub basename: Option<String>,
    /// The region; else that of the environment, the profile or the instance.
    #[serde(default)]
    pub region: Option<String>,
}

impl Ec2Identity {
    const KIND: &str = "ec2";

    pub(super) fn check(&self) -> Result<Naming, String> {
        let basename = self.basename.as_deref().unwrap_or(Naming::BASENAME);
        Naming::new(basename, self.host.as_deref().unwrap_or(Ec2Settings::HOST), Instances::VARIABLES)
    }

    /// Finds the name out: of the instance's metadata, and what they can't say for sure of DescribeInstances.
    ///
    /// # Errors
    /// If the metadata service gives no answer, or what comes out is not a name.
    pub async fn name(&self, access: &Arc<Access>) -> Result<NodeName, IdentityError> {
        let naming = self.check().map_err(|message| IdentityError::Settings { kind: Self::KIND, message })?;
        let instances = Instances::new(access.clone());
        let mut values = HashMap::new();
        for variable in naming.variables() {
            match own_value(&instances, variable).await {
                Ok(Some(value)) => values.insert(variable.to_owned(), value),
                // The rule says what is missing.
                Ok(None) | Err(StrategyError::NotFound { .. }) => None,
                Err(source) => return Err(IdentityError::Unknown { kind: Self::KIND, source }),
            };
        }
        named(Self::KIND, &Ok(naming.clone()), |variable| values.get(variable).cloned())
    }
}

/// What a variable means for the instance that this process runs on.
async fn own_value(instances: &Instances, variable: &str) -> Result<Option<String>, StrategyError> {
    let metadata = instances.access().metadata();
    match variable {
        "instance_id" => metadata.instance_id().await.map(|id| Some(id.to_owned())),
        "private_dns" => own_private_dns(instances).await,
        "private_ip" => metadata.get("local-ipv4").await,
        "public_ip" => metadata.get("public-ipv4").await,
        "public_dns" => metadata.get("public-hostname").await,
        "ipv6" => metadata.get("ipv6").await,
        "availability_zone" => metadata.get("placement/availability-zone").await,
        "vpc" => instances.own_vpc().await.map(Some),
        other => match other.strip_prefix("tag:") {
            Some(key) => instances.own_tag(key).await.map(Some),
            None => Ok(None),
        },
    }
}

/// The private DNS name as EC2 lists it, which is what others see. The metadata have the host name that DHCP gave:
/// where the options of the VPC set a domain of their own, that is another one. It has to do where EC2 may not be asked.
async fn own_private_dns(instances: &Instances) -> Result<Option<String>, StrategyError> {
    match instances.own().await {
        Ok(Some(own)) => return Ok(instances::value(&own, "private_dns")),
        Ok(None) => tracing::warn!("EC2 does not list this instance; its host name is taken from its metadata"),
        Err(error @ StrategyError::InstanceMetadata { .. }) => return Err(error),
        Err(error) => tracing::warn!(%error, "the private DNS name is taken from the instance metadata"),
    }
    let names = instances.access().metadata().get("local-hostname").await?;
    Ok(names.and_then(|names| names.split_whitespace().next().map(str::to_owned)))
}
