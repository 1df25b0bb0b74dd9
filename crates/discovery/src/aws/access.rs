//! Access to AWS: region, credentials, endpoints and time-outs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_config::{BehaviorVersion, Region};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::credentials::ExplainedChain;
use super::{InstanceMetadata, ca_bundle, http_client};
use crate::StrategyError;

/// Access to AWS. It is set up on first use: nothing is read or requested before.
///
/// All strategies of a process with the same region share one, and with it the connections, the credentials and the
/// budget of repeated attempts.
pub struct Access {
    region: Option<String>,
    metadata: InstanceMetadata,
    config: OnceCell<SdkConfig>,
}

impl Access {
    /// The time-out of a connection attempt; the attempt is then repeated.
    const CONNECT: Duration = Duration::from_secs(3);
    /// The time-out of one attempt of a request; the request is then repeated.
    const ATTEMPT: Duration = Duration::from_secs(10);
    /// The time-out of a request with all its attempts and pauses.
    const OPERATION: Duration = Duration::from_secs(25);

    /// Access by the environment and the profile files. The region is this one, else theirs, else that of the
    /// instance.
    pub fn from_env(region: Option<&str>) -> Arc<Self> {
        static SHARED: LazyLock<Mutex<BTreeMap<Option<String>, Weak<Access>>>> = LazyLock::new(Mutex::default);
        let mut shared = SHARED.lock();
        shared.retain(|_, access| access.strong_count() > 0);
        let region = region.map(str::to_owned);
        if let Some(access) = shared.get(&region).and_then(Weak::upgrade) {
            return access;
        }
        let access =
            Arc::new(Self { region: region.clone(), metadata: InstanceMetadata::from_env(), config: OnceCell::new() });
        shared.insert(region, Arc::downgrade(&access));
        access
    }

    /// Access by this configuration; unset values have the same defaults as with [`from_env`](Self::from_env), except
    /// for region, credentials and endpoints.
    pub fn new(config: SdkConfig, metadata: InstanceMetadata) -> Arc<Self> {
        let timeouts = config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts = timeouts.take_unset_from(Self::timeouts());
        let mut builder = config.to_builder();
        builder.set_timeout_config(Some(timeouts.build()));
        if config.http_client().is_none() {
            builder.set_http_client(Some(http_client::shared()));
        }
        if config.behavior_version().is_none() {
            builder.set_behavior_version(Some(BehaviorVersion::v2026_01_12()));
        }
        Arc::new(Self { region: None, metadata, config: OnceCell::new_with(Some(builder.build())) })
    }

    /// The configuration for a service's client.
    ///
    /// # Errors
    /// If no region is found, or the file of `AWS_CA_BUNDLE` is unusable; the next call tries again.
    pub async fn config(&self) -> Result<&SdkConfig, StrategyError> {
        self.config.get_or_try_init(|| self.load()).await
    }

    /// The metadata service of this process's instance.
    pub fn metadata(&self) -> &InstanceMetadata {
        &self.metadata
    }

    /// The region, for messages; empty until it is known.
    pub(crate) fn region_name(&self) -> &str {
        let region = self.config.get().and_then(SdkConfig::region).map(Region::as_ref);
        region.or(self.region.as_deref()).unwrap_or("an unknown region")
    }

    async fn load(&self) -> Result<SdkConfig, StrategyError> {
        ca_bundle::trusted()?;
        let http = http_client::shared();
        let region = self.region().await?;
        let provider =
            ProviderConfig::without_region().with_http_client(http.clone()).with_region(Some(region.clone()));
        let credentials = DefaultCredentialsChain::builder()
            .configure(provider)
            .region(region.clone())
            .imds_client(self.metadata.client().clone())
            .build()
            .await;
        Ok(aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .region(region)
            .credentials_provider(ExplainedChain::new(credentials, self.metadata.clone()))
            .identity_cache(IdentityCache::lazy().build())
            .timeout_config(Self::timeouts().build())
            .load()
            .await)
    }

    fn timeouts() -> TimeoutConfigBuilder {
        TimeoutConfig::builder()
            .connect_timeout(Self::CONNECT)
            .operation_attempt_timeout(Self::ATTEMPT)
            .operation_timeout(Self::OPERATION)
    }

    async fn region(&self) -> Result<Region, StrategyError> {
        if let Some(region) = &self.region {
            return Ok(Region::new(region.clone()));
        }
        let files = ProviderConfig::without_region().with_http_client(http_client::shared());
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::builder().configure(&files).build());
        if let Some(region) = chain.region().await {
            return Ok(region);
        }
        match self.metadata.region().await {
            Ok(region) => Ok(Region::new(region)),
            Err(error) => Err(StrategyError::NoRegion { message: error.to_string() }),
        }
    }
}

/// Keeps credentials out of logs.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("region", &self.region).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_of_one_region_share_it() {
        let first = Access::from_env(Some("eu-west-1"));
        assert!(Arc::ptr_eq(&first, &Access::from_env(Some("eu-west-1"))));
        assert!(!Arc::ptr_eq(&first, &Access::from_env(Some("eu-west-2"))));
        assert!(!Arc::ptr_eq(&first, &Access::from_env(None)));
    }
}
