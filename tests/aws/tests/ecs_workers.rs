//! Workers in tasks of ECS name themselves, find each other but no other release, and report errors in one line.

use std::time::{Duration, Instant};

use peerl_discovery::{Identity, Peers};
use peerl_node::{Atom, ErrorChain, Mfa, Node, NodeName};
use peerl_test_support::{
    COOKIE, Epmd, Fault, FaultProxy, ProcessGuard, TaskMetadataService, Times, aws_env, peerl_command,
};

#[path = "../../stage/mod.rs"]
mod stage;

use peerl_aws_tests::tasks::{EcsServer, ServedTask, facts, peers, strategy};
use stage::Stage;

const A_WHILE: Duration = Duration::from_secs(60);

/// A worker in a task. All tasks are on this machine, and differ in the basename.
struct Worker {
    process: ProcessGuard,
    _metadata: TaskMetadataService,
    name: NodeName,
}

impl Worker {
    fn start(epmd: &Epmd, endpoint: &str, task: &ServedTask) -> Self {
        let mut facts = facts(&task.arn(), &task.family, task.revision);
        facts.private_ip.clone_from(&task.private_ip);
        facts.service.clone_from(&task.service);
        let metadata = TaskMetadataService::start(facts);
        let mut command = command(endpoint, Some(&metadata));
        command.args([
            "worker",
            "--name",
            "auto:ecs,basename={task_id}",
            "--listen",
            "127.0.0.1",
            "--interval",
            "200ms",
        ]);
        command.args(["--discover", "ecs:revision=@mine,basename={task_id}"]);
        command.env("ERL_EPMD_PORT", epmd.port().to_string());
        let process = ProcessGuard::spawn(&mut command);
        let ready = process.wait_for_line("ready", A_WHILE);
        let name: NodeName = ready.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(name, format!("{}@127.0.0.1", task.id).as_str());
        Self { process, _metadata: metadata, name }
    }

    async fn nodes(&self, node: &Node) -> Peers {
        let nodes = node.call::<Vec<Atom>>(&self.name, Mfa::new("erlang", "nodes", ()).unwrap()).await.unwrap();
        peers(nodes.iter().map(Atom::as_str))
    }
}

/// `peerl`, run as in a container.
fn command(endpoint: &str, metadata: Option<&TaskMetadataService>) -> std::process::Command {
    let mut command = peerl_command();
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("ECS_")) {
            command.env_remove(name);
        }
    }
    command.envs(aws_env(endpoint)).env("PEERL_COOKIE", COOKIE);
    if let Some(metadata) = metadata {
        command.env("ECS_CONTAINER_METADATA_URI_V4", metadata.uri());
    }
    command
}

