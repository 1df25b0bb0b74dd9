//! Malformed control messages: each ends its own connection, and has no other effect.

use crate::intruder::{Intruder, fragment};
use crate::stage::{Stage, event, expect, export, message};
use peerl_node::{Node, NodeDownReason, NodeEvent, Process, Term};
use peerl_term::{Atom, Reference};
use peerl_test_support::matrix;

/// A part of a control message: the intruder, the process that it knows, or another term.
#[derive(Clone, Copy)]
enum Part {
    /// The pid of a process of the intruder.
    Me,
    /// The pid of a process of the node.
    You,
    Name(&'static str),
    Number(i64),
    /// A reference of the intruder.
    Reference,
    /// A tuple where none belongs.
    Tuple,
}

use Part::{Me, Name, Number, Reference as Ref, Tuple, You};

const PAYLOAD: bool = true;
const NO_PAYLOAD: bool = false;

/// For each operation: parts missing, parts too many, and parts of another kind.
const SHAPES: &[(i64, &[Part], bool)] = &[
    // LINK
    (1, &[], NO_PAYLOAD),
    (1, &[Me], NO_PAYLOAD),
    (1, &[Me, You, You], NO_PAYLOAD),
    (1, &[Me, Name("you")], NO_PAYLOAD),
    (1, &[Me, You], PAYLOAD),
    // SEND
    (2, &[Name("")], PAYLOAD),
    (2, &[Name(""), Name("you")], PAYLOAD),
    (2, &[Name(""), You, Tuple], PAYLOAD),
    (2, &[Name(""), You], NO_PAYLOAD),
    // EXIT
    (3, &[Me, You], NO_PAYLOAD),
    (3, &[Ref, Name("normal"), Name("normal")], NO_PAYLOAD),
    (3, &[You, You, Name("normal")], NO_PAYLOAD),
    // UNLINK
    (4, &[Me], NO_PAYLOAD),
    (4, &[Me, Ref], NO_PAYLOAD),
    (4, &[Ref, You], NO_PAYLOAD),
    // REG_SEND
    (6, &[Me, Name("")], PAYLOAD),
    (6, &[Me, Name(""), You], PAYLOAD),
    (6, &[Name("me"), Name(""), Name("known")], PAYLOAD),
    (6, &[Me, Name(""), Name("known"), Tuple], PAYLOAD),
    // GROUP_LEADER
    (7, &[Me], NO_PAYLOAD),
    (7, &[Me, Name("you")], NO_PAYLOAD),
    (7, &[Name("me"), You], NO_PAYLOAD),
    // EXIT2
    (8, &[Me, You], NO_PAYLOAD),
    (8, &[Ref, Name("normal"), Name("normal")], NO_PAYLOAD),
    // SEND_TT, EXIT_TT, REG_SEND_TT, EXIT2_TT
    (12, &[Name(""), You], PAYLOAD),
    (12, &[Name(""), Name("you"), Name("token")], PAYLOAD),
    (13, &[Me, Name("token"), You], NO_PAYLOAD),
    (13, &[Ref, Name("token"), Name("normal"), Name("normal")], NO_PAYLOAD),
    (16, &[Me, Name(""), Name("known")], PAYLOAD),
    (16, &[Name("me"), Name(""), Name("known"), Name("token")], PAYLOAD),
    (18, &[Me, Name("token"), You], NO_PAYLOAD),
    (18, &[Ref, Name("token"), Name("normal"), Name("normal")], NO_PAYLOAD),
    // MONITOR_P, DEMONITOR_P, MONITOR_P_EXIT
    (19, &[Me, You], NO_PAYLOAD),
    (19, &[Me, You, Name("normal")], NO_PAYLOAD),
    (19, &[Me, Tuple, Ref], NO_PAYLOAD),
    (20, &[Me, You], NO_PAYLOAD),
    (20, &[Me, You, Name("normal")], NO_PAYLOAD),
    (21, &[Me, You, Name("normal")], NO_PAYLOAD),
    (21, &[Me, You, Name("normal"), Name("normal")], NO_PAYLOAD),
    // SEND_SENDER
    (22, &[Me], PAYLOAD),
    (22, &[Me, Name("you")], PAYLOAD),
    (22, &[Name("me"), You], PAYLOAD),
    (22, &[Me, You], NO_PAYLOAD),
    // PAYLOAD_EXIT, PAYLOAD_EXIT2, PAYLOAD_MONITOR_P_EXIT
    (24, &[Me, You], NO_PAYLOAD),
    (24, &[You, You], PAYLOAD),
    (24, &[Me, Name("you")], PAYLOAD),
    (26, &[Me], PAYLOAD),
    (26, &[Name("me"), You], PAYLOAD),
    (28, &[Me, You], PAYLOAD),
    (28, &[Me, You, Number(1)], PAYLOAD),
    // SPAWN_REQUEST, SPAWN_REPLY
    (29, &[Ref, Me, Me, Tuple], PAYLOAD),
    (29, &[Ref, Me, Me, Name("function"), Tuple], PAYLOAD),
    (29, &[Ref, You, Me, Name("function"), Tuple], PAYLOAD),
    (31, &[Ref, You, Number(0)], NO_PAYLOAD),
    (31, &[Ref, You, Number(0), Tuple], NO_PAYLOAD),
    // ALIAS_SEND, UNLINK_ID, UNLINK_ID_ACK, ALTACT_SIG_SEND
    (33, &[Me, You], PAYLOAD),
    (35, &[Number(0), Me, You], NO_PAYLOAD),
    (35, &[Name("id"), Me, You], NO_PAYLOAD),
    (36, &[Me, You], NO_PAYLOAD),
    (37, &[Number(12), Me, Name("known")], PAYLOAD),
    (37, &[Number(4), Me, You], PAYLOAD),
    // None of these.
    (0, &[Me, You], NO_PAYLOAD),
    (5, &[Me, You], NO_PAYLOAD),
    (200, &[Me, You], PAYLOAD),
    (-1, &[Me, You], NO_PAYLOAD),
];

fn control(operation: i64, parts: &[Part], intruder: &Intruder, known: &Process) -> Term {
    let part = |part: &Part| match part {
        Me => intruder.pid().into(),
        You => known.pid().clone().into(),
        Name(name) => Term::atom(name),
        Number(number) => Term::from(*number),
        Ref => Reference::new(intruder.pid().node, 9, &[1, 2, 3]).unwrap().into(),
        Tuple => Term::tuple([Term::atom("tuple")]),
    };
    Term::tuple([Term::from(operation)].into_iter().chain(parts.iter().map(part)))
}

/// Sends something, and waits until the node has closed the connection because of it.
async fn expect_cut(node: &Node, what: String, attack: impl FnOnce(&mut Intruder)) {
    let mut events = node.events();
    let mut intruder = Intruder::connect(node);
    attack(&mut intruder);
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }), "{what}");
    let NodeEvent::NodeDown { node: down, reason } = event(&mut events).await else { panic!("{what}") };
    assert_eq!(down.as_str(), intruder.name, "{what}");
    assert!(matches!(reason, NodeDownReason::Protocol(_)), "{what}: {reason:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let mut known = node.process();
        known.trap_exit(true);
        known.register(Atom::from_static("known")).unwrap();
        let beam = stage.beam(otp).await;
        let connected = "net_kernel:monitor_nodes(true), pong = net_adm:ping(NODE), receive {nodeup, NODE} -> ok end,
            {known, NODE} ! one, ok";
        expect(&beam, &node, &format!("register(watcher, spawn(fun() -> {connected}, receive {{nodedown, NODE}} -> {{known, NODE}} ! down end end)), ok"), "ok").await;
        assert_eq!(message(&mut known).await, Term::atom("one"));
        for (operation, parts, payload) in SHAPES {
            expect_cut(&node, format!("operation {operation} of {} parts", parts.len()), |intruder| {
                let control = control(*operation, parts, intruder, &known);
                intruder.frame(control, payload.then(|| Term::tuple([Term::atom("message")])));
            })
            .await;
        }
        expect(&beam, &node, "{known, NODE} ! two, erpc:call(NODE, rust, add, [1, 2])", "3").await;
        assert_eq!(message(&mut known).await, Term::atom("two"), "and nothing in between");
        expect(&beam, &node, "is_pid(whereis(watcher))", "true").await;
    }
}

