use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use peerl_proto::channel::Message;
use peerl_proto::connection::ReceiveHalf;
use peerl_proto::control::Priority;
use peerl_proto::tick::Traffic;
use peerl_term::{Origin, RawTerm};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use super::state::Network;
use super::transport::ReadHalf;
use crate::kernel::clock;
use crate::kernel::connection::Connection;
use crate::kernel::event::NodeDownReason;
use crate::kernel::long_work;
use crate::kernel::process::{Core, Envelope};
use crate::kernel::router::Routed;
use crate::kernel::serving::{self, Spawn};
use crate::kernel::violation::Violation;

/// Reads messages and routes them, until the connection ends.
pub(crate) async fn read(
    node: Arc<Network>,
    connection: Arc<Connection>,
    mut stream: Box<dyn ReadHalf>,
    buffer: BytesMut,
) {
    let reason = tokio::select! {
        biased;
        () = connection.closed.cancelled() => return,
        reason = read_until_broken(&node, &connection, &mut *stream, buffer) => reason,
    };
    node.bring_down(&connection, reason);
}

async fn read_until_broken(
    node: &Arc<Network>,
    connection: &Arc<Connection>,
    stream: &mut dyn ReadHalf,
    buffer: BytesMut,
) -> NodeDownReason {
    let (limits, memory) = (node.kernel.limits.channel, connection.memory.clone());
    let mut half = ReceiveHalf::with_memory(limits, memory, origin(node, connection), clock::now(), buffer);
    let mut message = Message::vacant();
    let mut spawns = Vec::new();
    let mut tick_due = false;
    loop {
        loop {
            let route = || route_all(node, connection, &mut half, &mut message, &mut spawns);
            match connection.while_up(route) {
                // Others run between its steps.
                Some(Ok(None)) if half.is_measuring() => {
                    serving::serve(&node.kernel, connection, &mut spawns).await;
                    tokio::task::yield_now().await;
                }
                Some(Ok(None)) => break,
                Some(Ok(Some((process, message)))) => {
                    // Perhaps they are what the process waits for.
                    serving::serve(&node.kernel, connection, &mut spawns).await;
                    wait_for_room(connection, &process, message).await;
                }
                Some(Err(violation)) => return NodeDownReason::Protocol(violation),
                // What ended the connection ends this task.
                None => return std::future::pending().await,
            }
        }
        serving::serve(&node.kernel, connection, &mut spawns).await;
        if tick_due {
            connection.outbox.tick();
        }
        connection.outbox.answered(connection.calls.take_answered());
        if !half.is_between_frames() {
            // More has come than was read at once: the receivers take their messages first, or mailboxes overflow that are
            // being emptied.
            tokio::task::yield_now().await;
        } else if half.waiting_bytes() == 0 {
            if stream.is_worn() && !connection.is_worn.swap(true, Ordering::Relaxed) {
                node.worn.notify_one();
            }
            stream.readable().await;
        }
        if half.waiting_bytes() > 0 {
            give_up_idle(&mut half, connection, stream).await;
        }
        // After a read that took less than it could, tokio does not ask the kernel again until more has come.
        match stream.read_buf(half.read_buffer()).await {
            Ok(0) => return NodeDownReason::ConnectionClosed,
            Ok(count) => {
                connection.transferred.received(count);
                tick_due = connection.outbox.has_read(half.has_read(count));
            }
            Err(error) => return lost(&error),
        }
    }
}

/// Routes the messages that have been read. Stops at one that does not fit into its mailbox.
fn route_all(
    node: &Network,
    connection: &Arc<Connection>,
    half: &mut ReceiveHalf,
    message: &mut Message,
    spawns: &mut Vec<Spawn>,
) -> Result<Option<(Arc<Core>, Envelope)>, Violation> {
    loop {
        match half.next(message) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(error.into()),
        }
        let is_long = message.payload.as_ref().is_some_and(RawTerm::is_long);
        let routed = long_work::run_if(is_long, || node.kernel.route(connection, message, spawns));
        if connection.memory.is_exceeded() {
            return Err(Violation::TooMuchMemory);
        }
        match routed {
            Ok(Routed::Done) => {}
            Ok(Routed::Dropped(reason)) => connection.counts.dropped(reason),
            Ok(Routed::Full(process, message)) => return Ok(Some((process, message))),
            Err(violation) => return Err(violation),
        }
    }
}

/// What ends the connection when a term that came by it turns out to be malformed. The thread that finds out may hold locks
/// that are needed for it, so a task does it.
fn origin(node: &Arc<Network>, connection: &Arc<Connection>) -> Origin {
    let (node, connection, runtime) = (Arc::downgrade(node), Arc::downgrade(connection), Handle::current());
    let malformed = move |error| {
        let (node, connection) = (node.clone(), connection.clone());
        runtime.spawn(async move {
            if let (Some(node), Some(connection)) = (node.upgrade(), connection.upgrade()) {
                node.bring_down(&connection, NodeDownReason::Protocol(Violation::Payload(error)));
            }
        });
    };
    Origin::with_long_work(malformed, |work| long_work::run(work))
}

/// Waits for something to read while messages wait for fragments, and gives those up that wait for too long.
async fn give_up_idle(half: &mut ReceiveHalf, connection: &Connection, stream: &mut dyn ReadHalf) {
    loop {
        let messages = half.give_up_idle(clock::now());
        if messages > 0 {
            tracing::info!(peer = %connection.peer, messages, "gave up messages that have stopped in the middle");
        }
        let Some(deadline) = half.deadline() else { return stream.readable().await };
        if tokio::time::timeout_at(deadline.into(), stream.readable()).await.is_ok() {
            return;
        }
    }
}

fn lost(error: &io::Error) -> NodeDownReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => NodeDownReason::ConnectionClosed,
        io::ErrorKind::TimedOut => NodeDownReason::NetTickTimeout,
        _ => NodeDownReason::Io(error.kind()),
    }
}

/// Waits until a process has taken messages from its full mailbox. Neither side is to be taken for dead meanwhile, because
/// ticks are not read.
async fn wait_for_room(connection: &Connection, process: &Core, mut message: Envelope) {
    while let Some(Err((refused, _))) =
        connection.while_up(|| process.deliver(message, Priority::Ordinary, Some(&connection.served)))
    {
        message = refused;
        let _ = tokio::time::timeout(Duration::from_secs(1), process.room()).await;
        if connection.outbox.has_read(Traffic::Message) {
            connection.outbox.tick();
        }
    }
}
