//! A mesh of BEAM nodes of all releases and nodes of ours, whose nodes die, start again and part while they work.
//!
//! `PEERL_CHURN_SECONDS` says for how long: 20 seconds without it.

use std::time::{Duration, Instant};

use crate::stage::{Stage, atom, export, name};
use fastrand::Rng;
use futures::future::join_all;
use peerl::otp::global::{Global, Method, NodeGlobal};
use peerl::otp::pg::Scope;
use peerl::{Mfa, Node, NodeName, Nodes, Pid, Process, Term};
use peerl_test_support::{Beam, Otp, conformance, matrix, unique_name};

/// Longer than all nodes take to agree on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const OURS: usize = 5;

const SCOPE: &str = "churn";

/// What a test asks of the BEAM nodes.
const PROGRAM: &str = "
    -module(churn).
    -export([names/0, members/0, register/1, join/1, end_some/0, locks/0, work/1]).

    names() -> lists:sort([{N, global:whereis_name(N)} || N <- global:registered_names()]).

    members() -> lists:sort([{G, lists:sort(pg:get_members(churn, G))} || G <- pg:which_groups(churn)]).

    register(Name) -> global:register_name(Name, idle()).

    join(Group) -> pg:join(churn, Group, idle()).

    idle() -> spawn(fun() -> put(churn, true), receive never -> ok end end).

    %% Ends one of three idle processes.
    end_some() ->
        [exit(P, kill) || P <- processes(), {dictionary, [{churn, true}]} <- [process_info(P, dictionary)], rand:uniform(3) =:= 1],
        ok.

    locks() -> ets:tab2list(global_locks).

    %% Calls, monitors and links; the node may be gone.
    work(Node) ->
        catch erpc:call(Node, rust, add, [1, 2], 10000),
        {P, R} = spawn_monitor(Node, rust, sleep, [60000]),
        exit(P, kill),
        receive {'DOWN', R, process, P, _} -> ok end,
        Q = spawn(Node, rust, sleep, [60000]),
        S = spawn(fun() -> link(Q), receive never -> ok end end),
        M = monitor(process, Q),
        exit(Q, kill),
        receive {'DOWN', M, process, Q, _} -> ok end,
        exit(S, kill),
        catch gen_server:call({nobody, Node}, hello, 1000),
        ok.
";

/// A node of ours with its processes.
struct Member {
    node: Node,
    global: Global,
    scope: Scope,
    named: Vec<Process>,
    joined: Vec<Process>,
    /// The processes that the node has without those.
    idle: usize,
}

struct Mesh {
    stage: Stage,
    releases: [Otp; 3],
    beams: Vec<Beam>,
    members: Vec<Member>,
    random: Rng,
    names: u32,
}

/// A node's names with their pids, or groups with their members, as one term.
type View = Term;

