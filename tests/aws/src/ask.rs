//! Clients of a simulated endpoint of AWS.

use std::sync::Arc;

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

/// The configuration of the test's own clients, which prepare resources.
pub async fn client_config(endpoint: &str) -> SdkConfig {
    access(config(endpoint)).config().await.unwrap().clone()
}
