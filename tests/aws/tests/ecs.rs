//! Tasks of ECS are found: those that run and have the own release, from all pages; a failure of AWS is an error.
//!
//! Against moto where possible: it runs tasks with network interfaces and tags, and drains them. Its services have no
//! tasks, its lists no pages, its containers no digests; a server of the test has them.

use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, ContainerDefinition, LaunchType, NetworkConfiguration, NetworkMode, Tag, Task,
};
use peerl_discovery::{Peers, Strategy, StrategyError};
use peerl_test_support::{Answer, Fault, FaultProxy, HttpServer, Moto, Request, Response, TaskMetadataService, Times};

use peerl_aws_tests::ask::client_config;
use peerl_aws_tests::failures::{check_failures, kind};
use peerl_aws_tests::tasks::{EcsServer, ServedTask, facts, peers, strategy};

/// Moto with a cluster `prod`, and peerl's proxy.
struct Cluster {
    moto: Moto,
    proxy: FaultProxy,
    ecs: Client,
    subnet: String,
}

impl Cluster {
    async fn new() -> Self {
        let moto = Moto::start_async().await;
        let proxy = FaultProxy::before(&moto.endpoint());
        let ecs = Client::new(&client_config(&moto.endpoint()).await);
        ecs.create_cluster().cluster_name("prod").send().await.unwrap();
        let subnet = default_subnet(&moto);
        let cluster = Self { moto, proxy, ecs, subnet };
        cluster.steps_after(1_000_000);
        cluster
    }

    /// Moto's tasks advance towards their end after this many descriptions.
    fn steps_after(&self, descriptions: usize) {
        let body = format!(
            r#"{{"model_name": "ecs::task", "transition": {{"progression": "manual", "times": {descriptions}}}}}"#
        );
        self.moto.control("POST", "/moto-api/state-manager/set-transition", &body);
    }

    /// A new revision of the family.
    async fn revision(&self, family: &str) -> String {
        let container = ContainerDefinition::builder().name("app").image("app:latest").memory(128).build();
        let request = self.ecs.register_task_definition().family(family).network_mode(NetworkMode::Awsvpc);
        let answer = request.container_definitions(container).send().await.unwrap();
        answer.task_definition().and_then(|it| it.task_definition_arn()).unwrap().to_owned()
    }

    async fn run(&self, definition: &str, count: i32, tags: &[(&str, &str)]) -> Vec<Task> {
        let network = AwsVpcConfiguration::builder().subnets(&self.subnet).security_groups("sg-1").build().unwrap();
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
        let request = self.ecs.run_task().cluster("prod").task_definition(definition).count(count).set_tags(Some(tags));
        let network = NetworkConfiguration::builder().awsvpc_configuration(network).build();
        let request = request.launch_type(LaunchType::Fargate).network_configuration(network);
        request.send().await.unwrap().tasks.unwrap()
    }

    fn strategy(&self, text: &str, own: Option<&TaskMetadataService>) -> std::sync::Arc<dyn Strategy> {
        strategy(text, &self.proxy.endpoint(), own)
    }

    async fn find(&self, text: &str, own: Option<&TaskMetadataService>) -> Result<Peers, StrategyError> {
        self.strategy(text, own).discover().await.map(|answer| answer.peers)
    }
}

/// Moto comes with a default VPC.
fn default_subnet(moto: &Moto) -> String {
    let scope = format!("testing/20260101/{}/ec2/aws4_request", Moto::REGION);
    let request = Request::new("POST", "/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", &format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
        .body("Action=DescribeSubnets&Version=2016-11-15");
    let answer = request.send(&moto.endpoint()).unwrap().body_text();
    let (_, rest) = answer.split_once("<subnetId>").unwrap();
    rest.split('<').next().unwrap().to_owned()
}

fn detail<'a>(task: &'a Task, name: &str) -> &'a str {
    let details = task.attachments()[0].details();
    details.iter().find(|detail| detail.name() == Some(name)).unwrap().value().unwrap()
}

fn nodes<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Peers {
    peers(tasks.into_iter().map(|task| format!("node@{}", detail(task, "privateIPv4Address"))))
}

fn own(task: &Task, family: &str, revision: u32) -> TaskMetadataService {
    TaskMetadataService::start(facts(task.task_arn().unwrap(), family, revision))
}

