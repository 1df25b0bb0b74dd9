//! Shared parts of the AWS strategies: requests to AWS, and the meaning of its errors.
//!
//! ```text
//!  Ec2, AutoScaling, …  ──▶ Access ──▶ HttpClient ──▶ the service's endpoint
//!                            │  └────▶ InstanceMetadata (IMDSv2), TaskMetadata (ECS, version 4)
//!                            └ region: argument, environment, profile, instance metadata
//! ```
//!
//! The SDK repeats failed requests after growing, jittered pauses. As for every AWS tool, `AWS_RETRY_MODE` and
//! `AWS_MAX_ATTEMPTS` set the repetition, `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_EC2` the endpoint, `AWS_CA_BUNDLE`
//! the trusted authorities. A throttled request is not repeated; the next poll replaces it.

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