/// Waits until each worker is connected to all others, and to no other node.
async fn joined(node: &Node, workers: &[&Worker]) {
    let end = Instant::now() + A_WHILE;
    for worker in workers {
        let others: Peers = workers.iter().filter(|it| it.name != worker.name).map(|it| it.name.clone()).collect();
        loop {
            let nodes = worker.nodes(node).await;
            if nodes == others {
                break;
            }
            assert!(Instant::now() < end, "{} has {nodes:?}, not {others:?}", worker.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_replaces_a_release_and_they_never_mix() {
    let stage = Stage::new();
    let node = stage.hidden().await;
    let task = |id: &str, revision| ServedTask { revision, ..ServedTask::new(id, "127.0.0.1") };
    let (blue, green) = (["b1", "b2", "b3"].map(|id| task(id, 1)), ["g1", "g2"].map(|id| task(id, 2)));
    let server = EcsServer::start(blue.iter().cloned());
    let proxy = FaultProxy::before(&server.endpoint());
    let start = |task: &ServedTask| Worker::start(&stage.epmd, &proxy.endpoint(), task);
    let old: Vec<Worker> = blue.iter().map(start).collect();
    joined(&node, &old.iter().collect::<Vec<_>>()).await;

    // The new release starts beside it, while the service fails at times.
    proxy.fail("*", Fault::Throttle, Times::Next(10));
    server.change(|tasks| tasks.extend(green.iter().cloned()));
    let new: Vec<Worker> = green.iter().map(start).collect();
    joined(&node, &new.iter().collect::<Vec<_>>()).await;
    joined(&node, &old.iter().collect::<Vec<_>>()).await;

    // One of the old ones drains: its connections stay, and once it has ended no worker looks for it.
    server.change(|tasks| tasks[0].desired_status = "STOPPED".to_owned());
    for fault in [Fault::ServerError, Fault::CutContent] {
        proxy.fail("DescribeTasks", fault, Times::Next(5));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    joined(&node, &old.iter().collect::<Vec<_>>()).await;
    old[0].process.sigterm();
    assert!(old[0].process.wait(A_WHILE).success());
    joined(&node, &[&old[1], &old[2]]).await;

    // One dies, and another task replaces it.
    old[1].process.kill();
    server.change(|tasks| tasks[1] = task("b4", 1));
    let replacement = start(&task("b4", 1));
    joined(&node, &[&old[2], &replacement]).await;
    joined(&node, &new.iter().collect::<Vec<_>>()).await;
}

/// The node names itself by the rule by which others find it.
#[tokio::test]
async fn a_node_is_found_under_the_name_that_it_has_given_itself() {
    let task = ServedTask { tags: vec![("Name".to_owned(), "w1".to_owned())], ..ServedTask::new("0123", "10.0.0.7") };
    let server = EcsServer::start([task.clone(), ServedTask::new("0124", "10.0.0.8")]);
    let mut facts = facts(&task.arn(), "web", 1);
    facts.private_ip = "10.0.0.7".to_owned();
    facts.service = "web".to_owned();
    facts.tags = r#""Name": "w1""#.to_owned();
    let service = TaskMetadataService::start(facts);
    let metadata = peerl_discovery::aws::TaskMetadata::at(&service.uri());
    for options in ["", ",basename={family}-{revision}", ",host={task_id}.{service}.x", ",basename=tag:Name"] {
        let Ok(Identity::Ecs(identity)) = format!("auto:ecs{options}").parse() else { panic!("{options}") };
        let name = identity.name(&metadata).await.unwrap();
        let spec = format!("ecs:prod,service=web{options}");
        let found = strategy(&spec, &server.endpoint(), None).discover().await.unwrap();
        assert!(found.contains(&name), "{options}: {name} {found:?}");
    }
    let Ok(Identity::Ecs(identity)) = "auto:ecs,basename=tag:Color".parse() else { panic!("not of ECS") };
    let error = ErrorChain(&identity.name(&metadata).await.unwrap_err()).to_string();
    assert!(error.contains("it has no tag:Color"), "{error}");
    service.refuse();
    let error = ErrorChain(&identity.name(&metadata).await.unwrap_err()).to_string();
    assert!(error.contains("the ECS task metadata gives no answer"), "{error}");
}

#[test]
fn complaints_are_one_line_with_a_hint() {
    let server = EcsServer::start([ServedTask::new("t1", "")]);
    let proxy = FaultProxy::before(&server.endpoint());
    let complaint = |arguments: &[&str]| {
        let output = command(&proxy.endpoint(), None).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{text}");
        let last = text.trim_end().lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("peerl: "), "{text}");
        last
    };
    for (spec, action, fault, parts) in [
        ("ecs:prod,service=web", "ListTasks", Some(Fault::AccessDenied), ["allow the action ecs:ListTasks", "policy"]),
        ("ecs:prod,service=web", "DescribeTasks", Some(Fault::AccessDenied), ["ecs:DescribeTasks", "policy"]),
        ("ecs:prod,service=web", "ListTasks", Some(Fault::ExpiredCredentials), ["expired", "clock"]),
        ("ecs:prod,service=none", "", None, ["ecs:ListTasks", "ServiceNotFoundException"]),
        ("ecs:prod,service=web", "", None, ["t1", "awsvpc"]),
        ("ecs:revision=@mine", "", None, ["ECS_CONTAINER_METADATA_URI_V4 is not set", "is this a task of ECS?"]),
        (
            "cloudmap:namespace=prod.local,service=web",
            "DiscoverInstances",
            Some(Fault::AccessDenied),
            ["allow the action servicediscovery:DiscoverInstances", "policy"],
        ),
    ] {
        proxy.heal();
        if let Some(fault) = fault {
            proxy.fail(action, fault, Times::Always);
        }
        let line = complaint(&["discover", spec]);
        assert!(parts.iter().all(|part| line.contains(part)), "{spec}: {line}");
    }
    let line = complaint(&["worker", "--name", "auto:ecs", "--discover", "ecs"]);
    assert!(line.contains("auto:ecs") && line.contains("is this a task of ECS?"), "{line}");
}