#[tokio::test]
async fn two_revisions_side_by_side_never_mix() {
    let cluster = Cluster::new().await;
    let (first, second) = (cluster.revision("web").await, cluster.revision("web").await);
    let other = cluster.revision("other").await;
    let blue = cluster.run(&first, 3, &[("csrelease", "blue")]).await;
    let green = cluster.run(&second, 2, &[("csrelease", "green")]).await;
    cluster.run(&other, 2, &[]).await;

    let all = nodes(blue.iter().chain(&green));
    assert_eq!(cluster.find("ecs:prod,family=web", None).await.unwrap(), all);
    assert_eq!(cluster.find("ecs:prod,family=web,family=other", None).await.unwrap().len(), 7);
    for text in ["ecs:prod,family=web,revision=2", "ecs:prod,family=web,family=other,revision=web:2"] {
        assert_eq!(cluster.find(text, None).await.unwrap(), nodes(&green), "{text}");
    }
    assert_eq!(cluster.find("ecs:prod,family=web,tag=csrelease=blue", None).await.unwrap(), nodes(&blue));
    assert_eq!(cluster.find("ecs:prod,family=web,tag=csrelease=blu", None).await.unwrap(), Peers::new());

    // The same as mine, once for each of two; cluster and family are mine, too.
    for (mine, revision) in [(&blue, 1), (&green, 2)] {
        let own = own(&mine[0], "web", revision);
        for text in ["ecs:revision=@mine", "ecs:prod,family=web,tag=csrelease", "ecs:tag=csrelease,revision=@mine"] {
            assert_eq!(cluster.find(text, Some(&own)).await.unwrap(), nodes(mine), "{text}");
        }
    }
    let own = own(&blue[0], "web", 1);
    let error = cluster.find("ecs:prod,family=web,tag=color", Some(&own)).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no tag color of this task"), "{error}");
}

#[tokio::test]
async fn members_come_drain_and_go() {
    let cluster = Cluster::new().await;
    let definition = cluster.revision("web").await;
    let started = cluster.run(&definition, 3, &[]).await;
    let strategy = cluster.strategy("ecs:prod,family=web", None);
    assert_eq!(strategy.discover().await.unwrap(), nodes(&started));
    let newcomer = cluster.run(&definition, 1, &[]).await;
    assert_eq!(strategy.discover().await.unwrap(), nodes(started.iter().chain(&newcomer)));
    let stop = cluster.ecs.stop_task().cluster("prod").task(started[0].task_arn().unwrap());
    stop.send().await.unwrap();
    assert_eq!(strategy.discover().await.unwrap(), nodes(started[1..].iter().chain(&newcomer)));

    // All remaining tasks drain: deactivating, stopping, deprovisioning, stopped. They are still listed then.
    cluster.steps_after(1);
    for _ in 0..4 {
        assert_eq!(strategy.discover().await.unwrap(), Peers::new());
    }
    assert!(cluster.ecs.list_tasks().cluster("prod").send().await.unwrap().task_arns().len() >= 3);
}

#[tokio::test]
async fn hosts_and_names_are_made_by_rule() {
    let cluster = Cluster::new().await;
    let definition = cluster.revision("web").await;
    let task = &cluster.run(&definition, 1, &[("Name", "w1")]).await[0];
    let id = task.task_arn().unwrap().rsplit('/').next().unwrap();
    for (options, node) in [
        ("host=private-dns", format!("node@{}", detail(task, "privateDnsName"))),
        ("host={private-ip},basename={family}-{revision}", format!("web-1@{}", detail(task, "privateIPv4Address"))),
        ("host={task_id}.example.org,basename=tag:Name", format!("w1@{id}.example.org")),
    ] {
        let found = cluster.find(&format!("ecs:prod,family=web,{options}"), None).await.unwrap();
        assert_eq!(found, peers([node]), "{options}");
    }
    // A task without a name by the rule is left out, unless all lack one.
    cluster.run(&definition, 1, &[]).await;
    assert_eq!(cluster.find("ecs:prod,family=web,basename=tag:Name", None).await.unwrap().len(), 1);
    let error = cluster.find("ecs:prod,family=web,basename=tag:Color", None).await.unwrap_err();
    assert_eq!(kind(&error), "unnamed", "{error}");
}

