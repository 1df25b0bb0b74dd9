//! Pids of a node that has ended, and has been started again under its name.

use crate::stage::{LIMIT, Stage, eval, eval_with, message, name};
use peerl::{Node, Pid, Process, Term};
use peerl_test_support::{conformance, matrix, unique_name};

/// Whether the connection is the same as before.
async fn is_steady(node: &Node, peer: &peerl::NodeName, process: &mut Process) {
    let connection = node.connection(peer);
    node.ping(peer).await.unwrap();
    assert_eq!(node.connection(peer), connection);
    assert!(process.try_receive().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam_name = format!("{}@127.0.0.1", unique_name("again"));
        let beam = stage.erlang(otp).name(&beam_name).start_async().await;
        let peer = name(&beam);
        let stale: Pid =
            node.call(&peer, peerl::Mfa::new("erlang", "whereis", (Term::atom("init"),)).unwrap()).await.unwrap();
        beam.kill();
        drop(beam);
        crate::stage::eventually("the node is down", || node.connection(&peer).is_none()).await;
        let beam = stage.erlang(otp).name(&beam_name).start_async().await;
        node.connect(&peer).await.unwrap();

        let mut process = node.process();
        process.trap_exit(true);
        let noproc = |found: Term| found.as_tuple().unwrap().last().unwrap().is_atom("noproc");
        process.link(&stale).await;
        assert!(noproc(message(&mut process).await));
        process.monitor(&stale).await;
        assert!(noproc(message(&mut process).await));
        process.send_term(&stale, &Term::atom("lost")).await.unwrap();
        process.exit_other(&stale, &Term::atom("kill"));
        is_steady(&node, &peer, &mut process).await;
        // What follows at once, before an answer could come.
        process.link(&stale).await;
        process.unlink(&stale);
        let monitor = process.monitor(&stale).await;
        process.demonitor(&monitor);
        while process.try_receive().unwrap().is_some() {}
        is_steady(&node, &peer, &mut process).await;
        let ending = node.process();
        ending.trap_exit(true);
        ending.link(&stale).await;
        ending.exit(&Term::atom("over"));
        is_steady(&node, &peer, &mut process).await;
        drop(beam);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ours() {
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let own_name = format!("{}@127.0.0.1", unique_name("again"));
        let first = stage.builder_of(&own_name).start().await.unwrap();
        let process = first.process();
        process.register(peerl::Atom::from_static("kept")).unwrap();
        let stale = process.pid().clone();
        eval(&beam, &first, "net_kernel:connect_node(NODE)").await;
        first.shutdown().await;
        beam.wait_for_async("nodes()", "[]", LIMIT).await;
        let node = stage.builder_of(&own_name).start().await.unwrap();
        // Its number is that of the former process.
        let mut processes: Vec<Process> = (0..100).map(|_| node.process()).collect();
        assert!(processes.iter().any(|process| (process.pid().id, process.pid().serial) == (stale.id, stale.serial)));
        let expression = "
            process_flag(trap_exit, true), pong = net_adm:ping(NODE),
            Old ! lost, exit(Old, kill), unlink(Old),
            link(Old), Exit = receive {'EXIT', Old, E} -> E end,
            R = monitor(process, Old), Down = receive {'DOWN', R, process, Old, D} -> D end,
            link(Old), unlink(Old), group_leader(self(), Old),
            [Exit, Down, net_adm:ping(NODE)]";
        let found = eval_with(&beam, &node, expression, [("Old", stale.into())]).await;
        assert_eq!(found, "[noproc,noproc,pong]", "on {otp:?}");
        for process in &mut processes {
            assert!(process.try_receive().unwrap().is_none());
        }
        conformance::holds(otp, [15]);
    }
}
