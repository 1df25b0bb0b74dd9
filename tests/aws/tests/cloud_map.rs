//! Instances of Cloud Map are found by namespace, service, health and attributes; a failure of AWS is an error.
//!
//! Moto supports all of it, but fails at the address `data-127.0.0.1`: the strategy omits the prefix for addresses,
//! which these tests verify.

use aws_sdk_servicediscovery::Client;
use aws_sdk_servicediscovery::types::{CustomHealthStatus, HealthCheckCustomConfig};
use peerl_discovery::{Peers, Strategy, StrategyError};
use peerl_test_support::{FaultProxy, Moto, TaskMetadataService};

use peerl_aws_tests::ask::client_config;
use peerl_aws_tests::failures::{check_failures, kind};
use peerl_aws_tests::tasks::{self, facts, peers, strategy};

const WEB: &str = "cloudmap:namespace=prod.local,service=web";

/// Moto with a namespace `prod.local` and its services `web` and `other`, and peerl's proxy.
struct Registry {
    _moto: Moto,
    proxy: FaultProxy,
    client: Client,
    services: [String; 2],
}

impl Registry {
    async fn new() -> Self {
        let moto = Moto::start_async().await;
        let proxy = FaultProxy::before(&moto.endpoint());
        let client = Client::new(&client_config(&moto.endpoint()).await);
        client.create_http_namespace().name("prod.local").send().await.unwrap();
        let namespaces = client.list_namespaces().send().await.unwrap();
        let namespace = namespaces.namespaces()[0].id().unwrap().to_owned();
        let create = async |name: &str| {
            #[expect(deprecated, reason = "the service still wants it, or has no health that can be set")]
            let health = HealthCheckCustomConfig::builder().failure_threshold(1).build();
            let request = client.create_service().name(name).namespace_id(&namespace);
            let answer = request.health_check_custom_config(health).send().await.unwrap();
            answer.service().unwrap().id().unwrap().to_owned()
        };
        let services = [create("web").await, create("other").await];
        Self { _moto: moto, proxy, client, services }
    }

    async fn register(&self, id: &str, attributes: &[(&str, &str)]) {
        self.register_with(&self.services[0], id, attributes).await;
    }

    async fn register_with(&self, service: &str, id: &str, attributes: &[(&str, &str)]) {
        let request = self.client.register_instance().service_id(service).instance_id(id);
        let request = attributes.iter().fold(request, |request, (key, value)| request.attributes(*key, *value));
        request.send().await.unwrap();
    }

    async fn deregister(&self, id: &str) {
        self.client.deregister_instance().service_id(&self.services[0]).instance_id(id).send().await.unwrap();
    }

    async fn set_health(&self, id: &str, health: CustomHealthStatus) {
        let request = self.client.update_instance_custom_health_status();
        request.service_id(&self.services[0]).instance_id(id).status(health).send().await.unwrap();
    }

    fn strategy(&self, options: &str, own: Option<&TaskMetadataService>) -> std::sync::Arc<dyn Strategy> {
        strategy(&format!("{WEB}{options}"), &self.proxy.endpoint(), own)
    }

    async fn find(&self, options: &str) -> Result<Peers, StrategyError> {
        self.strategy(options, None).discover().await.map(|answer| answer.peers)
    }
}

#[tokio::test]
async fn instances_register_fall_ill_and_deregister() {
    let registry = Registry::new().await;
    let strategy = registry.strategy("", None);
    assert_eq!(strategy.discover().await.unwrap(), Peers::new());
    for number in 1..=3 {
        registry.register(&format!("i-{number}"), &[("AWS_INSTANCE_IPV4", &format!("10.0.0.{number}"))]).await;
    }
    registry.register_with(&registry.services[1], "i-9", &[("AWS_INSTANCE_IPV4", "10.0.0.9")]).await;
    let named = |numbers: &[u8]| peers(numbers.iter().map(|number| format!("node@10.0.0.{number}")));
    assert_eq!(strategy.discover().await.unwrap(), named(&[1, 2, 3]));

    registry.set_health("i-2", CustomHealthStatus::Unhealthy).await;
    for (options, found) in [
        ("", [1, 3].as_slice()),
        (",health=healthy", &[1, 3]),
        (",health=unhealthy", &[2]),
        (",health=all", &[1, 2, 3]),
    ] {
        assert_eq!(registry.find(options).await.unwrap(), named(found), "{options}");
    }
    // If all are unhealthy, the check is considered faulty: they stay, unless the user configures otherwise.
    for id in ["i-1", "i-3"] {
        registry.set_health(id, CustomHealthStatus::Unhealthy).await;
    }
    assert_eq!(strategy.discover().await.unwrap(), named(&[1, 2, 3]));
    assert_eq!(registry.find(",health=healthy").await.unwrap(), Peers::new());
    registry.set_health("i-1", CustomHealthStatus::Healthy).await;
    registry.deregister("i-3").await;
    assert_eq!(strategy.discover().await.unwrap(), named(&[1]));
    assert_eq!(registry.find(",health=all").await.unwrap(), named(&[1, 2]));
}

