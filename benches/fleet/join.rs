//! The time until all nodes are connected to an instance that got its tag.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{InstanceType, ResourceType, Tag, TagSpecification};
use peerl_aws_tests::ask::client_config;
use peerl_node::{Atom, Mfa, Node, NodeName};
use peerl_test_support::{Beam, Epmd, FaultProxy, Moto, unique_name};
use tokio::runtime::Runtime;

use crate::harness::Settings;
use crate::peerl::Worker;
use crate::{median, peerl};

const PEERL: usize = 3;
const BEAMS: usize = 2;

pub(crate) fn run(settings: &Settings, runtime: &Runtime) {
    println!(
        "\nFrom an instance's getting the tag of the release, and its worker's being started, to its being in `nodes()` of all \
         ({PEERL} peerl, {BEAMS} BEAM), and all in its own; through moto:\n"
    );
    println!(
        "| the newcomer | `--interval` | median | lowest – highest | of it until the worker is ready | requests to EC2 a second |"
    );
    println!("|---|---|--:|--:|--:|--:|");
    let moto = Moto::start();
    let account = Account::of(&moto, runtime);
    let epmd = Epmd::start();
    let node = peerl::driver(&epmd, runtime);
    let beams: Vec<Beam> = (0..BEAMS).map(|_| Beam::erlang(settings.otp).epmd(&epmd).start()).collect();
    // BEAM nodes do not connect to each other through common neighbours here.
    assert!(beams.iter().skip(1).all(|beam| beams[0].ping(beam.name())));
    for (newcomer_looks, interval) in [(true, "1s"), (true, "5s"), (false, "1s"), (false, "5s")] {
        let proxy = FaultProxy::before(&moto.endpoint());
        let release = unique_name("release");
        let mut environment = moto.env();
        environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL", proxy.endpoint()));
        let discover = format!("ec2:tag=csrelease={release},host=tag:host,basename=tag:name");
        let options = ["--discover", &discover, "--interval", interval];
        let worker = || {
            let name = format!("{}@127.0.0.1", unique_name("w"));
            Worker::start_with(&epmd, &name, &options, &environment)
        };
        let workers: Vec<Worker> = (0..PEERL).map(|_| worker()).collect();
        let mut members: Vec<NodeName> = workers.iter().map(|worker| worker.name.clone()).collect();
        members.extend(beams.iter().map(|beam| beam.name().parse::<NodeName>().expect("a name")));
        let fleet: Vec<String> = members.iter().map(|member| runtime.block_on(account.run(member))).collect();
        runtime.block_on(async {
            for instance in &fleet {
                account.tag(instance, &release).await;
            }
        });
        runtime.block_on(joined(&node, &members));
        let (mut times, mut starting) = (Vec::new(), Vec::new());
        let (start, before) = (Instant::now(), proxy.requests("DescribeInstances"));
        for _ in 0..settings.rounds {
            let name = format!("{}@127.0.0.1", unique_name("w"));
            let newcomer: NodeName = name.parse().expect("a name");
            let instance = runtime.block_on(account.run(&newcomer));
            // A common neighbour does not connect a BEAM node without discovery to another BEAM node.
            let looking = if newcomer_looks { &members[..] } else { &members[..PEERL] };
            let everybody = [looking, std::slice::from_ref(&newcomer)].concat();
            // At a varying moment of the intervals.
            std::thread::sleep(Duration::from_millis(100 + (times.len() as u64 * 370) % 1000));
            let tagged = Instant::now();
            runtime.block_on(account.tag(&instance, &release));
            let options = if newcomer_looks { &options[..] } else { &[] };
            let _worker = Worker::start_with(&epmd, &name, options, &environment);
            let ready = tagged.elapsed();
            runtime.block_on(joined(&node, &everybody));
            times.push(tagged.elapsed().as_secs_f64());
            starting.push(ready.as_secs_f64());
            runtime.block_on(account.terminate(&instance));
        }
        let polls = (proxy.requests("DescribeInstances") - before) as f64 / start.elapsed().as_secs_f64();
        let (low, high) = (times.iter().copied().fold(f64::MAX, f64::min), times.iter().copied().fold(0.0, f64::max));
        println!(
            "| {} | {interval} | {:.2} s | {low:.2} – {high:.2} s | {:.2} s | {polls:.1} |",
            if newcomer_looks { "discovers all" } else { "discovers none, is found by the peerl nodes" },
            median(&times),
            median(&starting)
        );
        // The BEAMs stay, for the next fleet.
        runtime.block_on(async {
            for instance in &fleet {
                account.terminate(instance).await;
            }
        });
    }
}

/// Waits until each node has all others in `nodes()`.
async fn joined(node: &Node, members: &[NodeName]) {
    for member in members {
        loop {
            let nodes = nodes(node, member).await;
            if members.iter().all(|other| other == member || nodes.iter().any(|known| known == other.as_str())) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn nodes(node: &Node, of: &NodeName) -> Vec<String> {
    let call = node.call::<Vec<Atom>>(of, Mfa::new("erlang", "nodes", ()).expect("a call"));
    call.await.expect("a list of nodes").iter().map(|name| name.as_str().to_owned()).collect()
}

/// Moto's EC2.
struct Account {
    ec2: aws_sdk_ec2::Client,
}

impl Account {
    fn of(moto: &Moto, runtime: &Runtime) -> Self {
        let config = runtime.block_on(client_config(&moto.endpoint()));
        Self { ec2: aws_sdk_ec2::Client::new(&config) }
    }

    /// Starts an instance for the node, without a release.
    async fn run(&self, name: &NodeName) -> String {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .tags(tag("name", name.name()))
            .tags(tag("host", name.host()))
            .build();
        let request = self.ec2.run_instances().image_id("ami-12c6146b").instance_type(InstanceType::T3Micro);
        let answer = request.min_count(1).max_count(1).tag_specifications(tags).send().await.expect("an instance");
        answer.instances()[0].instance_id().expect("it has an id").to_owned()
    }

    async fn tag(&self, instance: &str, release: &str) {
        let tag = Tag::builder().key("csrelease").value(release).build();
        self.ec2.create_tags().resources(instance).tags(tag).send().await.expect("it is tagged");
    }

    async fn terminate(&self, instance: &str) {
        self.ec2.terminate_instances().instance_ids(instance).send().await.expect("it is terminated");
    }
}
