//! Clients of a simulated endpoint of AWS.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{Credentials, Region, SharedCredentialsProvider};
use peerl_discovery::aws::{Access, InstanceMetadata, SdkConfig};
use peerl_test_support::Moto;

pub fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("testing", "testing", None, None, "test");
    SdkConfig::builder()
        .endpoint_url(endpoint)
        .region(Region::new(Moto::REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Access from outside of any instance.
pub fn access(config: SdkConfig) -> Arc<Access> {
    Access::new(config, InstanceMetadata::at("http://127.0.0.1:9").unwrap())
}

/// The configuration of the test's own clients, which prepare resources. A request that a busy machine answers late is not
/// repeated: what it makes would be there twice.
pub async fn client_config(endpoint: &str) -> SdkConfig {
    let config = config(endpoint).to_builder().retry_config(RetryConfig::disabled()).timeout_config(patient()).build();
    access(config).config().await.unwrap().clone()
}

/// Moto is slow with a thousand instances on a busy machine.
pub fn patient() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(120))
        .operation_timeout(Duration::from_secs(240))
        .build()
}
