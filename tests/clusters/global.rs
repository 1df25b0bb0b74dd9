//! Names and locks of a mesh: `global` among BEAM nodes and nodes of ours.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::stage::{LIMIT, Stage, atom, eval, eventually, expect, message, name};
use futures::future::join_all;
use peerl::otp::global::{Global, Method, NodeGlobal};
use peerl::{Node, Nodes, Process, Term};
use peerl_test_support::{Beam, Otp, conformance, matrix, unique_name};
use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Three BEAM nodes that know each other.
async fn mesh(stage: &Stage, otp: Otp) -> Vec<Beam> {
    let beams = join_all([stage.beam(otp), stage.beam(otp), stage.beam(otp)]).await;
    for beam in &beams[1..] {
        beam.wait_for_async(&format!("net_adm:ping('{}')", beams[0].name()), "pong", LIMIT).await;
    }
    for beam in &beams {
        beam.wait_for_async("length(nodes())", "2", LIMIT).await;
        beam.wait_for_async("global:sync()", "ok", LIMIT).await;
    }
    beams
}

/// A node of ours with `global` that has joined the mesh by one of its nodes.
async fn member(stage: &Stage, own: &str, beams: &[Beam]) -> (Node, Global) {
    let node = stage.builder_of(own).start().await.unwrap();
    let global = node.global();
    node.connect(&name(&beams[0])).await.unwrap();
    eventually("a mesh", || node.nodes(Nodes::Visible).len() >= beams.len()).await;
    tokio::time::timeout(LIMIT, global.sync()).await.expect("the names").unwrap();
    (node, global)
}

fn named(start: &str) -> String {
    format!("{}@127.0.0.1", unique_name(start))
}

/// Waits until the expression has this value at all nodes.
async fn all(beams: &[Beam], node: &Node, expression: &str, value: &str) {
    let expression = expression.replace("NODE", &format!("'{}'", node.name()));
    for beam in beams {
        beam.wait_for_async(&expression, value, LIMIT).await;
    }
}

async fn is_registered(global: &Global, name: &str, node: &str) -> bool {
    let pid = global.whereis(atom(name)).await.unwrap();
    pid.is_some_and(|pid| pid.node.as_str() == node)
}

