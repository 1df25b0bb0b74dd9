//! Tasks of ECS and instances of Cloud Map in a simulation of AWS, and the strategies that find them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ecs::config::retry::RetryConfig;
use peerl_discovery::aws::TaskMetadata;
use peerl_discovery::strategy::{CloudMap, Ecs};
use peerl_discovery::{Peers, Spec, Strategy};
use peerl_test_support::{TaskFacts, TaskMetadataService};

use crate::ask::{access, config};

mod ecs_server;
pub use ecs_server::{EcsServer, ServedTask};

/// A strategy with access to this endpoint, with short pauses between attempts.
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

/// The default facts of a task's metadata service.
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