/// Invalid fragments, and fragments in an invalid order; the control message is in the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_fragments() {
    const FIRST: u8 = 69;
    const LATER: u8 = 70;
    let stage = Stage::new();
    let node = stage.node().await;
    let mut known = node.process();
    let orders: &[&[(u8, u64)]] = &[
        &[(LATER, 1)],
        &[(FIRST, 3), (LATER, 1)],
        &[(FIRST, 3), (LATER, 3)],
        &[(FIRST, 3), (LATER, 0)],
        &[(FIRST, 3), (LATER, 2), (LATER, 2)],
        &[(FIRST, 2), (LATER, 1), (LATER, 0)],
        &[(FIRST, 1), (LATER, 1)],
        &[(FIRST, 0)],
    ];
    for order in orders {
        expect_cut(&node, format!("{order:?}"), |intruder| {
            let control = control(22, &[Me, You], intruder, &known).encode();
            for (kind, number) in *order {
                match *kind {
                    FIRST => intruder.bytes(&fragment(FIRST, 7, *number, &[&[0], &control[1..], &[106]].concat())),
                    kind => intruder.bytes(&fragment(kind, 7, *number, &[])),
                }
            }
        })
        .await;
    }
    // The control message is cut.
    expect_cut(&node, "a control message in two fragments".to_owned(), |intruder| {
        let control = control(22, &[Me, You], intruder, &known).encode();
        let (start, end) = control[1..].split_at(9);
        intruder.bytes(&fragment(FIRST, 7, 2, &[&[0], start].concat()));
        intruder.bytes(&fragment(LATER, 7, 1, &[end, &[106]].concat()));
    })
    .await;
    // Complete messages were delivered.
    while let Some(message) = known.try_receive().unwrap() {
        assert_eq!(message.into_term().unwrap(), Term::nil());
    }
    // A peer that disconnects within a message has not broken the protocol.
    let mut events = node.events();
    let mut intruder = Intruder::connect(&node);
    let control = control(22, &[Me, You], &intruder, &known).encode();
    intruder.bytes(&fragment(FIRST, 7, 3, &[&[0], &control[1..], &[106]].concat()));
    drop(intruder);
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
    let down = event(&mut events).await;
    assert!(matches!(down, NodeEvent::NodeDown { reason: NodeDownReason::ConnectionClosed, .. }), "{down:?}");
}