#[tokio::test]
async fn each_failure_says_whose_fault_it_is() {
    let cluster = Cluster::new().await;
    let definition = cluster.revision("web").await;
    // More than one page of DescribeTasks.
    let mut tasks = Vec::new();
    for _ in 0..12 {
        tasks.extend(cluster.run(&definition, 10, &[]).await);
    }
    let (strategy, all) = (cluster.strategy("ecs:prod,family=web", None), nodes(&tasks));
    assert_eq!(strategy.discover().await.unwrap(), all);
    assert_eq!((cluster.proxy.requests("ListTasks"), cluster.proxy.requests("DescribeTasks")), (1, 2));
    check_failures(&*strategy, &cluster.proxy, "ListTasks", "ecs:ListTasks", &all).await;

    // A failed page fails the whole poll: a part of a list does not count as the whole.
    for fault in [Fault::AccessDenied, Fault::CutContent, Fault::ExpiredCredentials] {
        cluster.proxy.fail("DescribeTasks", fault.clone(), Times::After(1));
        let error = strategy.discover().await.unwrap_err();
        assert!(error.to_string().contains("ecs:DescribeTasks"), "{fault:?}: {error}");
        assert_eq!(strategy.discover().await.unwrap(), all);
    }
    let error = cluster.find("ecs:other,family=web", None).await.unwrap_err();
    assert!(error.to_string().contains("ClusterNotFoundException"), "{error}");
}

#[tokio::test]
async fn a_service_of_several_pages() {
    let tasks = |service: &'static str, count: usize| {
        (0..count).map(move |number| {
            let task =
                ServedTask::new(&format!("{service}-{number}"), &format!("10.1.{}.{}", number / 250, number % 250));
            ServedTask { service: service.to_owned(), ..task }
        })
    };
    let served: Vec<ServedTask> = tasks("web", 342).collect();
    let others =
        tasks("worker", 20).map(|task| ServedTask { private_ip: format!("10.2.{}", &task.private_ip[5..]), ..task });
    let server = EcsServer::start(served.iter().cloned().chain(others));
    let proxy = FaultProxy::before(&server.endpoint());
    let all = peers(served.iter().map(|task| format!("node@{}", task.private_ip)));
    let web = strategy("ecs:prod,service=web", &proxy.endpoint(), None);
    assert_eq!(web.discover().await.unwrap(), all);
    assert_eq!((proxy.requests("ListTasks"), proxy.requests("DescribeTasks")), (4, 4));
    let both = strategy("ecs:prod,service=web,service=worker", &proxy.endpoint(), None);
    assert_eq!(both.discover().await.unwrap().len(), 362);

    for action in ["ListTasks", "DescribeTasks"] {
        for page in 0..4 {
            proxy.fail(action, Fault::CutContent, Times::After(page));
            let error = web.discover().await.unwrap_err();
            assert_eq!(kind(&error), "malformed", "{action} {page}: {error}");
            proxy.heal();
        }
    }
    // A task that disappears between list and description is not a failure.
    proxy.forget_requests();
    proxy.fail("DescribeTasks", Fault::Delay(Duration::from_secs(5)), Times::Next(4));
    let (found, ()) = tokio::join!(web.discover(), async {
        while proxy.requests("DescribeTasks") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.change(|tasks| tasks.remove(0));
    });
    assert_eq!(found.unwrap().len(), 341);
    let error = strategy("ecs:prod,service=none", &proxy.endpoint(), None).discover().await.unwrap_err();
    assert!(error.to_string().contains("ServiceNotFoundException"), "{error}");
}