/// Waits until a name is known here as one of a process of this node, or of nobody.
async fn here(global: &Global, name: &str, node: Option<&str>) {
    let end = Instant::now() + LIMIT;
    loop {
        let pid = global.whereis(atom(name)).await.unwrap();
        if pid.as_ref().map(|pid| pid.node.as_str()) == node {
            return;
        }
        assert!(Instant::now() < end, "{name} is {pid:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A BEAM's process that waits for ever, with this name.
fn registering(name: &str) -> String {
    format!("global:register_name({name}, spawn(fun() -> receive never -> ok end end))")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_the_same_everywhere() {
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        let (node, global) = member(&stage, &named("peerl"), &beams).await;
        for beam in &beams {
            expect(beam, &node, "global:sync()", "ok").await;
            expect(beam, &node, "lists:member(NODE, nodes())", "true").await;
        }

        // Registered here.
        let process = node.process();
        assert!(global.register(atom("ours"), process.pid(), Method::RandomExit).await.unwrap());
        all(&beams, &node, "node(global:whereis_name(ours)) =:= NODE", "true").await;
        expect(&beams[1], &node, &registering("ours"), "no").await;
        assert!(!global.register(atom("another"), process.pid(), Method::RandomExit).await.unwrap());
        let second = node.process();
        assert!(!global.register(atom("ours"), second.pid(), Method::RandomExit).await.unwrap());
        global.re_register(atom("ours"), second.pid(), Method::NotifyAll).await.unwrap();
        drop(process);
        assert!(is_registered(&global, "ours", node.name().as_str()).await);
        all(&beams, &node, "global:send(ours, {from, node()}) =:= global:whereis_name(ours)", "true").await;
        global.unregister(atom("ours")).await.unwrap();
        all(&beams, &node, "global:whereis_name(ours)", "undefined").await;

        // A name ends with its process.
        assert!(global.register(atom("brief"), second.pid(), Method::RandomExit).await.unwrap());
        all(&beams, &node, "is_pid(global:whereis_name(brief))", "true").await;
        drop(second);
        all(&beams, &node, "global:whereis_name(brief)", "undefined").await;
        assert_eq!(global.whereis(atom("brief")).await.unwrap(), None);

        // Registered there.
        for (index, beam) in beams.iter().enumerate() {
            expect(beam, &node, &registering(&format!("name{index}")), "yes").await;
            assert!(is_registered(&global, &format!("name{index}"), beam.name()).await);
        }
        assert_eq!(global.registered_names().await.unwrap().len(), 3);
        expect(&beams[0], &node, "exit(global:whereis_name(name1), kill)", "true").await;
        here(&global, "name1", None).await;
        beams[2].kill();
        here(&global, "name2", None).await;
        expect(&beams[1], &node, "global:unregister_name(name0)", "ok").await;
        here(&global, "name0", None).await;
        conformance::holds(otp, [53, 54]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_can_be_called_by_peers() {
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        let (node, _global) = member(&stage, &named("peerl"), &beams).await;
        let beam = &beams[0];
        let call = |function: &str| format!("erpc:call(NODE, global, {function})");
        expect(beam, &node, &call("whereis_name, [there]"), "undefined").await;
        expect(beam, &node, &call("register_name, [there, whereis(user)]"), "yes").await;
        expect(beam, &node, &(call("whereis_name, [there]") + " =:= whereis(user)"), "true").await;
        expect(beam, &node, &call("registered_names, []"), "[there]").await;
        expect(&beams[1], &node, "node(global:whereis_name(there)) =:= node()", "false").await;
        expect(beam, &node, &call("re_register_name, [there, whereis(rex), fun global:notify_all_name/3]"), "yes")
            .await;
        expect(beam, &node, "global:whereis_name(there) =:= whereis(rex)", "true").await;
        expect(beam, &node, &call("unregister_name, [there]"), "ok").await;
        expect(beam, &node, "global:whereis_name(there)", "undefined").await;
        expect(beam, &node, &call("sync, []"), "ok").await;
        expect(beam, &node, &call("set_lock, [{r, self()}]"), "true").await;
        expect(beam, &node, &call("set_lock, [{r, self()}, [node(), NODE], 0]"), "true").await;
        expect(beam, &node, &call("del_lock, [{r, self()}]"), "true").await;
        expect(beam, &node, &("element(1, ".to_owned() + &call("info, []") + ")"), "state").await;
        let sent = "catch ".to_owned() + &call("send, [nobody, hello]");
        expect(beam, &node, &("element(1, element(2, (".to_owned() + &sent + ")))"), "exception").await;
        // The answer is lost with the connection.
        let leave = format!("begin catch {}, left end", call("disconnect, []"));
        expect(beam, &node, &leave, "left").await;
        all(&beams, &node, "lists:member(NODE, nodes())", "false").await;
        all(&beams, &node, "length(nodes())", "2").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_exclude_each_other() {
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        let (node, global) = member(&stage, &named("peerl"), &beams).await;
        let lock = global.lock(atom("table")).await.unwrap();
        for beam in &beams {
            expect(beam, &node, "global:set_lock({table, self()}, [node() | nodes()], 0)", "false").await;
        }
        assert!(global.try_lock(atom("table"), 0).await.unwrap().is_none());
        lock.release().await;
        let holder = "Holder = spawn(fun() -> true = global:set_lock({table, self()}), register(holder, self()), \
                      receive stop -> ok end end), (fun Until() -> case whereis(holder) of undefined -> Until(); _ -> ok \
                      end end)()";
        expect(&beams[1], &node, holder, "ok").await;
        assert!(global.try_lock(atom("table"), 0).await.unwrap().is_none());
        // The lock goes with its holder, there and here.
        expect(&beams[1], &node, "exit(whereis(holder), kill)", "true").await;
        let lock = tokio::time::timeout(LIMIT, global.lock(atom("table"))).await.expect("the lock").unwrap();
        drop(lock);
        for beam in &beams {
            beam.wait_for_async("global:trans({table, self()}, fun() -> done end)", "done", LIMIT).await;
        }
        let done = global.trans(atom("table"), async { 5 }).await;
        assert_eq!(done, Ok(5));
        conformance::holds(otp, [55]);
    }
}

/// A lock is that of the process that evaluates `set_lock`: with `erpc` one that ends, with `rpc:block_call` the process `rex`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_of_the_process_that_evaluates() {
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        let (node, global) = member(&stage, &named("peerl"), &beams).await;
        let beam = &beams[0];
        let free = |lock: &str| format!("global:set_lock({{{lock}, self()}}, [node() | nodes()], 0)");
        expect(beam, &node, "erpc:call(NODE, global, set_lock, [{brief, one}])", "true").await;
        all(&beams[1..], &node, &free("brief"), "true").await;

        expect(beam, &node, "rpc:block_call(NODE, global, set_lock, [{lasting, one}])", "true").await;
        let holder = "[{lasting, one, [{Pid, _}]}] = ets:lookup(global_locks, lasting), \
                      Pid =:= rpc:call(NODE, erlang, whereis, [rex])";
        for beam in &beams {
            expect(beam, &node, holder, "true").await;
            expect(beam, &node, &free("lasting"), "false").await;
        }
        assert!(global.try_lock(atom("lasting"), 0).await.unwrap().is_none());
        // Another process does not remove it.
        expect(beam, &node, "erpc:call(NODE, global, del_lock, [{lasting, one}])", "true").await;
        expect(beam, &node, &free("lasting"), "false").await;
        expect(beam, &node, "rpc:block_call(NODE, global, del_lock, [{lasting, one}])", "true").await;
        all(&beams, &node, &free("lasting"), "true").await;
        conformance::holds(otp, [55]);
    }
}

/// The same name at two nodes that meet, in both orders of their names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_keeps_a_name_that_two_have() {
    let stage = Stage::new();
    for otp in matrix() {
        for start in ["aaa", "zzz"] {
            let beams = mesh(&stage, otp).await;
            let node = stage.builder_of(&named(start)).start().await.unwrap();
            let global = node.global();
            let (exiting, mut told): (Process, Process) = (node.process(), node.process());
            assert!(global.register(atom("exit"), exiting.pid(), Method::RandomExit).await.unwrap());
            assert!(global.register(atom("notify"), told.pid(), Method::NotifyAll).await.unwrap());
            expect(&beams[1], &node, &registering("exit"), "yes").await;
            let notify = "global:register_name(notify, spawn(fun() -> receive never -> ok end end), \
                          fun global:notify_all_name/3)";
            expect(&beams[2], &node, notify, "yes").await;
            node.connect(&name(&beams[0])).await.unwrap();

            // The node with the smaller name keeps the name.
            let kept = if start == "aaa" { node.name().as_str() } else { beams[1].name() };
            here(&global, "exit", Some(kept)).await;
            all(&beams, &node, &format!("node(global:whereis_name(exit)) =:= '{kept}'"), "true").await;
            if start == "aaa" {
                assert!(node.process_info(exiting.pid()).is_some());
            } else {
                eventually("the end of a process", || node.process_info(exiting.pid()).is_none()).await;
            }
            here(&global, "notify", None).await;
            all(&beams, &node, "global:whereis_name(notify)", "undefined").await;
            let conflict = message(&mut told).await;
            let parts = conflict.as_tuple().map(|parts| parts[..2].to_vec());
            assert_eq!(parts, Some(vec![Term::atom("global_name_conflict"), Term::atom("notify")]));
        }
        conformance::holds(otp, [56]);
    }
}

/// Two BEAM nodes part: no two partitions overlap, in the view of a node of ours either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_do_not_overlap() {
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        let (node, _global) = member(&stage, &named("peerl"), &beams).await;
        let (other, _global) = member(&stage, &named("peerl"), &beams).await;
        all(&beams, &node, "length(nodes())", "4").await;
        eval(&beams[0], &node, &format!("erlang:disconnect_node('{}')", beams[1].name())).await;
        let parted = format!("lists:member('{}', nodes())", beams[1].name());
        beams[0].wait_for_async(&parted, "false", LIMIT).await;
        let both = [name(&beams[0]), name(&beams[1])];
        let overlaps = |node: &Node| both.iter().all(|beam| node.nodes(Nodes::Visible).contains(beam));
        eventually("partitions", || !overlaps(&node) && !overlaps(&other)).await;
        conformance::holds(otp, [58]);
    }
}

/// A node that joins is gone at each moment of that: the others register names as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_while_it_joins_leaves_nothing_locked() {
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        for start in ["aaa", "zzz"] {
            for delay in [0, 30, 150, 190, 200, 205, 210, 220, 240, 260, 300] {
                let node = stage.builder_of(&named(start)).start().await.unwrap();
                node.connect(&name(&beams[0])).await.unwrap();
                tokio::time::sleep(Duration::from_millis(delay)).await;
                let begun = Instant::now();
                node.shutdown().await;
                for (index, beam) in beams.iter().enumerate() {
                    let registered = format!("{{{start}, {delay}, {index}}}");
                    expect(beam, &node, &registering(&registered), "yes").await;
                }
                assert!(begun.elapsed() < LIMIT, "{start} {delay}: {:?}", begun.elapsed());
            }
        }
        conformance::holds(otp, [60, 61]);
    }
}

