//! What the strategies of AWS share: how AWS is asked, and what it means when it refuses.
//!
//! ```text
//!  Ec2, AutoScaling, …  ──▶ Access ──▶ HttpClient ──▶ the service's endpoint
//!                            │  └────▶ InstanceMetadata (IMDSv2), TaskMetadata (ECS, version 4)
//!                            └ region: argument, environment, profile, instance metadata
//! ```
//!
//! Requests are tried again by the SDK, with growing and jittered pauses: `AWS_RETRY_MODE` and `AWS_MAX_ATTEMPTS`
//! say how, `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_EC2` where, `AWS_CA_BUNDLE` whom to trust, as for every tool of AWS. Requests that a service
//! throttles are left to the next poll, which comes later.

mod access;
pub use access::{Access, SdkConfig};
mod ca_bundle;
mod credentials;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
mod expected;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
pub(crate) use expected::Expected;
#[cfg(feature = "cloudmap")]
mod host_prefix;
#[cfg(feature = "cloudmap")]
pub(crate) use host_prefix::NoHostPrefix;
mod http_client;
mod instance_metadata;
#[cfg(feature = "ec2")]
pub(crate) mod instances;
pub use instance_metadata::InstanceMetadata;
#[cfg(feature = "ec2")]
pub(crate) mod member_filter;
mod refusal;
pub use refusal::refusal;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
mod task_metadata;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
pub use task_metadata::{OwnTask, TaskMetadata};
mod throttling;
pub use throttling::LeaveThrottled;
#[cfg(feature = "ec2")]
pub(crate) mod wanted;
mod whole_answer;
pub use whole_answer::WholeAnswer;