#[tokio::test]
async fn digests_of_images_tell_releases_apart() {
    // The same revision with another image behind the same reference, as after a push of `latest`.
    let task = |number: u8, digest: &str| ServedTask {
        digest: digest.to_owned(),
        ..ServedTask::new(&format!("t{number}"), &format!("10.0.0.{number}"))
    };
    let server = EcsServer::start([task(1, "sha256:old"), task(2, "sha256:old"), task(3, "sha256:new")]);
    let me = |number: u8| {
        let arn = task(number, "").arn();
        TaskMetadataService::start(peerl_test_support::TaskFacts { service: "web".to_owned(), ..facts(&arn, "web", 1) })
    };
    let find =
        async |text: &str, own: Option<&TaskMetadataService>| strategy(text, &server.endpoint(), own).discover().await;
    let (old, new) = (peers(["node@10.0.0.1", "node@10.0.0.2"]), peers(["node@10.0.0.3"]));
    assert_eq!(find("ecs:prod,service=web,image=sha256:old", None).await.unwrap(), old);
    assert_eq!(find("ecs:prod,service=web,image=sha256:old,container=log", None).await.unwrap(), Peers::new());
    assert_eq!(find("ecs:prod,service=web,image=web:latest", None).await.unwrap().len(), 3);
    assert_eq!(find("ecs:image=@mine", Some(&me(1))).await.unwrap(), old);
    assert_eq!(find("ecs:image=@mine,revision=@mine", Some(&me(3))).await.unwrap(), new);
    // A draining task is no longer listed, and still knows its own revision.
    server.change(|tasks| tasks[2].desired_status = "STOPPED".to_owned());
    server.change(|tasks| tasks.push(task(4, "sha256:new")));
    assert_eq!(find("ecs:image=@mine", Some(&me(3))).await.unwrap(), peers(["node@10.0.0.4"]));
    // A known value is not requested again; a missing digest is an error, and does not match all.
    server.change(|tasks| tasks[0].digest.clear());
    let error = find("ecs:image=@mine", Some(&me(1))).await.unwrap_err();
    assert!(error.to_string().contains("has no image digest"), "{error}");
}

#[tokio::test]
async fn the_metadata_service_away() {
    let server = EcsServer::start([ServedTask::new("t1", "10.0.0.1")]);
    let own = TaskMetadataService::start(facts(&ServedTask::new("t1", "").arn(), "web", 1));
    let known = strategy("ecs:revision=@mine", &server.endpoint(), Some(&own));
    assert_eq!(known.discover().await.unwrap(), peers(["node@10.0.0.1"]));
    own.refuse();
    // A known value stays known; the first request gets an error.
    assert_eq!(known.discover().await.unwrap(), peers(["node@10.0.0.1"]));
    let error = strategy("ecs:revision=@mine", &server.endpoint(), Some(&own)).discover().await.unwrap_err();
    assert_eq!(kind(&error), "task metadata", "{error}");
    // Outside of ECS, `@mine` is an error.
    let error = strategy("ecs:prod", &server.endpoint(), None).discover().await.unwrap_err();
    assert!(error.to_string().contains("ECS_CONTAINER_METADATA_URI_V4 is not set"), "{error}");

    for (answer, message) in [
        (Answer::Whole(Response::json(200, "{\"Cluster\": \"pr")), "EOF"),
        (Answer::Whole(Response::json(200, "{}")), "missing field"),
        (Answer::Whole(Response::text(404, "no")), "status 404"),
        (Answer::Whole(Response::text(500, "no")), "status 500"),
        (Answer::CutAfter(Response::json(200, "{\"Cluster\": \"prod\"}"), 5), "v4"),
        (Answer::Whole(Response::json(200, &" ".repeat(2 << 20))), "limit"),
    ] {
        let broken = HttpServer::start(move |_| answer.clone());
        let metadata = peerl_discovery::aws::TaskMetadata::at(&format!("{}/v4/1", broken.endpoint()));
        let error = metadata.task().await.unwrap_err();
        assert!(kind(&error) == "task metadata" && error.to_string().contains(message), "{message}: {error}");
    }
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    for next in ["\"same\"", "null"] {
        let tokens = std::sync::atomic::AtomicUsize::new(0);
        let server = HttpServer::start(move |_| {
            let number = tokens.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let next = if next == "null" { format!("\"{number}\"") } else { next.to_owned() };
            Response::json(200, &format!(r#"{{"taskArns": ["arn:aws:ecs:x:1:task/prod/1"], "nextToken": {next}}}"#))
        });
        let error = strategy("ecs:prod,family=web", &server.endpoint(), None).discover().await.unwrap_err();
        assert_eq!(error.to_string(), "ecs:ListTasks had a malformed answer: its pages have no end");
    }
}
