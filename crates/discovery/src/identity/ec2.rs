//! The name of the node on an EC2 instance.

use std::collections::HashMap;
use std::sync::Arc;

use peerl_node::ErrorChain;
use peerl_proto::node_name::NodeName;
use serde::Deserialize;

use super::{IdentityError, named};
use crate::StrategyError;
use crate::aws::Access;
use crate::aws::instances::{self, Instances};
use crate::naming::Naming;
use crate::strategy::Ec2Settings;

/// The settings of `auto:ec2`. They are those of the strategies `ec2` and `asg`, so that these find the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ec2Identity {
    /// The host: `private-dns` (the default), `private-ip`, `public-dns`, `public-ip`, `ipv6`, `tag:KEY`, or a
    /// template such as `{instance_id}.example.org`.
    #[serde(default)]
    pub host: Option<String>,
    /// The name before the `@`: `node` by default, a template, or `tag:KEY`.
    #[serde(default)]
    pub basename: Option<String>,
    /// The region; by default that of the environment, the profile or the instance.
    #[serde(default)]
    pub region: Option<String>,
}

impl Ec2Identity {
    const KIND: &str = "ec2";

    pub(super) fn check(&self) -> Result<Naming, String> {
        let basename = self.basename.as_deref().unwrap_or(Naming::BASENAME);
        Naming::new(basename, self.host.as_deref().unwrap_or(Ec2Settings::HOST), Instances::VARIABLES)
    }

    /// Determines the name from the instance's metadata; values that these do not reliably have come from
    /// DescribeInstances.
    ///
    /// # Errors
    /// If the metadata service does not answer, or the result is not a node name.
    pub async fn name(&self, access: &Arc<Access>) -> Result<NodeName, IdentityError> {
        let naming = self.check().map_err(|message| IdentityError::Settings { kind: Self::KIND, message })?;
        let instances = Instances::new(access.clone());
        let mut values = HashMap::new();
        for variable in naming.variables() {
            match own_value(&instances, variable).await {
                Ok(Some(value)) => values.insert(variable.to_owned(), value),
                // The naming rule reports the missing value.
                Ok(None) | Err(StrategyError::NotFound { .. }) => None,
                Err(source) => return Err(IdentityError::Unknown { kind: Self::KIND, source }),
            };
        }
        named(Self::KIND, &Ok(naming.clone()), |variable| values.get(variable).cloned())
    }
}

/// The value of a variable for this process's instance.
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

/// The private DNS name in EC2's list, which other nodes see. The metadata have the host name from DHCP, which
/// differs if the VPC's options set a domain; it is used only if the request to EC2 is not allowed.
async fn own_private_dns(instances: &Instances) -> Result<Option<String>, StrategyError> {
    match instances.own().await {
        Ok(Some(own)) => return Ok(instances::value(&own, "private_dns")),
        Ok(None) => tracing::warn!("EC2 does not list this instance; its host name is taken from its metadata"),
        Err(error @ StrategyError::InstanceMetadata { .. }) => return Err(error),
        Err(error) => {
            let error = ErrorChain(&error);
            tracing::warn!(%error, "the private DNS name is taken from the instance metadata");
        }
    }
    let names = instances.access().metadata().get("local-hostname").await?;
    Ok(names.and_then(|names| names.split_whitespace().next().map(str::to_owned)))
}
