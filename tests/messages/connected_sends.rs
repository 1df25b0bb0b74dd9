//! Messages and monitors for connected nodes only, without waiting and without connecting.

use crate::stage::{Stage, eval, eventually, message, name};
use peerl::{Atom, Limits, Message, NodeName, NotSent, Term};
use peerl_term::RawTerm;
use peerl_test_support::{Otp, matrix};

/// All messages of a process arrive in the order in which it sent them in either way, large messages among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_order_with_what_else_the_process_sends() {
    for otp in matrix() {
        let stage = Stage::new();
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let collects = "register(collector, spawn(fun() ->
                            (fun Collect(All) -> receive
                                 {Kind, N, _} -> Collect([{Kind, N} | All]);
                                 {all, From} -> From ! lists:reverse(All), Collect(All)
                             end end)([])
                        end)), net_adm:ping(NODE)";
        assert_eq!(eval(&beam, &node, collects).await, "pong");
        let process = node.process();
        let peer = name(&beam);
        let to = || ("collector", &peer);
        let message = |kind: &'static str, number: u64, size: usize| {
            Term::tuple([Term::atom(kind), Term::from(number), Term::binary(vec![0; size])])
        };
        for number in 0..20 {
            process.send_term(to(), &message("waits", number, 3 << 20)).await.unwrap();
            process.send_connected(to(), &message("at_once", number, 10)).unwrap();
            let large = RawTerm::encoded_from(&message("large", number, 300_000));
            process.send_connected_raw(to(), &large).unwrap();
            process.send_term(to(), &message("last", number, 10)).await.unwrap();
        }
        let order = "(fun Wait() ->
                         collector ! {all, self()},
                         receive All when length(All) =:= 80 -> All; _ -> timer:sleep(20), Wait() end
                     end)() =:= [{Kind, N} || N <- lists:seq(0, 19), Kind <- [waits, at_once, large, last]]";
        assert_eq!(eval(&beam, &node, order).await, "true", "on {otp:?}");
        // A monitor is set up before the message that ends the process arrives.
        let ends = "register(ending, spawn(fun() -> receive stop -> exit(as_told) end end)), ok";
        assert_eq!(eval(&beam, &node, ends).await, "ok");
        let mut process = node.process();
        let monitor = process.monitor_connected(("ending", &name(&beam)));
        process.send_connected(("ending", &name(&beam)), &Term::atom("stop")).unwrap();
        match process.receive().await.unwrap() {
            Message::Down(down) => {
                assert_eq!((down.reference, down.reason.decode().unwrap()), (monitor, Term::atom("as_told")));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A node that is not connected is reported, and no connection is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_nodes_that_are_not_connected() {
    let stage = Stage::new();
    let (node, peer) = (stage.node().await, stage.node().await);
    let mut process = node.process();
    let target = peer.process();
    assert_eq!(process.send_connected(target.pid(), &Term::atom("x")), Err(NotSent::NotConnected));
    let nobody: NodeName = "nobody@127.0.0.1".parse().unwrap();
    assert_eq!(process.send_connected(("x", &nobody), &Term::atom("x")), Err(NotSent::NotConnected));
    let monitor = process.monitor_connected(target.pid());
    match process.try_receive().unwrap() {
        Some(Message::Down(down)) => assert!(down.reference == monitor && down.reason.is_atom("noconnection")),
        other => panic!("{other:?}"),
    }
    assert!(node.nodes(peerl::Nodes::Connected).is_empty() && node.connection(peer.name()).is_none());
    // Connected without waiting.
    process.monitor_nodes();
    node.begin_connect(peer.name()).unwrap();
    let Message::NodeUp(up) = process.receive().await.unwrap() else { panic!() };
    assert_eq!((&up.node, Some(up.connection)), (peer.name(), node.connection(peer.name())));
    assert_eq!(process.send_connected(target.pid(), &Term::atom("x")), Ok(()));
    assert!(node.begin_connect(node.name()).is_err());
    node.disconnect(peer.name());
    let Message::NodeDown(down) = process.receive().await.unwrap() else { panic!() };
    assert_eq!(down.connection, up.connection);
    node.connect(peer.name()).await.unwrap();
    assert_ne!(node.connection(peer.name()), Some(up.connection));
}

/// Processes of the own node.
#[tokio::test]
async fn to_processes_of_this_node() {
    let stage = Stage::new();
    let node = stage.node().await;
    let (process, mut other) = (node.process(), node.process());
    other.register(Atom::from_static("other")).unwrap();
    process.send_connected(other.pid(), &Term::from(1)).unwrap();
    process.send_connected(peerl::Destination::Name(Atom::from_static("other")), &Term::from(2)).unwrap();
    process.send_connected_raw(("other", node.name()), &RawTerm::encoded_from(&Term::from(3))).unwrap();
    for number in 1..=3 {
        assert_eq!(message(&mut other).await, Term::from(number));
    }
    let policy = peerl::MailboxPolicy { messages: 1, bytes: 1 << 20, overflow: peerl::Overflow::Wait };
    let full = node.process_with(policy);
    process.send_connected(full.pid(), &Term::from(1)).unwrap();
    assert_eq!(process.send_connected(full.pid(), &Term::from(2)), Err(NotSent::Full));
}

/// The output for a peer that does not read is bounded; then its connection ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_node_that_does_not_read() {
    let stage = Stage::new();
    let limits = Limits { queued: 4 << 20, ..Limits::default() };
    let node = stage.builder().limits(limits).start().await.unwrap();
    let beam = stage.beam(Otp::V25).await;
    node.connect(&name(&beam)).await.unwrap();
    beam.sigstop();
    let process = node.process();
    let large = RawTerm::encoded_from(&Term::binary(vec![0; 50_000]));
    let sent = (0..10_000).find_map(|_| process.send_connected_raw(("x", &name(&beam)), &large).err());
    assert_eq!(sent, Some(NotSent::Full));
    eventually("the end of the connection", || node.connection(&name(&beam)).is_none()).await;
    assert_eq!(process.send_connected_raw(("x", &name(&beam)), &large), Err(NotSent::NotConnected));
}
