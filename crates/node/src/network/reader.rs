use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use peerl_proto::channel::Message;
use peerl_proto::connection::ReceiveHalf;
use peerl_proto::tick::Traffic;
use peerl_term::Origin;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use super::state::Network;
use super::transport::ReadHalf;
use crate::kernel;
use crate::kernel::clock;
use crate::kernel::connection::Connection;
use crate::kernel::event::NodeDownReason;
use crate::kernel::process::Core;
use crate::kernel::router::Routed;
use crate::kernel::serving::{self, Spawn};
use crate::kernel::violation::Violation;

/// For how long a reader looks whether more has come before it sleeps, when much has come a moment ago: longer than it takes
/// to wake a thread, or to answer what is [written together](crate::kernel::connection).
const LINGER: Duration = Duration::from_micros(50);

/// A peer that sends so many calls at a time is likely to be about to send more.
const SOME_CALLS: Range<usize> = 2..16;

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
    let mut half = ReceiveHalf::new(node.kernel.limits.channel, origin(node, connection), clock::now(), buffer);
    let mut message = Message::vacant();
    let mut spawns = Vec::new();
    let mut processor = Processor::new();
    let alone = Handle::current().metrics().num_workers() == 1;
    let mut tick_due = false;
    loop {
        let mut delivered = false;
        loop {
            let route = || route_all(node, connection, &mut half, &mut message, &mut spawns, &mut delivered);
            match connection.while_up(route) {
                Some(Ok(None)) => break,
                Some(Ok(Some((process, message)))) => {
                    // Perhaps they are what the process waits for.
                    serving::serve(&node.kernel, connection, &mut spawns);
                    wait_for_room(connection, &process, message).await;
                }
                Some(Err(violation)) => return NodeDownReason::Protocol(violation),
                // What ended the connection ends this task.
                None => return std::future::pending().await,
            }
        }
        let served = spawns.len();
        serving::serve(&node.kernel, connection, &mut spawns);
        if tick_due {
            connection.outbox.tick();
        }
        // A caller that has its answer is likely to call again. Of many callers, half are written together while the peer works on
        // the other half.
        let (answered, waiting) = connection.calls.take_answered();
        if answered > 1 {
            connection.outbox.expect(answered.max((answered + waiting) / 2));
        }
        if half.is_between_frames() {
            if alone {
                // The receivers run and answer before the thread reads again or sleeps: more is then written and read at a
                // time. With several threads, another one runs them meanwhile.
                tokio::task::yield_now().await;
            }
            // A connection that only serves does not spin where there are threads to wake: its peer may need the core.
            if answered > 1 || alone && served > 1 {
                linger(connection, stream).await;
            }
            if half.waiting_bytes() == 0 {
                stream.readable().await;
            }
            if SOME_CALLS.contains(&served) {
                processor.give_way();
            }
        } else if delivered {
            // More has come than was read at once. The receivers take their messages first: the thread that delivers them is the
            // one that runs their process next.
            tokio::task::yield_now().await;
        }
        if half.waiting_bytes() > 0 {
            give_up_idle(&mut half, connection, stream).await;
        }
        // After a read that took less than it could, tokio does not ask the kernel again until more has come.
        match stream.read_buf(half.read_buffer()).await {
            Ok(0) => return NodeDownReason::ConnectionClosed,
            Ok(count) => tick_due = connection.outbox.has_read(half.has_read(count)),
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
    delivered: &mut bool,
) -> Result<Option<(Arc<Core>, kernel::process::Message)>, Violation> {
    loop {
        match half.next(message) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(error.into()),
        }
        *delivered = true;
        match node.kernel.route(connection, message) {
            Ok(Routed::Done) => {}
            Ok(Routed::Spawn(spawn)) => spawns.push(spawn),
            Ok(Routed::Full(process, message)) => return Ok(Some((process, message))),
            Err(violation) => return Err(violation),
        }
    }
}

/// What ends the connection when a term that came by it turns out to be malformed. The thread that finds out may hold locks
/// that are needed for it, so a task does it.
fn origin(node: &Arc<Network>, connection: &Arc<Connection>) -> Origin {
    let (node, connection, runtime) = (Arc::downgrade(node), Arc::downgrade(connection), Handle::current());
    Origin::new(move |error| {
        let (node, connection) = (node.clone(), connection.clone());
        runtime.spawn(async move {
            if let (Some(node), Some(connection)) = (node.upgrade(), connection.upgrade()) {
                node.bring_down(&connection, NodeDownReason::Protocol(Violation::Payload(error)));
            }
        });
    })
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

/// Yields until there is something to read, for a short time. To wake a sleeping thread takes longer than to read a message, and
/// the peer's next ones are likely to come soon.
async fn linger(connection: &Connection, stream: &mut dyn ReadHalf) {
    let end = clock::now() + LINGER;
    while clock::now() < end {
        tokio::select! {
            biased;
            () = stream.readable() => return,
            () = connection.outbox.wait(LINGER) => {}
        }
    }
}

/// The processor, which a peer on the same host uses too.
struct Processor {
    /// Until then it is not given away.
    kept_until: Instant,
}

impl Processor {
    /// A turn that takes longer was not that of a peer that writes.
    const LONGEST_TURN: Duration = Duration::from_millis(1);

    /// After such a turn, the processor is kept for this many times as long.
    const KEPT: u32 = 64;

    fn new() -> Self {
        Self { kept_until: clock::now() }
    }

    /// Yields to the thread that waits for this processor: the write that woke this one may have taken it from a peer that has more
    /// to send, and one read of many calls costs both less than many reads.
    fn give_way(&mut self) {
        let start = clock::now();
        if start >= self.kept_until {
            std::thread::yield_now();
            self.came_back(start, clock::now());
        }
    }

    /// A thread that computes does not get it again soon.
    fn came_back(&mut self, start: Instant, end: Instant) {
        let turn = end - start;
        if turn > Self::LONGEST_TURN {
            self.kept_until = end + turn * Self::KEPT;
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
async fn wait_for_room(connection: &Connection, process: &Core, mut message: kernel::process::Message) {
    while let Some(Err((refused, _))) = connection.while_up(|| process.deliver(message)) {
        message = refused;
        let _ = tokio::time::timeout(Duration::from_secs(1), process.room()).await;
        if connection.outbox.has_read(Traffic::Message) {
            connection.outbox.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_kept_when_others_are_busy() {
        let mut processor = Processor::new();
        let start = processor.kept_until;
        let soon = start + Duration::from_micros(300);
        processor.came_back(start, soon);
        assert_eq!(processor.kept_until, start, "a peer that writes");
        let late = start + Duration::from_millis(4);
        processor.came_back(start, late);
        assert_eq!(processor.kept_until, late + Duration::from_millis(256), "one that computes");
    }
}