/// A BEAM ends the connection at each moment of a meeting: both register names as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_is_broken_off_leaves_nothing_locked() {
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        for start in ["aaa", "zzz"] {
            let node = stage.builder_of(&named(start)).start().await.unwrap();
            let global = node.global();
            for delay in [0, 5, 100, 190, 200, 210, 220, 230, 240, 250, 260] {
                let meeting = format!(
                    "net_kernel:connect_node(NODE), timer:sleep({delay}), erlang:disconnect_node(NODE), \
                     {}",
                    registering(&format!("{{{start}, {delay}}}"))
                );
                let begun = Instant::now();
                expect(&beam, &node, &meeting, "yes").await;
                let process = node.process();
                assert!(global.register(Term::from(delay), process.pid(), Method::RandomExit).await.unwrap());
                assert!(begun.elapsed() < LIMIT, "{start} {delay}: {:?}", begun.elapsed());
            }
            // After all that, they meet.
            node.connect(&name(&beam)).await.unwrap();
            beam.wait_for_async("global:sync()", "ok", LIMIT).await;
            here(&global, "nobody", None).await;
            let process = node.process();
            assert!(global.register(atom(start), process.pid(), Method::RandomExit).await.unwrap());
            all(std::slice::from_ref(&beam), &node, &format!("node(global:whereis_name({start})) =:= NODE"), "true")
                .await;
        }
        conformance::holds(otp, [60]);
    }
}

