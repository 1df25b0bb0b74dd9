//! Instances of EC2 in a simulation of AWS, and the strategies that find them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{Instance, InstanceType, ResourceType, Tag, TagSpecification};
use futures::{StreamExt, TryStreamExt, stream};
use peerl_discovery::aws::{Access, InstanceMetadata, SdkConfig};
use peerl_discovery::strategy::{AutoScaling, Ec2};
use peerl_discovery::{Peers, Spec, Strategy, StrategyError};
use peerl_test_support::{FaultProxy, MetadataService, Moto};

use crate::ask::{access, client_config, config, patient};

pub struct Fleet {
    pub moto: Moto,
    pub proxy: FaultProxy,
    pub metadata: MetadataService,
    /// peerl's access, through the proxy.
    pub access: Arc<Access>,
    /// The test's access, without the proxy.
    pub ec2: aws_sdk_ec2::Client,
    pub config: SdkConfig,
}

impl Fleet {
    pub async fn new() -> Self {
        let moto = Moto::start_async().await;
        let proxy = FaultProxy::before(&moto.endpoint());
        let metadata = MetadataService::start();
        let config = client_config(&moto.endpoint()).await;
        Self {
            access: Access::new(config_of_peerl(&proxy), client(&metadata)),
            ec2: aws_sdk_ec2::Client::new(&config),
            config,
            moto,
            proxy,
            metadata,
        }
    }

    /// Starts this many instances with these tags.
    pub async fn launch(&self, count: usize, tags: &[(&str, &str)]) -> Vec<Instance> {
        self.reserve(1, count, tags).await
    }

    /// Starts this many instances in each of several reservations; moto's pages count reservations.
    pub async fn reserve(&self, reservations: usize, count: usize, tags: &[(&str, &str)]) -> Vec<Instance> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        let tags =
            TagSpecification::builder().resource_type(ResourceType::Instance).set_tags(Some(tags.collect())).build();
        let launch = |_| {
            let request = self.ec2.run_instances().image_id("ami-12c6146b").instance_type(InstanceType::T3Micro);
            let count = count.try_into().unwrap();
            let request = request.min_count(count).max_count(count).tag_specifications(tags.clone());
            async move { request.send().await.map(|answer| answer.instances().to_vec()) }
        };
        stream::iter(0..reservations).map(launch).buffer_unordered(4).try_concat().await.unwrap()
    }

    pub async fn stop(&self, instances: &[Instance]) {
        self.ec2.stop_instances().set_instance_ids(Some(ids(instances))).send().await.unwrap();
    }

    pub async fn terminate(&self, instances: &[Instance]) {
        self.ec2.terminate_instances().set_instance_ids(Some(ids(instances))).send().await.unwrap();
    }

    pub async fn tag(&self, instance: &Instance, key: &str, value: &str) {
        let tag = Tag::builder().key(key).value(value).build();
        self.ec2.create_tags().resources(instance.instance_id().unwrap()).tags(tag).send().await.unwrap();
    }

    /// Makes the metadata service describe this instance, without its tags.
    pub fn be(&self, instance: &Instance) {
        for (path, value) in [
            ("instance-id", instance.instance_id()),
            ("local-hostname", instance.private_dns_name()),
            ("local-ipv4", instance.private_ip_address()),
            ("public-ipv4", instance.public_ip_address()),
            ("placement/region", Some(Moto::REGION)),
            ("mac", Some("0e:00:00:00:00:01")),
            ("network/interfaces/macs/0e:00:00:00:00:01/vpc-id", instance.vpc_id()),
        ] {
            self.metadata.set(path, value.unwrap());
        }
    }

    pub fn strategy(&self, text: &str) -> Arc<dyn Strategy> {
        strategy(text, &self.access)
    }

    pub async fn find(&self, text: &str) -> Result<Peers, StrategyError> {
        self.strategy(text).discover().await.map(|answer| answer.peers)
    }
}

/// The strategy that a text describes, with this access.
pub fn strategy(text: &str, access: &Arc<Access>) -> Arc<dyn Strategy> {
    match text.parse().unwrap() {
        Spec::Ec2(settings) => Arc::new(Ec2::new(&settings, access.clone()).unwrap()),
        Spec::AutoScaling(settings) => Arc::new(AutoScaling::new(&settings, access.clone()).unwrap()),
        other => panic!("{other} is no strategy of EC2"),
    }
}

pub fn client(metadata: &MetadataService) -> InstanceMetadata {
    InstanceMetadata::at(&metadata.endpoint()).unwrap()
}

/// Access to this server instead.
pub fn access_to(endpoint: &str) -> Arc<Access> {
    let retries = RetryConfig::disabled();
    access(config(endpoint).to_builder().retry_config(retries).build())
}

/// With short pauses between attempts.
pub fn config_of_peerl(proxy: &FaultProxy) -> SdkConfig {
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(20));
    config(&proxy.endpoint()).to_builder().retry_config(retries).timeout_config(patient()).build()
}

pub fn ids(instances: &[Instance]) -> Vec<String> {
    instances.iter().map(|instance| instance.instance_id().unwrap().to_owned()).collect()
}

/// The expected nodes on these instances, with the default names.
pub fn nodes<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Peers {
    let name = |instance: &Instance| format!("node@{}", instance.private_dns_name().unwrap()).parse().unwrap();
    instances.into_iter().map(name).collect()
}
