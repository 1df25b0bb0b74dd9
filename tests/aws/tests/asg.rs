//! The instances of an auto scaling group are found as it grows and shrinks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{LaunchTemplateSpecification, Tag};
use aws_sdk_ec2::types::RequestLaunchTemplateData;
use peerl_discovery::{Coverage, Peers, StrategyError};
use peerl_test_support::{COOKIE, Epmd, Fault, HttpServer, ProcessGuard, Response, Times, aws_env, peerl_command};

use peerl_aws_tests::fleet::{self, Fleet, nodes};

const A_WHILE: Duration = Duration::from_secs(60);

/// The strategy for a group's members, which all run on this machine, as their tag `host` says.
const HERE: &str = "asg:web,host=tag:host,basename={instance_id}";

struct Group {
    fleet: Fleet,
    client: Client,
}

impl Group {
    async fn new(name: &str, size: i32) -> Self {
        let fleet = Fleet::new().await;
        let data = RequestLaunchTemplateData::builder().image_id("ami-12c6146b").build();
        let template = fleet.ec2.create_launch_template().launch_template_name("worker").launch_template_data(data);
        template.send().await.unwrap();
        let group = Self { client: Client::new(&fleet.config), fleet };
        group.create(name, size).await;
        group
    }

    async fn create(&self, name: &str, size: i32) {
        let template = LaunchTemplateSpecification::builder().launch_template_name("worker").version("$Latest").build();
        let group = self.client.create_auto_scaling_group().auto_scaling_group_name(name).launch_template(template);
        let group = group.min_size(0).max_size(50).desired_capacity(size).availability_zones("eu-central-1a");
        let group = group.tags(Tag::builder().key("host").value("127.0.0.1").propagate_at_launch(true).build());
        group.send().await.unwrap();
    }

    async fn resize(&self, name: &str, size: i32) {
        let request = self.client.set_desired_capacity().auto_scaling_group_name(name).desired_capacity(size);
        request.send().await.unwrap();
    }

    /// The ids of the group's members, in any state.
    async fn members(&self, name: &str) -> Vec<String> {
        let request = self.client.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let answer = request.send().await.unwrap();
        let members = answer.auto_scaling_groups()[0].instances().iter();
        members.map(|member| member.instance_id().unwrap().to_owned()).collect()
    }

    /// The nodes on these instances.
    async fn nodes(&self, ids: &[String]) -> Peers {
        let answer = self.fleet.ec2.describe_instances().set_instance_ids(Some(ids.to_vec())).send().await.unwrap();
        nodes(answer.reservations().iter().flat_map(|reservation| reservation.instances()))
    }
}

#[tokio::test]
async fn a_group_grows_and_shrinks() {
    let group = Group::new("web", 3).await;
    group.create("other", 4).await;
    let strategy = group.fleet.strategy("asg:web");
    let mut seen = Vec::new();
    for size in [3, 7, 2] {
        group.resize("web", size).await;
        let members = group.members("web").await;
        assert_eq!(members.len(), size as usize);
        assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await, "{size}");
        seen.extend(members);
    }
    group.resize("web", 0).await;
    assert_eq!(strategy.discover().await.unwrap(), Peers::new());
    assert_eq!(group.fleet.find("asg:other").await.unwrap().len(), 4);
}

#[tokio::test]
async fn those_on_standby_are_left_alone() {
    let group = Group::new("web", 3).await;
    let members = group.members("web").await;
    let standby = group.client.enter_standby().auto_scaling_group_name("web").instance_ids(&members[0]);
    standby.should_decrement_desired_capacity(true).send().await.unwrap();
    let strategy = group.fleet.strategy("asg:group=web,host=private-dns");
    let answer = strategy.discover().await.unwrap();
    assert_eq!(answer, group.nodes(&members[1..]).await);
    assert_eq!((answer.coverage, answer.ended), (Coverage::Whole, group.nodes(&members[..1]).await));
    let back = group.client.exit_standby().auto_scaling_group_name("web").instance_ids(&members[0]);
    back.send().await.unwrap();
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await);
    // A member that dies before its group notices it.
    group.fleet.ec2.stop_instances().instance_ids(&members[0]).send().await.unwrap();
    assert!(!strategy.discover().await.unwrap().is_superset(&group.nodes(&members[..1]).await));
}