/// Nodes of all releases, and several of ours, that start at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_meet_at_the_same_time() {
    let stage = Stage::new();
    let releases = matrix();
    let beams = join_all([0, 1, 2].map(|index| stage.beam(releases[index % releases.len()]))).await;
    let mut members = Vec::new();
    for _ in 0..17 {
        let node = stage.node().await;
        members.push((node.global(), node));
    }
    let first = name(&beams[0]);
    for beam in &beams[1..] {
        eval(beam, &members[0].1, &format!("net_adm:ping('{first}')")).await;
    }
    let connected = join_all(members.iter().map(|(_, node)| node.connect(&first))).await;
    assert!(connected.into_iter().all(|connected| connected.is_ok()));
    for (global, node) in &members {
        eventually("a mesh", || node.nodes(Nodes::Visible).len() == members.len() + beams.len() - 1).await;
        tokio::time::timeout(LIMIT, global.sync()).await.expect("the names").unwrap();
    }
    for (index, (global, node)) in members.iter().enumerate() {
        let process = Box::leak(Box::new(node.process()));
        let name = format!("member{index}");
        assert!(global.register(atom(&name), process.pid(), Method::RandomExit).await.unwrap());
        all(&beams, node, &format!("node(global:whereis_name({name})) =:= NODE"), "true").await;
        for (other, _) in &members {
            assert!(is_registered(other, &name, node.name().as_str()).await);
        }
    }
    for otp in matrix() {
        conformance::holds(otp, [62]);
    }
}