#[tokio::test]
async fn two_releases_side_by_side_never_mix() {
    let registry = Registry::new().await;
    for (id, address, release, stage) in [
        ("0001", "10.0.0.1", "blue", "prod"),
        ("0002", "10.0.0.2", "blue", "test"),
        ("0003", "10.0.0.3", "green", "prod"),
        ("0004", "10.0.0.4", "blues", "prod"),
    ] {
        registry.register(id, &[("AWS_INSTANCE_IPV4", address), ("release", release), ("stage", stage)]).await;
    }
    let find = async |options: &str| registry.find(options).await.unwrap();
    assert_eq!(find(",attribute=release=blue").await, peers(["node@10.0.0.1", "node@10.0.0.2"]));
    assert_eq!(find(",attribute=release=blue,attribute=stage=prod").await, peers(["node@10.0.0.1"]));
    assert_eq!(find(",attribute=release=blu").await, Peers::new());
    assert_eq!(find(",attribute=release=blue,attribute=release=green").await, Peers::new());

    // A task of ECS is registered under its id.
    let own = TaskMetadataService::start(facts("arn:aws:ecs:eu-central-1:1:task/prod/0003", "web", 1));
    let strategy = registry.strategy(",attribute=release", Some(&own));
    assert_eq!(strategy.discover().await.unwrap(), peers(["node@10.0.0.3"]));
    assert_eq!(registry.proxy.requests("DiscoverInstances"), 5, "three before; the own attributes, and the others");
    // Found out once: the own instance may disappear, and its metadata be unavailable.
    registry.register("0005", &[("AWS_INSTANCE_IPV4", "10.0.0.5"), ("release", "green")]).await;
    registry.deregister("0003").await;
    own.refuse();
    assert_eq!(strategy.discover().await.unwrap(), peers(["node@10.0.0.5"]));

    let own = TaskMetadataService::start(facts("arn:aws:ecs:eu-central-1:1:task/prod/0001", "web", 1));
    let error = registry.strategy(",attribute=color", Some(&own)).discover().await.unwrap_err();
    assert_eq!(error.to_string(), "there is no attribute color of this instance");
    let stranger = TaskMetadataService::start(facts("arn:aws:ecs:eu-central-1:1:task/prod/0099", "web", 1));
    let error = registry.strategy(",attribute=release", Some(&stranger)).discover().await.unwrap_err();
    assert!(error.to_string().starts_with("there is no instance 0099 registered with web"), "{error}");
}

#[tokio::test]
async fn hosts_and_names_are_made_by_rule() {
    let registry = Registry::new().await;
    let attributes =
        [("AWS_INSTANCE_IPV4", "10.0.0.1"), ("AWS_INSTANCE_IPV6", "fd00::1"), ("AWS_INSTANCE_PORT", "9100")];
    registry.register("i-1", &[attributes.as_slice(), &[("sname", "w1")]].concat()).await;
    for (options, node) in [
        ("", "node@10.0.0.1"),
        (",host=ipv6,basename=app", "app@fd00::1"),
        (",host={instance_id}.example.org,basename=w{port}", "w9100@i-1.example.org"),
        (",basename=attribute:sname", "w1@10.0.0.1"),
    ] {
        assert_eq!(registry.find(options).await.unwrap(), peers([node]), "{options}");
    }
    registry.register("i-2", &[("AWS_INSTANCE_CNAME", "b.example.org")]).await;
    assert_eq!(registry.find("").await.unwrap(), peers(["node@10.0.0.1", "node@b.example.org"]));
    assert_eq!(registry.find(",host=ipv4").await.unwrap(), peers(["node@10.0.0.1"]));
    let error = registry.find(",host=attribute:color").await.unwrap_err();
    assert_eq!(kind(&error), "unnamed", "{error}");
}

#[tokio::test]
async fn each_failure_says_whose_fault_it_is() {
    let registry = Registry::new().await;
    for number in 0..150 {
        registry.register(&format!("i-{number}"), &[("AWS_INSTANCE_IPV4", &format!("10.0.0.{number}"))]).await;
    }
    let (strategy, all) = (registry.strategy("", None), peers((0..150).map(|number| format!("node@10.0.0.{number}"))));
    // All of them at once: this list has no pages.
    assert_eq!(strategy.discover().await.unwrap(), all);
    assert_eq!(registry.proxy.requests("*"), 1);
    let iam = "servicediscovery:DiscoverInstances";
    check_failures(&*strategy, &registry.proxy, "DiscoverInstances", iam, &all).await;
    for (spec, code) in [
        ("cloudmap:namespace=none,service=web", "NamespaceNotFound"),
        ("cloudmap:namespace=prod.local,service=none", "ServiceNotFound"),
    ] {
        let error = tasks::strategy(spec, &registry.proxy.endpoint(), None).discover().await.unwrap_err();
        assert!(kind(&error) == "refused" && error.to_string().contains(code), "{error}");
    }
}
