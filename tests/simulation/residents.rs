//! What lives on a node as long as it does: exported functions, a process that others deal with, and one that watches the
//! membership.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use peerl::term::serde::from_term;
use peerl::{Atom, Exception, GenRequest, Message, Node, Process, Term};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::random::Random;
use crate::record::Record;

/// Exports what the calls of a run call.
pub(crate) fn export(node: &Node, record: &Arc<Record>) {
    let executed = record.clone();
    let echo = move |(id, payload): (u64, Vec<u8>)| {
        executed.executed(id);
        async move { Ok::<_, Exception>((id, payload.len())) }
    };
    node.export("m", "echo", echo).unwrap();
    let executed = record.clone();
    let slow = move |(id, millis): (u64, u64)| {
        executed.executed(id);
        async move {
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, Exception>((id, 0_usize))
        }
    };
    node.export("m", "slow", slow).unwrap();
    let executed = record.clone();
    let fail = move |(id,): (u64,)| {
        executed.executed(id);
        async move { Err::<(u64, usize), _>(Exception::error(Term::from(id as i64))) }
    };
    node.export("m", "fail", fail).unwrap();
}

/// Keeps a process with the name `target`: it ends after a while, and another one comes.
pub(crate) async fn keep_target(node: Node, host: usize, record: Arc<Record>, mut random: Random) {
    let mut ends = record.ends.subscribe();
    let name = Atom::from_static("target");
    while !*ends.borrow_and_update() {
        let mut process = node.process();
        if process.register(name.clone()).is_err() {
            // The node has stopped, or the one before is still registered.
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        record.set_target(host, Some(process.pid().clone()));
        let end = Instant::now() + random.millis(30_000);
        let ended = loop {
            tokio::select! {
                biased;
                message = process.receive() => match message {
                    Ok(message) => answer(&process, message, &record),
                    Err(ended) => break Some(ended),
                },
                () = sleep_until(end) => break None,
                () = over(&mut ends) => break None,
            }
        };
        record.set_target(host, None);
        match ended {
            Some(ended) => record.note(format!("the target of {} has been ended: {:?}", node.name(), ended.reason)),
            None if random.percent(50) => process.exit(&Term::atom("boom")),
            None => drop(process),
        }
        sleep(random.millis(2_000)).await;
    }
}

/// Answers `gen` calls.
fn answer(process: &Process, message: Message, record: &Record) {
    let Message::User(payload) = message else { return };
    match payload.decode().map(GenRequest::from_term) {
        Ok(Ok(call)) => process.reply(&call.from, &call.request).unwrap(),
        other => record.fail(format!("the target is sent {other:?}")),
    }
}

/// Keeps a process that expects the numbers of each stream to rise.
pub(crate) async fn collect(node: Node, host: usize, record: Arc<Record>) {
    let mut process = node.process();
    record.set_collector(host, Some(process.pid().clone()));
    let mut ends = record.ends.subscribe();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    loop {
        let message = tokio::select! {
            biased;
            message = process.receive() => message,
            () = over(&mut ends) => return,
        };
        let payload = match message {
            Ok(Message::User(payload)) => payload,
            Ok(other) => {
                record.fail(format!("a collector is told {other:?}"));
                continue;
            }
            Err(_) => return,
        };
        let sent = payload.decode().map(|term| from_term::<(u64, u64, Vec<u8>)>(&term));
        match sent {
            Ok(Ok((stream, number, _))) => {
                record.arrives(stream);
                let last = last.insert(stream, number);
                let rises = last.is_none_or(|last| last < number);
                record.check(rises, || format!("stream {stream}: {number} came after {last:?}"));
            }
            other => record.fail(format!("a message is not what was sent: {other:?}")),
        }
    }
}

/// Checks that a peer comes up only when it is down, and the other way round.
pub(crate) async fn watch_members(node: Node, record: Arc<Record>) {
    let mut process = node.process();
    let mut up: BTreeSet<_> = process.monitor_nodes().into_iter().map(|up| up.node).collect();
    let mut ends = record.ends.subscribe();
    loop {
        let message = tokio::select! {
            biased;
            message = process.receive() => message,
            () = over(&mut ends) => return,
        };
        match message {
            Ok(Message::NodeUp(event)) => {
                record.note(format!("{} sees {} up", node.name(), event.node));
                let is_new = up.insert(event.node.clone());
                record.check(is_new, || format!("{} sees {} up twice", node.name(), event.node));
            }
            Ok(Message::NodeDown(event)) => {
                record.note(format!("{} sees {} down: {}", node.name(), event.node, event.reason));
                let was_up = up.remove(&event.node);
                record.check(was_up, || format!("{} sees {} down, which was not up", node.name(), event.node));
            }
            Ok(other) => record.fail(format!("{} is told {other:?}", node.name())),
            Err(_) => return,
        }
    }
}

/// Waits until the long-lived processes are to end.
async fn over(ends: &mut watch::Receiver<bool>) {
    let _ = ends.wait_for(|ends| *ends).await;
}
