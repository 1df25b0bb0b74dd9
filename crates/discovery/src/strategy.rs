//! Who the peers are: the trait, and the strategies that are built in.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{BoxFuture, pending};
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
    /// What it is, for people: `epmd:10.0.0.1`.
    fn name(&self) -> &str;

    /// Finds the peers as they are now, and says what the absence of others means. The own node may be among them.
    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>>;

    /// Waits until the answer may be another one than at the last [`discover`](Self::discover), for strategies that
    /// can tell; they are asked again at once then. Others wait forever, and are asked at an interval.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }

    /// The strategies that this one combines, none if it stands for itself. The reconciler asks them one by one,
    /// so that each has its own answer in force.
    fn members(&self) -> Vec<Arc<dyn Strategy>> {
        Vec::new()
    }
}

/// Why a strategy found nothing out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// No EPMD answered at any of the hosts.
    #[error("no EPMD answered: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Epmd {
        /// What was wrong at each host.
        errors: Vec<peerl_epmd::Error>,
    },
    /// No name server could say what a name's records are.
    #[cfg(feature = "dns")]
    #[error("no answer for the name {name}: {error}")]
    Dns {
        /// The name.
        name: String,
        /// What was wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file does not say who the nodes are.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: FileError,
    },
    /// None of the members of `any` answered.
    #[error("{}", .errors.iter().map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("; "))]
    Any {
        /// Each member's name, and what was wrong.
        errors: Vec<(String, StrategyError)>,
    },
    /// The strategy did not answer in time.
    #[error("no answer within {}", humane(.0))]
    TimedOut(std::time::Duration),
    /// The service wants fewer requests; the next poll comes later.
    #[error("{action} is throttled: {message}")]
    Throttled {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The service is out of order, also after some attempts.
    #[error("{action} failed on AWS's side: {message}")]
    ServiceFailure {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The credentials are good, but do not allow this.
    #[error("{action} is not allowed: {message}")]
    AccessDenied {
        /// The action that a policy has to allow.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The credentials were good once.
    #[error("{action} was refused, since the credentials have expired: {message}")]
    ExpiredCredentials {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The service does not know these credentials, or not in this region.
    #[error("{action} was refused, since the credentials are wrong: {message}")]
    WrongCredentials {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The service's clock and that of this machine differ by more than the minutes for which a signature holds.
    #[error("{action} was refused, since the clock of this machine is wrong: {message}")]
    ClockSkew {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The account does not use this region, or this service in it.
    #[error("{action} was refused, since the region is not enabled for the account: {message}")]
    RegionNotEnabled {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// No credentials could be had.
    #[error("there are no AWS credentials: {message}")]
    NoCredentials {
        /// Where they were looked for, and what was wrong there.
        message: String,
    },
    /// The file of authorities that `AWS_CA_BUNDLE` names cannot be used.
    #[error("AWS_CA_BUNDLE names {}, which cannot be used: {message}", .path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing says which region to ask.
    #[error("no AWS region is given, and the instance metadata does not say one: {message}")]
    NoRegion {
        /// What was wrong with the instance metadata.
        message: String,
    },
    /// What the peers are found by is not there.
    #[error("there is no {what}")]
    NotFound {
        /// What it is.
        what: String,
    },
    /// The service understood, and wants something else.
    #[error("{action} was refused: {message}")]
    Refused {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What the service said.
        message: String,
    },
    /// The answer makes no sense, or a part of it is missing.
    #[error("{action} had a malformed answer: {message}")]
    Malformed {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The service cannot be reached, or does not answer in time.
    #[error("{action} has no answer: {message}")]
    Unreachable {
        /// The action, as IAM calls it.
        action: &'static str,
        /// What is in the way.
        message: String,
    },
    /// The instance metadata service does not answer, or has no such value.
    #[error("the instance metadata service gives no answer: {message}")]
    InstanceMetadata {
        /// What is in the way.
        message: String,
    },
    /// The metadata service of the ECS task does not answer, or makes no sense.
    #[error("the ECS task metadata gives no answer: {message}")]
    TaskMetadata {
        /// What is in the way.
        message: String,
    },
    /// There are members, and none has what its node's name is made of.
    #[error("{machine} and all others can't be named: {source}")]
    Unnamed {
        /// One of the members.
        machine: String,
        /// What is wrong with it.
        source: crate::naming::NamingError,
    },
    /// A strategy of another crate failed.
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

fn humane(time: &std::time::Duration) -> String {
    format!("{time:?}")
}