/// Fails where `global` says that it has got this message, as a fault of its own would.
struct Fault;

impl<S: Subscriber> Layer<S> for Fault {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = String::new();
        event.record(&mut |_: &Field, value: &dyn Debug| said += &format!("{value:?}"));
        assert!(!said.contains("global has got a message that it does not know: fault"), "a fault");
    }
}

/// OTP's process of this name takes its node with it. Here no exit signal ends it, and after a fault there is another one. (All
/// tasks of the node are in this thread, where the fault is.)
#[tokio::test]
async fn a_server_that_fails_or_is_killed_stays_a_member() {
    let _fault = tracing_subscriber::registry().with(Fault).set_default();
    let stage = Stage::new();
    for otp in matrix() {
        let beams = mesh(&stage, otp).await;
        let (node, global) = member(&stage, &named("peerl"), &beams).await;
        let (ours, later) = (node.process(), node.process());
        assert!(global.register(atom("ours"), ours.pid(), Method::RandomExit).await.unwrap());
        expect(&beams[0], &node, &registering("theirs"), "yes").await;
        let watch = "register(watch, spawn(fun() -> net_kernel:monitor_nodes(true), (fun Watch(Seen) -> receive \
                     {nodedown, Node} -> Watch([Node | Seen]); {From, tell} -> From ! {seen, lists:usort(Seen)}, Watch(Seen); \
                     _ -> Watch(Seen) end end)([]) end))";
        for beam in &beams {
            expect(beam, &node, watch, "true").await;
        }
        let server = "erpc:call(NODE, erlang, whereis, [global_name_server])";
        let works = async |round: &str| {
            for beam in &beams {
                all(&beams, &node, "lists:member(NODE, nodes()) andalso length(nodes())", "3").await;
                expect(beam, &node, "global:sync()", "ok").await;
                expect(beam, &node, "global:trans({table, self()}, fun() -> done end)", "done").await;
            }
            all(&beams, &node, "node(global:whereis_name(ours)) =:= NODE", "true").await;
            here(&global, "theirs", Some(beams[0].name())).await;
            expect(&beams[1], &node, &registering(&format!("theirs_{round}")), "yes").await;
            here(&global, &format!("theirs_{round}"), Some(beams[1].name())).await;
            global.lock(atom("table")).await.unwrap().release().await;
        };

        // No peer ends it.
        for reason in ["kill", "shutdown", "normal"] {
            expect(&beams[2], &node, &format!("P = {server}, exit(P, {reason}), P =:= {server}"), "true").await;
        }
        works("killed").await;
        expect(&beams[1], &node, "watch ! {self(), tell}, receive {seen, Seen} -> Seen end", "[]").await;

        // With a fault of its own, the node leaves the mesh, and nobody else does.
        for round in ["once", "twice"] {
            let fail = format!("persistent_term:put(server, {server}), {{global_name_server, NODE}} ! fault");
            expect(&beams[2], &node, &fail, "fault").await;
            let is_new = format!("(catch {server}) =/= persistent_term:get(server) andalso is_pid(catch {server})");
            beams[2].wait_for_async(&is_new.replace("NODE", &format!("'{}'", node.name())), "true", LIMIT).await;
            works(round).await;
        }
        all(&beams, &node, "watch ! {self(), tell}, receive {seen, Seen} -> Seen =:= [NODE] end", "true").await;
        assert!(global.register(atom("later"), later.pid(), Method::RandomExit).await.unwrap());
        all(&beams, &node, "node(global:whereis_name(later)) =:= NODE", "true").await;
    }
}
