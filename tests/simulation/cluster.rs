//! Hosts whose nodes start, die, and are separated.

use std::sync::Arc;
use std::time::Duration;

use peerl::testing::{Network, Tables};
use peerl::{Mfa, Node, NodeName, Nodes, WeakNode};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::random::Random;
use crate::record::Record;
use crate::residents::{collect, export, keep_target, watch_members};
use crate::work::{LIMIT, Work};

/// A schedule of one seed, and what it is about.
pub(crate) struct Cluster {
    seed: u64,
    network: Network,
    record: Arc<Record>,
    random: Random,
    hosts: Vec<Host>,
    /// Nodes that shut down.
    leaving: JoinSet<()>,
    tick_time: Duration,
}

struct Host {
    name: String,
    node_name: NodeName,
    starts: u64,
    running: Option<Running>,
    /// Held by the node before while it leaves.
    leaves: Arc<()>,
}

/// A node that runs.
struct Running {
    node: Node,
    /// The tables of the node when it had nothing to do.
    empty: Tables,
    work: JoinSet<()>,
    residents: JoinSet<()>,
}

impl Running {
    fn abort(&mut self) {
        self.work.abort_all();
        self.residents.abort_all();
    }
}

impl Cluster {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.below(3);
        let hosts = (0..count).map(|index| Host {
            name: format!("h{index}"),
            node_name: format!("n{index}@h{index}").parse().unwrap(),
            starts: 0,
            running: None,
            leaves: Arc::default(),
        });
        let tick_time = Duration::from_secs(*random.pick(&[4, 16, 60]));
        Self {
            seed,
            network: Network::seeded(seed),
            record: Arc::new(Record::new(count)),
            hosts: hosts.collect(),
            random,
            leaving: JoinSet::new(),
            tick_time,
        }
    }

    /// Runs the schedule. Returns the trace and the failures.
    pub(crate) async fn run(mut self) -> (Vec<String>, Vec<String>) {
        for host in 0..self.hosts.len() {
            self.start(host).await;
        }
        for _ in 0..20 + self.random.below(60) {
            let pause = match self.random.below(10) {
                0..4 => 0,
                4..8 => 200,
                _ => 20_000,
            };
            sleep(self.random.millis(pause)).await;
            self.step().await;
        }
        self.settle().await;
        self.record.finish()
    }

    async fn start(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if Arc::strong_count(&host.leaves) > 1 {
            // Peers are still connected with the node before, and would take the new one for it.
            return;
        }
        host.starts += 1;
        let seed = self.seed.wrapping_mul(1_000_003) + (index as u64) * 1_000 + host.starts;
        let builder = self
            .network
            .on_host(host.node_name.host(), peerl::node(host.node_name.as_str()))
            .net_ticktime(self.tick_time)
            .seed(seed);
        let node = match builder.start().await {
            Ok(node) => node,
            // The one before still listens.
            Err(error) => return self.record.note(format!("{} does not start: {error}", host.node_name)),
        };
        self.record.note(format!("{} starts", host.node_name));
        export(&node, &self.record);
        let empty = Tables::of(&node);
        let mut residents = JoinSet::new();
        residents.spawn(keep_target(node.clone(), index, self.record.clone(), self.random.fork()));
        residents.spawn(collect(node.clone(), index, self.record.clone()));
        residents.spawn(watch_members(node.clone(), self.record.clone()));
        host.running = Some(Running { node, empty, work: JoinSet::new(), residents });
    }

    async fn step(&mut self) {
        let one = self.random.below(self.hosts.len());
        let two = (one + 1 + self.random.below(self.hosts.len() - 1)) % self.hosts.len();
        let (first, second) = (self.hosts[one].name.clone(), self.hosts[two].name.clone());
        match self.random.below(100) {
            0..52 => {
                for _ in 0..=self.random.below(6) {
                    let [one, two] = if self.random.percent(50) { [one, two] } else { [two, one] };
                    self.work(one, two);
                }
            }
            52..60 => {
                self.record.note(format!("{first} and {second} are separated"));
                self.network.partition(&first, &second);
            }
            60..71 => {
                self.record.note(format!("{first} and {second} are together again"));
                self.network.heal(&first, &second);
            }
            71..75 => {
                self.record.note(format!("streams of {first} and {second} are reset"));
                self.network.reset(&first, &second);
            }
            75..79 => {
                self.record.note(format!("streams of {first} and {second} are forgotten"));
                self.network.forget(&first, &second);
            }
            79..84 => {
                let most = *self.random.pick(&[0, 1, 20, 300, 3_000]);
                self.record.note(format!("bytes take up to {most} ms"));
                self.network.set_delay(Duration::ZERO..=Duration::from_millis(most));
            }
            84..91 if self.hosts[one].running.is_some() => self.die(one),
            _ if self.hosts[one].running.is_none() => self.start(one).await,
            _ => {}
        }
    }

    fn work(&mut self, from: usize, to: usize) {
        let others = (0..self.hosts.len()).filter(|index| *index != from);
        let others = others.map(|index| self.hosts[index].node_name.clone()).collect();
        let (peer, random, record) = (self.hosts[to].node_name.clone(), self.random.fork(), self.record.clone());
        let Some(running) = &mut self.hosts[from].running else { return };
        let work =
            Work { node: running.node.clone(), peer, host: to, others, network: self.network.clone(), record, random };
        running.work.spawn(work.run());
    }

    /// Ends a node: it shuts down, its process is killed, or its host loses power.
    fn die(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(mut running) = host.running.take() else { return };
        let (name, record) = (host.node_name.clone(), self.record.clone());
        match self.random.below(3) {
            0 => {
                let drains = self.random.percent(50);
                record.note(format!("{name} shuts down{}", if drains { ", and drains before" } else { "" }));
                let leaves = host.leaves.clone();
                self.leaving.spawn(async move {
                    if drains {
                        running.node.drain().await;
                    }
                    running.node.shutdown().await;
                    drop(leaves);
                    running.residents.abort_all();
                    finish(&mut running.work, &record, &name).await;
                });
            }
            1 => {
                record.note(format!("{name} is killed"));
                running.abort();
            }
            _ => {
                record.note(format!("{name} crashes with its host"));
                self.network.crash(&host.name);
                running.abort();
            }
        }
        self.record.set_target(index, None);
        self.record.set_collector(index, None);
    }

    /// Mends everything, lets all work end, and looks at what is left.
    async fn settle(&mut self) {
        self.record.note("everything is mended");
        self.network.set_delay(Duration::ZERO..=Duration::from_millis(5));
        for (one, two) in self.pairs() {
            self.network.heal(&self.hosts[one].name, &self.hosts[two].name);
        }
        for index in 0..self.hosts.len() {
            while self.hosts[index].running.is_none() {
                self.start(index).await;
                sleep(Duration::from_secs(1)).await;
            }
        }
        for host in &mut self.hosts {
            let Some(running) = &mut host.running else { continue };
            finish(&mut running.work, &self.record, &host.node_name).await;
        }
        finish(&mut self.leaving, &self.record, "nodes that shut down").await;
        self.record.ends.send_replace(true);
        for host in &mut self.hosts {
            let Some(running) = &mut host.running else { continue };
            finish(&mut running.residents, &self.record, &host.node_name).await;
        }
        sleep(self.tick_time * 3).await;
        self.call_all().await;
        sleep(Duration::from_secs(1)).await;
        self.check_tables();
        self.stop().await;
    }

    /// All nodes reach each other again.
    async fn call_all(&self) {
        for (one, two) in self.pairs() {
            for (from, to) in [(one, two), (two, one)] {
                let Some(running) = &self.hosts[from].running else { continue };
                let (id, peer) = (self.record.next_id(), &self.hosts[to].node_name);
                let mfa = Mfa::new("m", "echo", (id, vec![0_u8])).unwrap();
                let call = running.node.call::<(u64, usize)>(peer, mfa).timeout(Duration::from_secs(60));
                let result = call.await;
                self.record.check(result.as_ref().is_ok_and(|value| *value == (id, 1)), || {
                    format!("at the end a call of {} to {peer} gives {result:?}", self.hosts[from].node_name)
                });
            }
        }
    }

    fn check_tables(&self) {
        for host in &self.hosts {
            let Some(running) = &host.running else { continue };
            let others: Vec<NodeName> = self
                .hosts
                .iter()
                .map(|other| &other.node_name)
                .filter(|name| **name != host.node_name)
                .cloned()
                .collect();
            let connected = running.node.nodes(Nodes::Connected);
            self.record.check(connected == others, || format!("{} is connected with {connected:?}", host.node_name));
            let tables = Tables::of(&running.node);
            let mut expected = running.empty;
            expected.connections = others.len();
            expected.peers = others.len();
            self.record.check(tables == expected, || {
                format!("{} has {tables:?} at the end, where {expected:?} is expected", host.node_name)
            });
        }
        for (one, two) in self.pairs() {
            let (one, two) = (&self.hosts[one].name, &self.hosts[two].name);
            let streams = self.network.streams(one, two);
            self.record.check(streams == 1, || format!("{streams} streams are open between {one} and {two}"));
        }
    }

    async fn stop(&mut self) {
        let mut stopped: Vec<(NodeName, WeakNode)> = Vec::new();
        for host in &mut self.hosts {
            let Some(running) = host.running.take() else { continue };
            running.node.shutdown().await;
            stopped.push((host.node_name.clone(), running.node.downgrade()));
        }
        sleep(Duration::from_secs(10)).await;
        for (name, node) in stopped {
            self.record.check(node.upgrade().is_none(), || format!("something still holds {name}"));
        }
        for (one, two) in self.pairs() {
            let streams = self.network.streams(&self.hosts[one].name, &self.hosts[two].name);
            self.record.check(streams == 0, || format!("{streams} streams are open after all nodes have stopped"));
        }
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let count = self.hosts.len();
        (0..count).flat_map(|one| (one + 1..count).map(move |two| (one, two))).collect()
    }
}

/// Waits until all tasks have ended.
async fn finish(tasks: &mut JoinSet<()>, record: &Record, whose: &(impl std::fmt::Display + ?Sized)) {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                record.fail(format!("a task of {whose} has panicked: {error}"));
            }
        }
    };
    if timeout(LIMIT * 2, all).await.is_err() {
        record.fail(format!("{} tasks of {whose} never end", tasks.len()));
    }
}
