//! The parts of peerl nodes in the benchmark of membership, as `membership.erl` has them for BEAM nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use peerl::otp::pg::Scope;
use peerl_node::{Atom, Message, Node, NodeName, Pid, Process, Term};
use peerl_test_support::Beam;

/// A BEAM with the module `membership`.
pub(crate) fn with_membership(beam: Beam) -> Beam {
    beam.load_module(include_str!("membership.erl")).expect("the module compiles");
    beam
}

pub(crate) fn group() -> Term {
    Term::atom("bench")
}

/// Starts the members of the group. The last one of them that has a message tells its sender.
pub(crate) async fn members(node: &Node, scope: &Scope, count: usize) {
    let have_it = Arc::new(AtomicUsize::new(0));
    let mut pids = Vec::new();
    for _ in 0..count {
        let (mut member, have_it) = (node.process(), have_it.clone());
        pids.push(member.pid().clone());
        tokio::spawn(async move {
            while let Some(message) = received(&mut member).await {
                if (have_it.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(count) {
                    send(&member, sender(&message), &Term::atom("all")).await;
                }
            }
        });
    }
    scope.join_all(&group(), &pids).await.expect("own processes");
}

/// The process that `{Kind, From}` or `{From, Tag}` names.
fn sender(message: &Term) -> &Pid {
    let parts = message.as_tuple().expect("a pair");
    parts.iter().find_map(Term::as_pid).expect("a pid")
}

/// Starts a process that answers.
pub(crate) fn answer(node: &Node) -> Pid {
    let mut process = node.process();
    process.register(Atom::from_static("answer")).expect("a free name");
    let pid = process.pid().clone();
    tokio::spawn(async move {
        while let Some(message) = received(&mut process).await {
            let tag = message.as_tuple().expect("a pair")[1].clone();
            send(&process, sender(&message), &tag).await;
        }
    });
    pid
}

/// Starts a process that takes large messages.
pub(crate) fn sink(node: &Node) {
    let mut process = node.process();
    process.register(Atom::from_static("sink")).expect("a free name");
    tokio::spawn(async move {
        while let Some(message) = received(&mut process).await {
            send(&process, sender(&message), &Term::atom("taken")).await;
        }
    });
}

/// Sends to all members for so long, again when all have it; microseconds each.
pub(crate) async fn broadcast(process: &mut Process, members: &[Pid], slice: Duration) -> f64 {
    let message = Term::tuple([Term::atom("bench"), process.pid().clone().into()]);
    let message = peerl_term::RawTerm::encoded_from(&message);
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < slice {
        for member in members {
            process.send_connected_raw(member, &message).expect("it is connected");
        }
        received(process).await.expect("it lives");
        count += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

/// Sends signals to a process for so long, and waits until it has them; turns a second.
pub(crate) async fn turns(process: &mut Process, to: &Pid, slice: Duration, turn: impl AsyncFn(&Process, &Pid)) -> f64 {
    const TURNS: u32 = 500;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < slice {
        for _ in 0..TURNS {
            turn(process, to).await;
        }
        ask(process, to).await;
        count += TURNS;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Microseconds for a small message and its answer, while a large one of another process is on the way.
pub(crate) async fn behind(node: &Node, process: &mut Process, peer: &NodeName, answer: &Pid, data: &Term) -> f64 {
    let mut other = node.process();
    let message = Term::tuple([other.pid().clone().into(), data.clone()]);
    let to = (Atom::from_static("sink"), peer.clone());
    let large = tokio::spawn(async move {
        other.send_term(peerl_node::Destination::Remote(to.0, to.1), &message).await.expect("it is sent");
        received(&mut other).await.expect("it lives");
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let start = Instant::now();
    ask(process, answer).await;
    let time = start.elapsed();
    large.await.expect("it is taken");
    time.as_secs_f64() * 1e6
}

async fn ask(process: &mut Process, to: &Pid) {
    let asked = Term::tuple([process.pid().clone().into(), Term::atom("answered")]);
    send(process, to, &asked).await;
    received(process).await.expect("it lives");
}

async fn send(process: &Process, to: &Pid, message: &Term) {
    process.send_term(to, message).await.expect("it is connected");
}

/// The next message; nothing, when the process has ended.
async fn received(process: &mut Process) -> Option<Term> {
    match process.receive().await {
        Ok(Message::User(payload)) => Some(payload.decode().expect("well-formed")),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}
