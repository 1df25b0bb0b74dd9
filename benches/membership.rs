//! Membership: joining a mesh, names of `global`, groups of `pg`, signals, and a small message behind a large one.
//! `cargo bench -p peerl --bench membership`

#![allow(missing_docs)]

mod harness;
mod peers;

/// The C library returns the memory of a large message to the kernel each time, and gets it back page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use harness::{Bound, Contest, Measure, Settings, describe};
use peerl::otp::global::{Global, Method, NodeGlobal};
use peerl::otp::pg::Scope;
use peerl::testing::Network;
use peerl_node::{Node, NodeBuilder, NodeName, Nodes, Pid, Process, Term, Visibility};
use peerl_term::Binary;
use peerl_test_support::{Beam, COOKIE, Epmd, unique_name};
use peers::membership::{answer, behind, broadcast, group, members, sink, turns, with_membership};
use peers::{start_beam, start_epmd, start_node};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

/// The number of members of the group.
const MEMBERS: usize = 1000;
/// The size of the large message.
const LARGE: usize = 256_000_000;
/// After so long, a mesh is not joined.
const LIMIT: Duration = Duration::from_secs(120);

struct Bench<'a> {
    settings: &'a Settings,
    runtime: &'a Runtime,
    epmd: Epmd,
}

fn main() {
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    let runtime = settings.runtime();
    let bench = Bench { settings: &settings, runtime: &runtime, epmd: start_epmd(&settings) };
    bench.joins();
    bench.names();
    bench.broadcasts();
    bench.signals("Links and unlinks", ("links", 2.0), async |process, to| {
        process.link(to).await;
        process.unlink(to);
    });
    bench.signals("Monitors and demonitors", ("monitors", 2.0), async |process, to| {
        let monitor = process.monitor(to).await;
        process.demonitor(&monitor);
    });
    let normal = Term::atom("normal");
    bench.signals("Exit signals", ("exits", 1.0), async |process, to| process.exit_other(to, &normal));
    bench.small_behind_large();
}

