//! Process groups of a mesh of BEAM nodes and ours: members, monitors, scope processes that start anew, nodes that go.

use std::collections::BTreeMap;

use crate::stage::{LIMIT, Stage, eval_with, expect, name};
use peerl::otp::pg::{MembershipError, Scope, Update, Updates, UpdatesEnded};
use peerl::{Mfa, Node, Nodes, Pid, Process, Term};
use peerl_test_support::{Beam, Otp, conformance, matrix};

/// What a BEAM node does in these tests.
const PROGRAM: &str = "
    -module(groups).
    -export([start/1, kill/1, members/1, view/1, local/1, watch/2, watched/1]).

    start(Scope) -> {ok, Pid} = pg:start(Scope), Pid.

    kill(Scope) ->
        Pid = whereis(Scope),
        Monitor = monitor(process, Pid),
        exit(Pid, kill),
        receive {'DOWN', Monitor, process, Pid, _} -> ok end.

    members(Count) -> [spawn(fun Idle() -> receive stop -> ok; _ -> Idle() end end) || _ <- lists:seq(1, Count)].

    view(Scope) -> maps:from_list([{Group, pg:get_members(Scope, Group)} || Group <- pg:which_groups(Scope)]).

    local(Scope) ->
        Groups = [{Group, pg:get_local_members(Scope, Group)} || Group <- pg:which_groups(Scope)],
        maps:from_list([{Group, Pids} || {Group, Pids} <- Groups, Pids =/= []]).

    watch(Scope, What) ->
        Main = self(),
        Pid = spawn(fun() ->
            {Ref, Now} = case What of
                scope -> pg:monitor_scope(Scope);
                {group, Group} ->
                    {Monitor, Members} = pg:monitor(Scope, Group),
                    {Monitor, maps:from_list([{Group, Members} || Members =/= []])}
            end,
            Main ! {self(), watching},
            follow(Ref, Now)
        end),
        receive {Pid, watching} -> Pid end.

    follow(Ref, Groups) ->
        receive
            {Ref, join, Group, Pids} ->
                follow(Ref, Groups#{Group => Pids ++ maps:get(Group, Groups, [])});
            {Ref, leave, Group, Pids} ->
                follow(Ref, case maps:get(Group, Groups, []) -- Pids of
                    [] -> maps:remove(Group, Groups);
                    Left -> Groups#{Group => Left}
                end);
            {From, tell} ->
                From ! {self(), Groups},
                follow(Ref, Groups)
        end.

    watched(Pid) ->
        Pid ! {self(), tell},
        receive {Pid, Groups} -> Groups end.
";

const SCOPE: &str = "scope";

/// Groups with their members, sorted.
type View = BTreeMap<Term, Vec<Pid>>;

/// Two nodes of ours, and one of each release that is connected to both. The scope process of OTP 25 ends when one of OTP 29
/// makes itself known to it, so that these two releases are not connected to each other.
struct Mesh {
    ours: Vec<(Node, Scope)>,
    beams: Vec<Beam>,
}

impl Mesh {
    async fn new(stage: &Stage) -> Self {
        let first = stage.node().await;
        let before = Scope::start(&first, SCOPE).await.unwrap();
        let mut beams = Vec::new();
        for otp in matrix() {
            let beam = stage.erlang(otp).args(["-kernel", "connect_all", "false"]).start_async().await;
            beam.load_module(PROGRAM).unwrap();
            expect(&beam, &first, "net_kernel:connect_node(NODE)", "true").await;
            let call = beam.eval_async(format!("groups:start({SCOPE}), ok")).await;
            assert_eq!(call.as_deref(), Ok("ok"));
            beams.push(beam);
        }
        let second = stage.node().await;
        for beam in &beams {
            second.connect(&name(beam)).await.unwrap();
        }
        second.connect(first.name()).await.unwrap();
        let after = Scope::start(&second, SCOPE).await.unwrap();
        for a in &beams {
            for b in &beams {
                if a.otp() < b.otp() && (a.otp(), b.otp()) != (Otp::V25, Otp::V29) {
                    assert!(a.ping(b.name()));
                }
            }
        }
        Self { ours: vec![(first, before), (second, after)], beams }
    }

    fn node(&self) -> &Node {
        &self.ours[0].0
    }

    /// A function of the program at a node.
    async fn call(&self, beam: &Beam, function: &str, arguments: Vec<Term>) -> Term {
        let mfa = Mfa::with_terms(atom("groups"), atom(function), arguments);
        let called = self.node().call(&name(beam), mfa).await;
        called.unwrap_or_else(|error| panic!("groups:{function} at {}: {error}", beam.name()))
    }

    async fn members_at(&self, beam: &Beam, count: i64) -> Vec<Pid> {
        pids(&self.call(beam, "members", vec![Term::from(count)]).await)
    }

    async fn view_at(&self, beam: &Beam, function: &str) -> View {
        view(&self.call(beam, function, vec![Term::atom(SCOPE)]).await)
    }

    /// `join` or `leave`, at the node of the processes.
    async fn change(&self, beam: &Beam, function: &str, group: &Term, pids: &Term) -> String {
        let expression = format!("pg:{function}({SCOPE}, Group, Pids)");
        eval_with(beam, self.node(), &expression, [("Group", group.clone()), ("Pids", pids.clone())]).await
    }

    /// Waits until each node sees the members of all nodes that it is connected with. Gives those that ours see.
    async fn agree(&self) -> View {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let differences = self.differences().await;
            if differences.is_empty() {
                return seen(&self.ours[0].1);
            }
            assert!(tokio::time::Instant::now() < end, "{}", differences.join("\n"));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    async fn differences(&self) -> Vec<String> {
        let mut locals: Vec<(String, View)> = Vec::new();
        for (node, scope) in &self.ours {
            let local = scope.local_groups().into_iter();
            let local = local.map(|group| (group.clone(), sorted(scope.local_members(&group)))).collect();
            locals.push((node.name().to_string(), local));
        }
        for beam in &self.beams {
            locals.push((beam.name().to_owned(), self.view_at(beam, "local").await));
        }
        let mut differences = Vec::new();
        let mut compare = |node: &str, connected: &[String], found: View| {
            let mut expected = View::new();
            for (other, local) in &locals {
                if other == node || connected.contains(other) {
                    for (group, pids) in local {
                        expected.entry(group.clone()).or_default().extend(pids.iter().cloned());
                    }
                }
            }
            expected.values_mut().for_each(|pids| pids.sort());
            if found != expected {
                differences.push(format!("{node} sees {found:?}, not {expected:?}"));
            }
        };
        for (node, scope) in &self.ours {
            let connected: Vec<String> = node.nodes(Nodes::Connected).iter().map(ToString::to_string).collect();
            compare(node.name().as_str(), &connected, seen(scope));
        }
        for beam in &self.beams {
            let nodes = self.node().call::<Vec<peerl::Atom>>(&name(beam), Mfa::new("erlang", "nodes", ()).unwrap());
            let nodes: Vec<String> = nodes.await.unwrap().iter().map(|node| node.as_str().to_owned()).collect();
            compare(beam.name(), &nodes, self.view_at(beam, "view").await);
        }
        differences
    }
}

fn atom(name: &str) -> peerl::Atom {
    peerl::Atom::new(name).unwrap()
}

fn pids(list: &Term) -> Vec<Pid> {
    list.as_list().unwrap().iter().map(|pid| pid.as_pid().unwrap().clone()).collect()
}

fn sorted(mut pids: Vec<Pid>) -> Vec<Pid> {
    pids.sort();
    pids
}

fn view(map: &Term) -> View {
    map.as_map().unwrap().iter().map(|(group, members)| (group.clone(), sorted(pids(members)))).collect()
}

fn seen(scope: &Scope) -> View {
    scope.groups().into_iter().map(|group| (group.clone(), sorted(scope.members(&group).to_vec()))).collect()
}

fn list(pids: &[Pid]) -> Term {
    Term::list(pids.iter().cloned().map(Term::from))
}

fn own_pids(processes: &[Process]) -> Vec<Pid> {
    processes.iter().map(|process| process.pid().clone()).collect()
}

async fn next(updates: &mut Updates) -> Update {
    tokio::time::timeout(LIMIT, updates.recv()).await.expect("an update").unwrap()
}

/// Waits for updates until all of them, applied to what was there, give this.
async fn told(updates: &mut Updates, mut members: Vec<Pid>, expected: &[Pid]) {
    let expected = sorted(expected.to_vec());
    while sorted(members.clone()) != expected {
        match next(updates).await {
            Update::Joined { pids, .. } => members.extend(pids),
            Update::Left { pids, .. } => {
                for pid in pids {
                    let place = members.iter().position(|member| *member == pid).expect("who leaves was there");
                    members.remove(place);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_all_nodes() {
    let stage = Stage::new();
    let mesh = Mesh::new(&stage).await;
    let ((first, scope), (second, other)) = (&mesh.ours[0], &mesh.ours[1]);
    let scope_process = async |beam: &Beam| {
        let pid = Mfa::new("erlang", "whereis", (Term::atom(SCOPE),)).unwrap();
        first.call::<Pid>(&name(beam), pid).await.unwrap()
    };
    let mut scope_processes = Vec::new();
    for beam in &mesh.beams {
        scope_processes.push(scope_process(beam).await);
    }

    // One, several at once, one twice; groups that are any term.
    let (group, odd) = (Term::atom("workers"), Term::tuple([Term::from("é"), Term::from(1.5f64.to_bits())]));
    let mut ours: Vec<Process> = (0..3).map(|_| first.process()).collect();
    let own = own_pids(&ours);
    let theirs = second.process();
    scope.join(&group, &own[0]).await.unwrap();
    scope.join_all(&group, &[own[1].clone(), own[2].clone(), own[1].clone()]).await.unwrap();
    scope.join(&odd, &own[0]).await.unwrap();
    other.join(&group, theirs.pid()).await.unwrap();
    let mut expected = own.clone();
    expected.extend([own[1].clone(), theirs.pid().clone()]);
    for beam in &mesh.beams {
        let members = mesh.members_at(beam, 3).await;
        assert_eq!(mesh.change(beam, "join", &group, &members[0].clone().into()).await, "ok");
        let several = [members[1].clone(), members[2].clone(), members[1].clone()];
        assert_eq!(mesh.change(beam, "join", &group, &list(&several)).await, "ok");
        expected.extend(members.iter().cloned());
        expected.push(members[1].clone());
    }
    let view = mesh.agree().await;
    assert_eq!((&view[&group], &view[&odd]), (&sorted(expected), &vec![own[0].clone()]));

    // One of two times, several at once, one that is not there.
    scope.leave(&group, &own[1]).await.unwrap();
    assert!(mesh.agree().await[&group].contains(&own[1]));
    scope.leave_all(&group, &own[..2]).await.unwrap();
    assert_eq!(scope.leave(&group, &own[1]).await, Err(MembershipError::NotJoined));
    assert_eq!(scope.leave(&group, theirs.pid()).await, Err(MembershipError::NotLocal(theirs.pid().clone().into())));
    for beam in &mesh.beams {
        let at_beam: Vec<Pid> = mesh.view_at(beam, "local").await[&group].clone();
        assert_eq!(mesh.change(beam, "leave", &group, &list(&at_beam[..2])).await, "ok");
    }
    let view = mesh.agree().await;
    assert!(!view[&group].contains(&own[0]) && !view[&group].contains(&own[1]) && view[&group].contains(&own[2]));
    assert_eq!(view[&group].len(), 2 + 2 * mesh.beams.len());

    // Members that end leave all their groups.
    ours.clear();
    for beam in &mesh.beams {
        let at_beam = mesh.view_at(beam, "local").await;
        mesh.node().process().exit_other(&at_beam[&group][0], &Term::atom("kill"));
    }
    let end = tokio::time::Instant::now() + LIMIT;
    while mesh.agree().await.get(&group).is_some_and(|members| members.len() > 1 + mesh.beams.len()) {
        assert!(tokio::time::Instant::now() < end, "members that have ended are still there");
    }
    let view = mesh.agree().await;
    assert!(!view.contains_key(&odd) && view[&group].contains(theirs.pid()));
    for (beam, before) in mesh.beams.iter().zip(scope_processes) {
        assert_eq!(scope_process(beam).await, before, "the scope process of {:?} has ended", beam.otp());
    }
    for otp in matrix() {
        conformance::holds(otp, [63, 64]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_of_groups_and_of_the_scope() {
    let stage = Stage::new();
    let mesh = Mesh::new(&stage).await;
    let ((first, scope), (_, other)) = (&mesh.ours[0], &mesh.ours[1]);
    let (group, elsewhere) = (Term::atom("workers"), Term::atom("elsewhere"));
    let early = first.process();
    scope.join(&group, early.pid()).await.unwrap();
    mesh.agree().await;

    // Before the watches begin there is one member, which is told to each as what it begins with.
    let (members, mut of_group) = other.monitor(&group);
    let (groups, mut of_scope) = other.monitor_all();
    assert_eq!((&*members, groups.len()), (&[early.pid().clone()][..], 1));
    let mut watches = Vec::new();
    for beam in &mesh.beams {
        for what in [Term::atom("scope"), Term::tuple([Term::atom("group"), group.clone()])] {
            let watch = mesh.call(beam, "watch", vec![Term::atom(SCOPE), what.clone()]).await;
            watches.push((beam, what, watch));
        }
    }

    let late = first.process();
    scope.join_all(&group, &[late.pid().clone(), late.pid().clone()]).await.unwrap();
    scope.join(&elsewhere, late.pid()).await.unwrap();
    let mut expected = vec![early.pid().clone(), late.pid().clone()];
    for beam in &mesh.beams {
        let members = mesh.members_at(beam, 2).await;
        mesh.change(beam, "join", &group, &list(&members)).await;
        mesh.change(beam, "leave", &group, &members[0].clone().into()).await;
        expected.push(members[1].clone());
    }
    scope.leave(&group, late.pid()).await.unwrap();
    let view = mesh.agree().await;
    assert_eq!(view[&group], sorted(expected.clone()));
    told(&mut of_group, members.to_vec(), &expected).await;
    let mut everything = expected.clone();
    everything.push(late.pid().clone());
    told(&mut of_scope, members.to_vec(), &everything).await;
    for (beam, what, watch) in &watches {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let watched = self::view(&mesh.call(beam, "watched", vec![watch.clone()]).await);
            let mut expected = mesh.view_at(beam, "view").await;
            if !what.is_atom("scope") {
                expected.retain(|other, _| *other == group);
            }
            if watched == expected && watched[&group].contains(early.pid()) {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "{what:?} at {}: {watched:?}", beam.name());
        }
    }

    // Of another group nothing is told; when the scope ends, no more.
    drop(late);
    assert_eq!(next(&mut of_group).await.group(), &group);
    other.clone().stop().await;
    while of_scope.recv().await.is_ok() {}
    assert_eq!(of_scope.recv().await, Err(UpdatesEnded::Scope));
    assert!(other.groups().is_empty());
    assert_eq!(other.join(&group, early.pid()).await, Err(MembershipError::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_processes_that_start_anew() {
    let stage = Stage::new();
    let mut mesh = Mesh::new(&stage).await;
    let group = Term::atom("workers");
    let (node, scope) = mesh.ours.remove(0);
    let member = node.process();
    scope.join(&group, member.pid()).await.unwrap();
    for beam in &mesh.beams {
        let members = mesh_members(&node, beam).await;
        eval_with(beam, &node, "pg:join(scope, workers, Pids)", [("Pids", members)]).await;
    }
    mesh.ours.insert(0, (node.clone(), scope.clone()));
    assert_eq!(mesh.agree().await[&group].len(), 1 + 2 * mesh.beams.len());

    // Ours: its members are gone, and those of the others are learned again.
    scope.stop().await;
    let again = Scope::start(&node, SCOPE).await.unwrap();
    mesh.ours[0].1 = again.clone();
    let view = mesh.agree().await;
    assert_eq!(view.get(&group).map_or(0, Vec::len), 2 * mesh.beams.len());
    again.join(&group, member.pid()).await.unwrap();
    assert!(mesh.agree().await[&group].contains(member.pid()));

    // Theirs.
    for beam in &mesh.beams {
        mesh.call(beam, "kill", vec![Term::atom(SCOPE)]).await;
        let started = beam.eval_async(format!("groups:start({SCOPE}), ok")).await;
        assert_eq!(started.as_deref(), Ok("ok"));
    }
    let end = tokio::time::Instant::now() + LIMIT;
    while mesh.agree().await[&group] != [member.pid().clone()] {
        assert!(tokio::time::Instant::now() < end, "members of ended scope processes are still there");
    }
    for otp in matrix() {
        conformance::holds(otp, [66]);
    }
}

async fn mesh_members(node: &Node, beam: &Beam) -> Term {
    node.call(&name(beam), Mfa::new("groups", "members", (2,)).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_go_and_come_back() {
    let stage = Stage::new();
    let mut mesh = Mesh::new(&stage).await;
    let group = Term::atom("workers");
    let node = mesh.node().clone();
    let member = node.process();
    mesh.ours[0].1.join(&group, member.pid()).await.unwrap();
    for beam in &mesh.beams {
        let members = mesh_members(&node, beam).await;
        eval_with(beam, &node, "pg:join(scope, workers, Pids)", [("Pids", members)]).await;
    }
    mesh.agree().await;

    // A connection ends, and comes back.
    for beam in &mesh.beams {
        assert!(node.disconnect(&name(beam)));
        crate::stage::eventually("the members are gone", || {
            mesh.ours[0].1.members(&group).iter().all(|pid| pid.node.as_str() != beam.name())
        })
        .await;
        node.connect(&name(beam)).await.unwrap();
    }
    assert_eq!(mesh.agree().await[&group].len(), 1 + 2 * mesh.beams.len());

    // A node of theirs dies.
    let dead = mesh.beams.remove(0);
    dead.kill();
    let end = tokio::time::Instant::now() + LIMIT;
    while mesh.agree().await[&group].iter().any(|pid| pid.node.as_str() == dead.name()) {
        assert!(tokio::time::Instant::now() < end, "members of a dead node are still there");
    }

    // One of ours goes.
    let left = mesh.ours.remove(1);
    let gone = left.0.process();
    left.1.join(&group, gone.pid()).await.unwrap();
    crate::stage::eventually("the member is there", || mesh.ours[0].1.members(&group).contains(gone.pid())).await;
    left.0.shutdown().await;
    crate::stage::eventually("the member is gone", || !mesh.ours[0].1.members(&group).contains(gone.pid())).await;
    mesh.agree().await;
    for otp in matrix() {
        conformance::holds(otp, [63]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_beams_call() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        // With Pid for a process of ours, and Call for a call of a function of `pg`.
        let process = node.process();
        let check = async |expression: &str, value: &str| {
            let prelude = "Call = fun(F, A) ->
                    try erpc:call(NODE, pg, F, A) catch C:{exception, R, _} -> {C, R}; C:{exception, R} -> {C, R} end
                end";
            let expression = format!("{prelude}, {expression}");
            let found = eval_with(&beam, &node, &expression, [("Pid", process.pid().clone().into())]).await;
            assert_eq!(found, value, "{expression}");
        };
        check("Call(which_groups, [])", "{error,undef}").await;
        let scope = Scope::start(&node, Scope::DEFAULT).await.unwrap();
        check("[Call(join, [g, Pid]), Call(join, [pg, {h}, [Pid, Pid]])]", "[ok,ok]").await;
        check("[Call(get_members, [g]), Call(get_members, [pg, g])] =:= [[Pid], [Pid]]", "true").await;
        check("Call(get_local_members, [{h}]) =:= [Pid, Pid]", "true").await;
        check("Call(get_local_members, [pg, none])", "[]").await;
        check("[Call(which_groups, A) || A <- [[], [pg]]]", "[[g,{h}],[g,{h}]]").await;
        assert_eq!(scope.members(&Term::atom("g")).to_vec(), [process.pid().clone()]);
        check("[Call(leave, [g, Pid]), Call(leave, [pg, g, [Pid]])]", "[ok,not_joined]").await;

        // What cannot be.
        check("Call(join, [g, self()]) =:= {error, {nolocal, self()}}", "true").await;
        check("Call(leave, [pg, g, [x]])", "{error,{nolocal,x}}").await;
        check("Call(join, [g, x])", "{error,function_clause}").await;
        check("Call(which_groups, [nothing])", "{error,badarg}").await;
        check("Call(get_members, [nothing, g])", "[]").await;
        check("{exit, {Why, _}} = Call(join, [nothing, g, Pid]), Why", "noproc").await;
    }
}
