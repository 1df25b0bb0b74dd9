//! Processes are told of nodes that connect and disconnect, in order with all other messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, name};
use peerl::{Atom, Message, NodeDown, NodeUp, Process, Visibility};
use peerl_test_support::matrix;

async fn next(process: &mut Process) -> Message {
    tokio::time::timeout(LIMIT, process.receive()).await.expect("a message").unwrap()
}

/// Messages of a node arrive between its `nodeup` and its `nodedown`, and so do the signals of monitors and links.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_order_with_what_the_node_sends() {
    for otp in matrix() {
        let stage = Stage::new();
        let node = stage.node().await;
        let mut process = node.process();
        process.register(Atom::from_static("watcher")).unwrap();
        process.trap_exit(true);
        assert_eq!(process.monitor_nodes(), []);
        // A second subscription sends no second message.
        assert_eq!(process.monitor_nodes(), []);
        let beam = stage.beam(otp).await;
        let sends = "Pid = spawn(fun() ->
                         [{watcher, NODE} ! N || N <- lists:seq(1, 1000)],
                         {watcher, NODE} ! self(),
                         receive {linked, Main} -> [{watcher, NODE} ! N || N <- lists:seq(1, 1000)], Main ! go end,
                         receive after infinity -> ok end
                     end),
                     register(sender, Pid), ok";
        eval(&beam, &node, sends).await;
        match next(&mut process).await {
            Message::NodeUp(up) => {
                assert_eq!((up.node, up.visibility), (name(&beam), Visibility::Visible));
                assert_eq!(Some(up.connection), node.connection(&name(&beam)));
            }
            other => panic!("{other:?}"),
        }
        for number in 1..=1000_i64 {
            assert_eq!(next(&mut process).await.into_term().unwrap().as_integer(), Some(number));
        }
        let sender = next(&mut process).await.into_term().unwrap().as_pid().unwrap().clone();
        process.link(&sender).await;
        let monitor = process.monitor(&sender).await;
        let other = node.process();
        let connection = node.connection(&name(&beam)).unwrap();
        let up = NodeUp { node: name(&beam), visibility: Visibility::Visible, connection };
        assert_eq!(other.monitor_nodes(), [up]);
        // The BEAM sends much, and halts at once.
        let halt = "sender ! {linked, self()}, receive go -> spawn(fun() -> erlang:halt(0) end), ok end";
        let _ = beam.eval_within_async(halt.to_owned(), Duration::from_secs(30)).await;
        let (mut numbers, mut ends) = (0, 0);
        loop {
            match next(&mut process).await {
                Message::User(_) => numbers += 1,
                Message::Down(down) => {
                    assert_eq!(down.reference, monitor);
                    ends += 1;
                }
                Message::Exit(exit) => {
                    assert_eq!(exit.from, sender);
                    ends += 1;
                }
                Message::NodeDown(down) => {
                    let NodeDown { node, connection: ended, .. } = *down;
                    assert_eq!((node, ended), (name(&beam), connection));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((numbers, ends), (1000, 2), "before the node is down, on {otp:?}");
        assert!(process.demonitor_nodes() && !process.demonitor_nodes());
        assert!(process.try_receive().unwrap().is_none());
    }
}

/// Each change is reported once to each subscriber, as the terms of Erlang.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_once() {
    let stage = Stage::new();
    let (node, peer) = (stage.node().await, stage.hidden().await);
    let mut processes = [node.process(), node.process()];
    for process in &processes {
        process.monitor_nodes();
    }
    for _ in 0..20 {
        node.connect(peer.name()).await.unwrap();
        assert!(node.disconnect(peer.name()));
    }
    for process in &mut processes {
        for turn in 0..20 {
            for what in ["nodeup", "nodedown"] {
                let term = next(process).await.into_term().unwrap();
                let expected = peerl::Term::tuple([peerl::Term::atom(what), peer.name().as_atom().clone().into()]);
                assert_eq!(term, expected, "in turn {turn}");
            }
        }
        assert!(process.try_receive().unwrap().is_none());
    }
}

/// No message of a connection comes after its end, although this node itself ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_after_a_node_is_down() {
    let stage = Stage::new();
    let (node, peer) = (stage.node().await, stage.hidden().await);
    let mut process = node.process();
    process.monitor_nodes();
    for turn in 0..50 {
        node.connect(peer.name()).await.unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let flooding = tokio::spawn({
            let (sender, to, stopped) = (peer.process(), process.pid().clone(), stopped.clone());
            async move {
                // The node that was called is connected a moment later: at first, nothing can be sent.
                while !stopped.load(Ordering::SeqCst) {
                    let _ = sender.send_connected(&to, &peerl::Term::from(turn));
                    tokio::task::yield_now().await;
                }
            }
        });
        // Some have come; more are being delivered.
        while process.queued() < 20 {
            tokio::task::yield_now().await;
        }
        node.disconnect(peer.name());
        stopped.store(true, Ordering::SeqCst);
        flooding.await.unwrap();
        let mut is_down = false;
        while let Some(message) = process.try_receive().unwrap() {
            match message {
                Message::NodeDown(_) => is_down = true,
                Message::User(_) => assert!(!is_down, "a message after the end, in turn {turn}"),
                _ => {}
            }
        }
        assert!(is_down);
    }
}