impl Bench<'_> {
    fn beam(&self) -> Beam {
        with_membership(start_beam(self.settings, &self.epmd))
    }

    fn node(&self) -> Node {
        let name = format!("{}@127.0.0.1", unique_name("bench"));
        self.runtime.block_on(start_node(&name, self.epmd.address(), Visibility::Visible))
    }

    /// A node of this process that is not started yet.
    fn on_a_socket(&self) -> NodeBuilder {
        peerl::node(format!("{}@127.0.0.1", unique_name("mesh")))
            .cookie(COOKIE)
            .listen_address(Ipv4Addr::LOCALHOST.into())
            .epmd(peerl_node::Epmd::External)
            .epmd_client(peerl_epmd::Client::new(self.epmd.address()))
    }

    /// Two nodes of this process, which are connected.
    fn pair(&self) -> (Node, Node) {
        let (one, two) = (self.node(), self.node());
        self.runtime.block_on(one.connect(two.name())).expect("it listens");
        (one, two)
    }

    /// The time until the n-th node is connected with all others, and knows their names.
    fn joins(&self) {
        let title = "The n-th node joins";
        if !self.settings.wants(title) {
            return;
        }
        println!("\n| {title}, n | BEAM | peerl, sockets | peerl, in memory | peerl / BEAM |\n|--:|--:|--:|--:|--:|");
        const BEAMS: usize = 10;
        let mut beams = vec![self.beam()];
        let mut on_sockets = Mesh::new(|_| self.on_a_socket());
        let network = Network::new();
        let mut in_memory = Mesh::new(|number| {
            let host = format!("host{number}");
            network.on_host(&host, peerl::node(format!("node{number}@{host}")))
        });
        for count in (2..=BEAMS).chain([20, 50, 100, 150, 200]) {
            if count > self.settings.nodes {
                break;
            }
            let beam = (count <= BEAMS).then(|| {
                let (beam, first) = (self.beam(), beams[0].name().to_owned());
                let micros: f64 = number(&eval(&beam, &format!("membership:join('{first}', {})", count - 1)));
                beams.push(beam);
                micros / 1e3
            });
            // Each connection has two ends in this process.
            let sockets = (count * count + 3 * count + 200 < open_files())
                .then(|| self.runtime.block_on(on_sockets.grow_to(count)));
            if sockets.is_none() {
                self.runtime.block_on(on_sockets.leave());
            }
            let memory = self.runtime.block_on(in_memory.grow_to(count));
            let milliseconds = |time: Option<Option<f64>>, none: &str| match time {
                None => none.to_owned(),
                Some(None) => format!("not in {} s", LIMIT.as_secs()),
                Some(Some(time)) => format!("{time:.1} ms"),
            };
            let ratio =
                beam.zip(sockets.flatten()).map_or_else(String::new, |(beam, ours)| format!("{:.2}", ours / beam));
            println!(
                "| {count} | {} | {} | {} | {ratio} |",
                milliseconds(beam.map(Some), ""),
                milliseconds(sockets, "too many files"),
                milliseconds(Some(memory), ""),
            );
        }
    }

    fn names(&self) {
        let title = "Registration of a name in a mesh of 3 nodes";
        if !self.settings.wants(title) {
            return;
        }
        let beams = [self.beam(), self.beam(), self.beam()];
        for (joined, beam) in beams.iter().enumerate().skip(1) {
            eval(beam, &format!("membership:join('{}', {joined})", beams[0].name()));
        }
        let mut mesh = Mesh::new(|_| self.on_a_socket());
        self.runtime.block_on(mesh.grow_to(beams.len())).expect("three nodes meet");
        let (node, global) = &mesh.nodes[2];
        let process = node.process();
        let mut contest = Contest::new(title, Measure::Micros);
        contest.add("BEAM", |slice| per_turn(&eval(&beams[2], &format!("membership:names({})", slice.as_millis()))));
        contest.add("peerl", |slice| self.runtime.block_on(registrations(global, &process, slice)));
        contest.target(Bound::AtMost(1.0), "BEAM");
        contest.run(self.settings);
    }

    fn broadcasts(&self) {
        let title = "Broadcast to 1,000 members of a group";
        if !self.settings.wants(title) {
            return;
        }
        let (from, to) = (self.beam(), self.beam());
        eval(&from, &format!("membership:join('{}', 1)", to.name()));
        eval(&to, &format!("membership:members({MEMBERS})"));
        eval(&from, &format!("membership:wait({MEMBERS})"));
        let (one, two) = self.pair();
        let scope = self.runtime.block_on(async {
            let scope = Scope::start(&one, Scope::DEFAULT).await.expect("a free name");
            let other = Scope::start(&two, Scope::DEFAULT).await.expect("a free name");
            members(&two, &other, MEMBERS).await;
            while scope.members(&group()).len() < MEMBERS {
                sleep(Duration::from_millis(5)).await;
            }
            scope
        });
        let mut process = one.process();
        let mut contest = Contest::new(title, Measure::Micros);
        let asked = |slice: Duration| eval(&from, &format!("membership:broadcast({})", slice.as_millis()));
        contest.add("BEAM to BEAM", |slice| per_turn(&asked(slice)));
        contest.add("peerl", |slice| {
            let members = scope.members(&group());
            self.runtime.block_on(broadcast(&mut process, &members, slice))
        });
        contest.target(Bound::AtMost(1.0), "BEAM to BEAM");
        contest.run(self.settings);
    }

    /// `turn` sends as many signals as `function` of the BEAM's module.
    fn signals(&self, title: &'static str, (function, each): (&str, f64), turn: impl AsyncFn(&Process, &Pid)) {
        if !self.settings.wants(title) {
            return;
        }
        let (from, to) = (self.beam(), self.beam());
        eval(&to, "membership:answer(), ok");
        let connected = format!("P = rpc:call('{}', erlang, whereis, [answer])", to.name());
        let (one, two) = self.pair();
        let pid = self.runtime.block_on(async { answer(&two) });
        let mut process = one.process();
        let mut contest = Contest::new(title, Measure::Signals);
        contest.add("BEAM to BEAM", |slice| {
            let turns = eval(&from, &format!("{connected}, membership:{function}(P, {})", slice.as_millis()));
            each * 1e6 / per_turn(&turns)
        });
        contest.add("peerl", |slice| each * self.runtime.block_on(turns(&mut process, &pid, slice, &turn)));
        contest.target(Bound::AtLeast(1.0), "BEAM to BEAM");
        contest.run(self.settings);
    }

    fn small_behind_large(&self) {
        let title = "A small message and its answer, behind 256 MB (goal: 5,000 µs)";
        if !self.settings.wants(title) {
            return;
        }
        let (from, to) = (self.beam(), self.beam());
        eval(&to, "membership:answer(), membership:sink(), ok");
        let (one, two) = self.pair();
        let pid = self.runtime.block_on(async {
            sink(&two);
            answer(&two)
        });
        let mut process = one.process();
        let data = Term::Binary(Binary::from(vec![7; LARGE]));
        let mut contest = Contest::new(title, Measure::Micros);
        contest.add("BEAM to BEAM", |_| number(&eval(&from, &format!("membership:behind('{}', {LARGE})", to.name()))));
        contest.add("peerl", |_| self.runtime.block_on(behind(&one, &mut process, two.name(), &pid, &data)));
        contest.target(Bound::AtMost(1.0), "BEAM to BEAM");
        contest.run(self.settings);
    }
}

