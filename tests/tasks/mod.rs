//! Tasks of ECS and instances of Cloud Map in a stand-in for AWS, and the means to find them.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses a part")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::config::{Credentials, Region, SharedCredentialsProvider};
use peerl_discovery::aws::{Access, InstanceMetadata, SdkConfig, TaskMetadata};
use peerl_discovery::strategy::{CloudMap, Ecs};
use peerl_discovery::{Peers, Spec, Strategy, StrategyError};
use peerl_test_support::{FaultProxy, Moto, TaskFacts, TaskMetadataService};

mod ecs_server;
pub use ecs_server::{EcsServer, ServedTask};

/// A strategy that asks this endpoint, with pauses between attempts that a test can wait for.
pub fn strategy(text: &str, endpoint: &str, own: Option<&TaskMetadataService>) -> Arc<dyn Strategy> {
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(20));
    let access = access(config(endpoint).to_builder().retry_config(retries).build());
    let own = own.map_or_else(TaskMetadata::from_env, |own| TaskMetadata::at(&own.uri()));
    match text.parse().unwrap() {
        Spec::Ecs(settings) => Arc::new(Ecs::new(settings, access, own).unwrap()),
        Spec::CloudMap(settings) => Arc::new(CloudMap::new(settings, access, own).unwrap()),
        other => panic!("{other} is no strategy of ECS"),
    }
}

/// A configuration with which a test sets things up.
pub async fn client_config(moto: &Moto) -> SdkConfig {
    access(config(&moto.endpoint())).config().await.unwrap().clone()
}

fn access(config: SdkConfig) -> Arc<Access> {
    // There is no instance around.
    Access::new(config, InstanceMetadata::at("http://127.0.0.1:1").unwrap())
}

fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .endpoint_url(endpoint)
        .region(Region::new(Moto::REGION))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "testing", "testing", None, None, "test",
        )))
        .build()
}

/// What the metadata service of a task says, unless a test wants something else.
pub fn facts(arn: &str, family: &str, revision: u32) -> TaskFacts {
    TaskFacts {
        cluster: "prod".to_owned(),
        arn: arn.to_owned(),
        family: family.to_owned(),
        revision,
        service: String::new(),
        container: "app".to_owned(),
        private_ip: "10.0.0.1".to_owned(),
        private_dns: "ip-10-0-0-1.eu-central-1.compute.internal".to_owned(),
        tags: String::new(),
    }
}

pub fn peers<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Peers {
    names.into_iter().map(|name| name.as_ref().parse().unwrap()).collect()
}

/// In one word, whose fault an error says it is.
pub fn kind(error: &StrategyError) -> &'static str {
    match error {
        StrategyError::Throttled { .. } => "throttled",
        StrategyError::ServiceFailure { .. } => "service failure",
        StrategyError::AccessDenied { action, .. } => action,
        StrategyError::ExpiredCredentials { .. } => "expired",
        StrategyError::Malformed { .. } => "malformed",
        StrategyError::Unreachable { .. } => "unreachable",
        StrategyError::Refused { .. } => "refused",
        StrategyError::NotFound { .. } => "not found",
        StrategyError::TaskMetadata { .. } => "task metadata",
        StrategyError::Unnamed { .. } => "unnamed",
        _ => "other",
    }
}

/// Makes a service fail in every way that it can; `expected` is what its peers are when it does not.
pub async fn check_failures(strategy: &dyn Strategy, proxy: &FaultProxy, action: &str, iam: &str, expected: &Peers) {
    use peerl_test_support::{Fault, Times};
    for (fault, found, requests) in [
        (Fault::Throttle, "throttled", 3),
        (Fault::ServerError, "service failure", 3),
        (Fault::Unavailable, "service failure", 3),
        (Fault::AccessDenied, iam, 1),
        (Fault::ExpiredCredentials, "expired", 1),
        (Fault::CutContent, "malformed", 1),
        (Fault::CutConnection, "malformed", 3),
        (Fault::NoAnswer, "unreachable", 3),
    ] {
        // What passes is not even noticed.
        if requests > 1 {
            proxy.fail(action, fault.clone(), Times::Next(2));
            assert_eq!(strategy.discover().await.unwrap(), *expected, "{fault:?}");
        }
        proxy.fail(action, fault.clone(), Times::Always);
        proxy.forget_requests();
        let error = strategy.discover().await.unwrap_err();
        assert_eq!(kind(&error), found, "{fault:?}: {error}");
        assert_eq!(proxy.requests(action), requests, "{fault:?}: {error}");
        assert!(error.to_string().contains(iam) && !error.to_string().contains('\n'), "{error}");
        proxy.heal();
        assert_eq!(strategy.discover().await.unwrap(), *expected, "{fault:?}");
    }
    proxy.refuse();
    let error = strategy.discover().await.unwrap_err();
    assert_eq!(kind(&error), "unreachable", "{error}");
    proxy.heal();
    assert_eq!(strategy.discover().await.unwrap(), *expected);
}