impl Mesh {
    async fn new() -> Self {
        let releases = matrix();
        let releases = [0, 1, 2].map(|index| releases[index % releases.len()]);
        let seed = std::env::var("PEERL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("PEERL_SEED={seed}");
        let (stage, random) = (Stage::new(), Rng::with_seed(seed));
        let mut mesh = Self { stage, releases, beams: Vec::new(), members: Vec::new(), random, names: 0 };
        for otp in releases {
            let beam = mesh.beam(otp, &unique_name("churn")).await;
            mesh.beams.push(beam);
        }
        for index in 0..OURS {
            // Some have smaller names than the BEAM nodes, and some greater ones.
            let stem = if index % 2 == 0 { "a" } else { "z" };
            let member = mesh.member(&format!("{}@127.0.0.1", unique_name(stem))).await;
            mesh.members.push(member);
        }
        mesh
    }

    async fn beam(&self, otp: Otp, name: &str) -> Beam {
        let beam = self.stage.erlang(otp).name(name).start_async().await;
        beam.load_module(PROGRAM).unwrap();
        if self.has_scope(otp) {
            let scope = format!("{{ok, Scope}} = pg:start({SCOPE}), ok");
            assert_eq!(beam.eval_async(scope).await.as_deref(), Ok("ok"));
        }
        beam
    }

    /// The scope process of OTP 25 ends when one of OTP 29 makes itself known to it.
    fn has_scope(&self, otp: Otp) -> bool {
        otp != Otp::V25 || !self.releases.contains(&Otp::V29)
    }

    async fn member(&self, name: &str) -> Member {
        let node = self.stage.builder_of(name).start().await.unwrap();
        export(&node);
        let global = node.global();
        let scope = Scope::start(&node, SCOPE).await.unwrap();
        let idle = node.process_count();
        Member { node, global, scope, named: Vec::new(), joined: Vec::new(), idle }
    }

    fn next_name(&mut self) -> Term {
        self.names += 1;
        Term::tuple([Term::atom("name"), Term::from(self.names)])
    }

    async fn call(&self, beam: &Beam, function: &str, arguments: Vec<Term>) -> Term {
        let mfa = Mfa::with_terms(peerl::Atom::from_static("churn"), peerl::Atom::new(function).unwrap(), arguments);
        let called = self.members[0].node.call::<Term>(&name(beam), mfa).timeout(PATIENCE).await;
        called.unwrap_or_else(|error| panic!("churn:{function} at {}: {error:?}", beam.name()))
    }

    /// One thing happens.
    async fn change(&mut self) {
        let (member, beam) = (self.random.usize(..OURS), self.random.usize(..self.beams.len()));
        match self.random.u32(..20) {
            0..=4 => {
                let new = self.next_name();
                let at = &mut self.members[member];
                let process = at.node.process();
                let registered = at.global.register(new, process.pid(), Method::RandomExit);
                assert!(tokio::time::timeout(PATIENCE, registered).await.expect("a name").unwrap());
                at.named.push(process);
            }
            5..=7 => {
                let new = self.next_name();
                assert_eq!(self.call(&self.beams[beam], "register", vec![new]).await, atom("yes"));
            }
            8..=9 => {
                let group = Term::from(self.random.u32(..5));
                let at = &mut self.members[member];
                let process = at.node.process();
                at.scope.join(&group, process.pid()).await.unwrap();
                at.joined.push(process);
                let beam = &self.beams[beam];
                if self.has_scope(beam.otp()) {
                    self.call(beam, "join", vec![group]).await;
                }
            }
            10..=11 => {
                let at = &mut self.members[member];
                at.named.truncate(self.random.usize(..=at.named.len()));
                at.joined.truncate(self.random.usize(..=at.joined.len()));
                self.call(&self.beams[beam], "end_some", Vec::new()).await;
            }
            12..=15 => {
                let node = atom(self.members[member].node.name().as_str());
                self.call(&self.beams[beam], "work", vec![node]).await;
            }
            16..=17 => {
                let old = self.members.remove(member);
                old.node.shutdown().await;
                let own = old.node.name().to_string();
                drop(old);
                let new = self.member(&own).await;
                self.members.insert(member, new);
                self.join().await;
            }
            18 => {
                let old = self.beams.remove(beam);
                old.kill();
                let short = name(&old).name().to_owned();
                let is_free = || self.stage.epmd.names().iter().all(|(name, _)| *name != short);
                crate::stage::eventually("the end of a name", is_free).await;
                let new = self.beam(old.otp(), old.name()).await;
                self.beams.insert(beam, new);
                self.join().await;
            }
            _ => {
                let other = self.members[member].node.name().to_string();
                let part = format!("erlang:disconnect_node('{other}')");
                self.beams[beam].eval_async(part).await.unwrap();
                self.join().await;
            }
        }
    }

    /// Connects all nodes with each other, until all of them say so.
    async fn join(&self) {
        let mut all: Vec<NodeName> = self.beams.iter().map(name).collect();
        all.extend(self.members.iter().map(|member| member.node.name().clone()));
        let end = Instant::now() + PATIENCE;
        loop {
            let ours = self.members.iter().map(|member| async {
                let others = all.iter().filter(|other| *other != member.node.name());
                join_all(others.map(|other| member.node.connect(other))).await;
                member.node.nodes(Nodes::Visible).len()
            });
            let theirs = self.beams.iter().map(|beam| {
                let others = all.iter().filter(|other| other.as_str() != beam.name());
                let others: Vec<String> = others.map(|other| format!("net_kernel:connect_node('{other}')")).collect();
                let connect = format!("{}, length(nodes())", others.join(", "));
                async { beam.eval_within_async(connect, PATIENCE).await.unwrap().parse::<usize>().unwrap() }
            });
            let (ours, theirs) = tokio::join!(join_all(ours), join_all(theirs));
            if ours.iter().chain(&theirs).all(|count| *count == all.len() - 1) && self.are_synchronized().await {
                return;
            }
            assert!(Instant::now() < end, "the nodes do not find together: {ours:?} {theirs:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// True if `global` has exchanged the names of all, and nobody has left meanwhile.
    async fn are_synchronized(&self) -> bool {
        let limit = Duration::from_secs(20);
        let ours = self.members.iter().map(|member| async {
            tokio::time::timeout(limit, member.global.sync()).await.is_ok()
                && member.node.nodes(Nodes::Visible).len() == OURS + self.beams.len() - 1
        });
        let theirs = self.beams.iter().map(|beam| async {
            let synchronized = "global:sync(), length(nodes())".to_owned();
            beam.eval_within_async(synchronized, limit).await == Ok((OURS + self.beams.len() - 1).to_string())
        });
        let (ours, theirs) = tokio::join!(join_all(ours), join_all(theirs));
        ours.into_iter().chain(theirs).all(|synchronized| synchronized)
    }

    async fn names(&self) -> Vec<(String, View)> {
        let mut views = Vec::new();
        for beam in &self.beams {
            views.push((beam.name().to_owned(), self.call(beam, "names", Vec::new()).await));
        }
        for member in &self.members {
            let mut names = Vec::new();
            for name in member.global.registered_names().await.unwrap() {
                let pid = member.global.whereis(name.clone()).await.unwrap();
                names.push(Term::tuple([name, pid.map_or_else(|| atom("undefined"), Term::from)]));
            }
            names.sort();
            views.push((member.node.name().to_string(), Term::list(names)));
        }
        views
    }

    async fn groups(&self) -> Vec<(String, View)> {
        let mut views = Vec::new();
        for beam in self.beams.iter().filter(|beam| self.has_scope(beam.otp())) {
            views.push((beam.name().to_owned(), self.call(beam, "members", Vec::new()).await));
        }
        for member in &self.members {
            let groups = member.scope.groups().into_iter().map(|group| {
                let mut pids: Vec<Pid> = member.scope.members(&group).to_vec();
                pids.sort();
                Term::tuple([group, Term::list(pids.into_iter().map(Term::from))])
            });
            let mut groups: Vec<Term> = groups.collect();
            groups.sort();
            views.push((member.node.name().to_string(), Term::list(groups)));
        }
        views
    }

    /// Waits until all nodes have the same names and groups, of processes that live.
    async fn agree(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let (names, groups) = (self.names().await, self.groups().await);
            let agree = |views: &[(String, View)]| views.iter().all(|(_, view)| *view == views[0].1);
            if agree(&names) && agree(&groups) && self.are_alive(&names[0].1) {
                return;
            }
            assert!(Instant::now() < end, "the nodes do not agree: {names:#?} {groups:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// True if every name of our nodes belongs to a process that they have.
    fn are_alive(&self, names: &View) -> bool {
        let names = names.as_list().unwrap();
        let named = self.members.iter().flat_map(|member| &member.named).map(Process::pid);
        let ours: Vec<&Pid> = named.collect();
        let registered: Vec<&Pid> = names.iter().filter_map(|entry| entry.as_tuple()?[1].as_pid()).collect();
        let own = |pid: &Pid| self.members.iter().any(|member| member.node.name().as_str() == pid.node.as_str());
        registered.len() == names.len() && registered.iter().all(|pid| !own(pid) || ours.contains(pid))
            // A conflict of names ends a process; none of them has had the name of another.
            && ours.iter().all(|pid| registered.contains(pid))
    }

    /// Nothing is left of what has been.
    async fn leaves_nothing(&self) {
        for member in &self.members {
            let expected = member.idle + member.named.len() + member.joined.len();
            crate::stage::eventually("the end of calls", || member.node.calls_served() == 0).await;
            crate::stage::eventually("the end of processes", || member.node.process_count() <= expected).await;
            let lock = member.global.try_lock(atom("churn"), 0).await.unwrap();
            lock.expect("a free lock").release().await;
        }
        for beam in &self.beams {
            beam.wait_for_async("churn:locks()", "[]", PATIENCE).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_agree_after_churn() {
    let seconds = std::env::var("PEERL_CHURN_SECONDS").map_or(20, |seconds| seconds.parse().unwrap());
    let mut mesh = Mesh::new().await;
    mesh.join().await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut changes = 0;
    while Instant::now() < end {
        mesh.change().await;
        changes += 1;
    }
    mesh.join().await;
    mesh.agree().await;
    mesh.leaves_nothing().await;
    println!("{changes} changes, {} names", mesh.names);
    for otp in matrix() {
        conformance::holds(otp, [57]);
    }
}