/// Nodes of this process that run `global`, all connected.
struct Mesh<S> {
    start: S,
    nodes: Vec<(Node, Global)>,
}

impl<S: Fn(usize) -> NodeBuilder> Mesh<S> {
    fn new(start: S) -> Self {
        Self { start, nodes: Vec::new() }
    }

    /// Adds nodes up to this number; the milliseconds that the last one of them takes to join, if it joins.
    async fn grow_to(&mut self, count: usize) -> Option<f64> {
        let mut last = None;
        while self.nodes.len() < count {
            let node = (self.start)(self.nodes.len()).start().await.expect("it starts");
            let first: Option<NodeName> = self.nodes.first().map(|(node, _)| node.name().clone());
            let global = node.global();
            self.nodes.push((node, global));
            let Some(first) = first else { continue };
            let (node, global) = &self.nodes[self.nodes.len() - 1];
            let start = Instant::now();
            node.connect(&first).await.expect("it listens");
            let joined = async {
                loop {
                    global.sync().await.expect("it runs");
                    if node.nodes(Nodes::Visible).len() == self.nodes.len() - 1 {
                        return start.elapsed();
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            };
            last = Some(timeout(LIMIT, joined).await.ok()?.as_secs_f64() * 1e3);
            // The others may be a moment later.
            let all = |nodes: &[(Node, Global)]| {
                nodes.iter().all(|(node, _)| node.nodes(Nodes::Visible).len() == nodes.len() - 1)
            };
            while !all(&self.nodes) && start.elapsed() < LIMIT {
                sleep(Duration::from_millis(1)).await;
            }
        }
        last
    }
}

impl<S> Mesh<S> {
    /// Ends all nodes.
    async fn leave(&mut self) {
        for (node, _) in self.nodes.drain(..) {
            node.shutdown().await;
        }
    }
}

/// Registers a name for so long, and removes it each time; microseconds for a registration.
async fn registrations(global: &Global, process: &Process, slice: Duration) -> f64 {
    let (start, mut count, mut spent) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < slice {
        let name = Term::tuple([Term::atom("name"), Term::from(count)]);
        let before = Instant::now();
        let registered = global.register(name.clone(), process.pid(), Method::RandomExit).await.expect("it runs");
        spent += before.elapsed();
        assert!(registered);
        global.unregister(name).await.expect("it runs");
        count += 1;
    }
    spent.as_secs_f64() * 1e6 / f64::from(count)
}

/// How many files this process may open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    line.split_whitespace().nth(3).and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX)
}

fn eval(beam: &Beam, expression: &str) -> String {
    beam.eval_within(expression, LIMIT).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// The microseconds of each of the turns in `{Turns, Microseconds}`.
fn per_turn(text: &str) -> f64 {
    let (turns, micros) = text.trim_matches(['{', '}']).split_once(',').expect("a pair");
    number(micros) / number(turns)
}