#[tokio::test]
async fn my_own_group() {
    let group = Group::new("web", 3).await;
    let members = group.members("web").await;
    group.fleet.metadata.set("instance-id", &members[1]);
    let strategy = group.fleet.strategy("asg");
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await);
    assert_eq!(group.fleet.find("ec2:asg=web").await.unwrap(), group.nodes(&members).await);

    for action in ["DescribeAutoScalingGroups", "DescribeInstances"] {
        group.fleet.proxy.fail(action, Fault::AccessDenied, Times::Next(1));
        match strategy.discover().await {
            Err(StrategyError::AccessDenied { action: denied, .. }) => assert!(denied.ends_with(action), "{denied}"),
            other => panic!("{other:?}"),
        }
    }
    group.fleet.proxy.fail("DescribeAutoScalingGroups", Fault::CutContent, Times::Next(1));
    assert!(matches!(strategy.discover().await, Err(StrategyError::Malformed { .. })));
    group.fleet.proxy.fail("DescribeAutoScalingGroups", Fault::Throttle, Times::Next(1));
    assert!(matches!(strategy.discover().await, Err(StrategyError::Throttled { .. })), "left to the next poll");
    assert_eq!(strategy.discover().await.unwrap(), group.nodes(&members).await);

    match group.fleet.find("asg:none").await {
        Err(StrategyError::NotFound { what }) => assert!(what.contains("\"none\""), "{what}"),
        other => panic!("{other:?}"),
    }
    let lonely = group.fleet.launch(1, &[("Name", "lonely")]).await;
    group.fleet.metadata.set("instance-id", lonely[0].instance_id().unwrap());
    let metadata = fleet::client(&group.fleet.metadata);
    let access = peerl_discovery::aws::Access::new(fleet::config_of_peerl(&group.fleet.proxy), metadata);
    assert!(matches!(fleet::strategy("asg", &access).discover().await, Err(StrategyError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_grows_and_shrinks_while_a_fan_out_runs() {
    const PAGES: usize = 300;
    let (group, epmd, pages) = (Group::new("web", 2).await, Epmd::start(), Pages::serve());
    let mut workers: HashMap<String, ProcessGuard> = HashMap::new();
    group.start_missing(&epmd, &mut workers).await;
    let directory = tempfile::tempdir().unwrap();
    let (list, out) = (directory.path().join("urls"), directory.path().join("results.jsonl"));
    let urls: Vec<String> = (0..PAGES).map(|page| format!("{}/{page}", pages.server.endpoint())).collect();
    std::fs::write(&list, urls.join("\n")).unwrap();
    let mut job = group.command(&epmd);
    job.args(["checksum", "--concurrency", "4", "--timeout", "60s", "--discover", HERE]);
    let job = ProcessGuard::spawn(job.arg("--file").arg(&list).arg("--out").arg(&out));

    // Both have the maximum of requests pending; so do four workers, and finally three.
    pages.open(60);
    pages.wait_for_held(2 * 4).await;
    group.resize("web", 4).await;
    group.start_missing(&epmd, &mut workers).await;
    let all: BTreeSet<String> = workers.keys().map(|id| format!("{id}@127.0.0.1")).collect();
    pages.wait_for_held(4 * 4).await;
    pages.open(150);
    pages.wait_for_answered(150).await;
    group.resize("web", 3).await;
    let members = group.members("web").await;
    workers.retain(|id, _| members.contains(id));
    assert_eq!(workers.len(), 3);
    pages.open(PAGES);

    let status = job.wait(A_WHILE);
    assert_eq!(status.code(), Some(0), "{}", job.stderr());
    let results = std::fs::read_to_string(&out).unwrap();
    // The first line names the call to which the file belongs.
    let results: Vec<serde_json::Value> =
        results.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |result: &serde_json::Value, key: &str| result[key].as_str().unwrap().to_owned();
    assert_eq!(results.len(), PAGES, "each has one result");
    assert!(results.iter().all(|result| result["status"] == 200));
    let done: BTreeSet<String> = results.iter().map(|result| text(result, "url")).collect();
    assert_eq!(done, urls.into_iter().collect(), "nothing is lost");
    assert_eq!(results.iter().map(|result| text(result, "node")).collect::<BTreeSet<_>>(), all, "all have done some");
}

impl Group {
    /// `peerl`, run as on an instance, or by a user with access to AWS.
    fn command(&self, epmd: &Epmd) -> std::process::Command {
        let mut command = peerl_command();
        command.envs(aws_env(&self.fleet.moto.endpoint())).env("PEERL_COOKIE", COOKIE);
        command.env("ERL_EPMD_PORT", epmd.port().to_string());
        command
    }

    /// Starts the workers of the members without one.
    async fn start_missing(&self, epmd: &Epmd, workers: &mut HashMap<String, ProcessGuard>) {
        for id in self.members("web").await {
            workers.entry(id).or_insert_with_key(|id| {
                let mut worker = self.command(epmd);
                worker.args(["worker", "--listen", "127.0.0.1", "--name", &format!("{id}@127.0.0.1")]);
                let worker = ProcessGuard::spawn(&mut worker);
                worker.wait_for_line("ready", A_WHILE);
                worker
            });
        }
    }
}

/// Pages with numbers for paths; the answers from some number on are held back.
struct Pages {
    server: HttpServer,
    open: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Pages {
    fn serve() -> Self {
        let [open, held, answered] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let (limit, waiting, done) = (open.clone(), held.clone(), answered.clone());
        let server = HttpServer::start(move |request| {
            let page: usize = request.path[1..].parse().unwrap();
            let end = Instant::now() + A_WHILE;
            waiting.fetch_add(1, Ordering::SeqCst);
            while page >= limit.load(Ordering::SeqCst) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            waiting.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
            Response::text(200, &format!("the page {page}\n"))
        });
        Self { server, open, held, answered }
    }

    /// Releases the pages before this number.
    fn open(&self, count: usize) {
        self.open.store(count, Ordering::SeqCst);
    }

    /// Waits until at least this many requests are held back.
    async fn wait_for_held(&self, count: usize) {
        wait_for(&self.held, count).await;
    }

    /// Waits until this many requests have been answered.
    async fn wait_for_answered(&self, count: usize) {
        wait_for(&self.answered, count).await;
    }
}

async fn wait_for(number: &AtomicUsize, count: usize) {
    let end = Instant::now() + A_WHILE;
    while number.load(Ordering::SeqCst) < count {
        assert!(Instant::now() < end, "{} instead of {count}", number.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
