//! The trait of strategies, and the built-in ones.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{BoxFuture, pending};
use peerl_node::ErrorChain;
use peerl_proto::node_name::NodeName;

mod answer;
pub use answer::{Answer, Coverage};
mod any_of;
pub use any_of::{AnyOf, AnyOfSettings};
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "dns")]
pub use dns::{DnsNames, DnsNamesSettings, NameServer, RecordKind};
#[cfg(feature = "cloudmap")]
mod cloud_map;
#[cfg(feature = "cloudmap")]
pub use cloud_map::{CloudMap, CloudMapSettings, Health};
#[cfg(feature = "ecs")]
mod ecs;
#[cfg(feature = "ecs")]
pub use ecs::{Ecs, EcsSettings};
#[cfg(feature = "asg")]
mod auto_scaling;
#[cfg(feature = "asg")]
pub use auto_scaling::{AutoScaling, AutoScalingSettings};
#[cfg(feature = "ec2")]
mod ec2;
#[cfg(feature = "ec2")]
pub use ec2::{Ec2, Ec2Settings};
mod epmd;
pub use epmd::{EpmdNames, EpmdNamesSettings};
mod file;
pub use file::{FileError, FileList, FileListSettings};
mod static_list;
pub use static_list::{StaticList, StaticListSettings};

/// The nodes that a strategy found.
pub type Peers = BTreeSet<NodeName>;

/// A way to find the peers of a node.
pub trait Strategy: Send + Sync + 'static {
    /// Its description for people, such as `epmd:10.0.0.1`.
    fn name(&self) -> &str;

    /// Finds the current peers, possibly including the node itself, and tells what the absence of others means.
    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>>;

    /// Waits until the answer may differ from that of the last [`discover`](Self::discover), for strategies that can
    /// tell; they are then polled at once. For other strategies it waits forever.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }

    /// The strategies that this one combines; empty for others. The reconciler polls the members one by one, so that
    /// each has its own answer in force.
    fn members(&self) -> Vec<Arc<dyn Strategy>> {
        Vec::new()
    }
}

/// Why a strategy has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// No EPMD answered at any of the hosts.
    #[error("no EPMD answered: {}", .errors.iter().map(|error| ErrorChain(error).to_string()).collect::<Vec<_>>().join("; "))]
    Epmd {
        /// The error of each host.
        errors: Vec<peerl_epmd::Error>,
    },
    /// No name server has returned the records of a name.
    #[cfg(feature = "dns")]
    #[error("no answer for the name {name}")]
    Dns {
        /// The name.
        name: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file does not tell the nodes.
    #[error("cannot read the nodes of {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: FileError,
    },
    /// No member of `any` has answered.
    #[error("{}", .errors.iter().map(|(name, error)| format!("{name}: {}", ErrorChain(error))).collect::<Vec<_>>().join("; "))]
    Any {
        /// Each member's name and error.
        errors: Vec<(String, StrategyError)>,
    },
    /// The strategy did not answer in time.
    #[error("no answer within {}", humane(.0))]
    TimedOut(std::time::Duration),
    /// The service throttles requests; the next poll is delayed.
    #[error("{action} is throttled: {message}")]
    Throttled {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The service failed, after several attempts.
    #[error("{action} failed on AWS's side: {message}")]
    ServiceFailure {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The credentials are valid, but lack a permission.
    #[error("{action} is not allowed: {message}")]
    AccessDenied {
        /// The action that a policy has to allow.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The credentials have expired.
    #[error("{action} was refused, since the credentials have expired: {message}")]
    ExpiredCredentials {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The service does not accept these credentials, or not in this region.
    #[error("{action} was refused, since the credentials are wrong: {message}")]
    WrongCredentials {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The clocks of the service and of this machine differ by more than the validity of a signature.
    #[error("{action} was refused, since the clock of this machine is wrong: {message}")]
    ClockSkew {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The region, or this service in it, is not enabled for the account.
    #[error("{action} was refused, since the region is not enabled for the account: {message}")]
    RegionNotEnabled {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// No credentials were found.
    #[error("there are no AWS credentials: {message}")]
    NoCredentials {
        /// Where they were looked for, and with which error.
        message: String,
    },
    /// The file that `AWS_CA_BUNDLE` names is unusable.
    #[error("AWS_CA_BUNDLE names {}, which cannot be used: {message}", .path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// No region is given.
    #[error("no AWS region is given, and the instance metadata does not say one: {message}")]
    NoRegion {
        /// The error of the instance metadata.
        message: String,
    },
    /// The resource of the query does not exist.
    #[error("there is no {what}")]
    NotFound {
        /// The resource.
        what: String,
    },
    /// The service rejects the request.
    #[error("{action} was refused: {message}")]
    Refused {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The service's message.
        message: String,
    },
    /// The answer is malformed or incomplete.
    #[error("{action} had a malformed answer: {message}")]
    Malformed {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The reason.
        message: String,
    },
    /// The service cannot be reached, or does not answer in time.
    #[error("{action} has no answer: {message}")]
    Unreachable {
        /// The action, as IAM calls it.
        action: &'static str,
        /// The reason.
        message: String,
    },
    /// The instance metadata service does not answer, or has no such value.
    #[error("the instance metadata service gives no answer: {message}")]
    InstanceMetadata {
        /// The reason.
        message: String,
    },
    /// The metadata service of the ECS task does not answer, or not with a valid description.
    #[error("the ECS task metadata gives no answer: {message}")]
    TaskMetadata {
        /// The reason.
        message: String,
    },
    /// There are members, but none can be named.
    #[error("neither {machine} nor any other member has a node name")]
    Unnamed {
        /// One of the members.
        machine: String,
        /// The reason.
        source: crate::naming::NamingError,
    },
    /// A strategy of another crate failed.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

fn humane(time: &std::time::Duration) -> String {
    format!("{time:?}")
}
