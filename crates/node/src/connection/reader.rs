use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use peerl_proto::channel::{Inbound, Message};
use peerl_proto::frame::{Frame, FrameReader};
use peerl_proto::tick::Traffic;
use peerl_term::Origin;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::runtime::Handle;

use super::Connection;
use crate::NodeDownReason;
use crate::node::Inner;
use crate::router::Routed;
use crate::rpc;

/// The room for the first bytes that arrive on a quiet connection.
const FIRST_READ: usize = 16 << 10;

/// The most room for one read. It grows to this as long as reads fill it.
const LARGEST_READ: usize = 256 << 10;

/// For how long a reader looks whether more has come before it sleeps, when much has come a moment ago: longer than it takes
/// to wake a thread, or to answer what is [written together](super::outbox).
const LINGER: Duration = Duration::from_micros(50);

/// A message whose fragments have not gone on for one to two of these is given up: its sender has died, as a rule.
const PERIOD: Duration = Duration::from_secs(20);

/// A peer that sends so many calls at a time is likely to be about to send more.
const SOME_CALLS: Range<usize> = 2..16;

/// Reads messages and routes them, until the connection ends.
pub(crate) async fn read(node: Arc<Inner>, connection: Arc<Connection>, mut socket: OwnedReadHalf, buffer: BytesMut) {
    let reason = tokio::select! {
        biased;
        () = connection.closed.cancelled() => return,
        reason = read_until_broken(&node, &connection, &mut socket, buffer) => reason,
    };
    node.bring_down(&connection, reason);
}

async fn read_until_broken(
    node: &Arc<Inner>,
    connection: &Arc<Connection>,
    socket: &mut OwnedReadHalf,
    mut buffer: BytesMut,
) -> NodeDownReason {
    let mut frames = FrameReader::new(node.limits.channel.message);
    let mut inbound = Inbound::with_origin(node.limits.channel, origin(node, connection));
    let mut room = FIRST_READ;
    let mut message = Message::vacant();
    let mut spawns = Vec::new();
    let mut processor = Processor::new();
    let alone = Handle::current().metrics().num_workers() == 1;
    let mut tick_due = false;
    let mut period = Instant::now() + PERIOD;
    loop {
        let mut delivered = false;
        loop {
            match frames.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(Frame::Tick)) => {}
                Ok(Some(frame)) => match inbound.receive_into(frame, &mut message) {
                    Ok(false) => {}
                    Ok(true) => {
                        delivered = true;
                        match node.route(connection, &mut message) {
                            Ok(Routed::Done) => {}
                            Ok(Routed::Spawn(spawn)) => spawns.push(spawn),
                            Ok(Routed::Full(process, message)) => {
                                // Perhaps they are what the process waits for.
                                rpc::serve(node, connection, &mut spawns);
                                wait_for_room(connection, &process, message).await;
                            }
                            Err(violation) => return NodeDownReason::Protocol(violation.to_string()),
                        }
                    }
                    Err(error) => return NodeDownReason::Protocol(error.to_string()),
                },
                Err(error) => return NodeDownReason::Protocol(error.to_string()),
            }
        }
        let served = spawns.len();
        rpc::serve(node, connection, &mut spawns);
        if tick_due {
            connection.outbox.tick();
        }
        // Who has got an answer may well call again. When many call at once, half of them are to be written together, while
        // the peer has the other half.
        let (answered, waiting) = connection.calls.take_answered();
        if answered > 1 {
            connection.outbox.expect(answered.max((answered + waiting) / 2));
        }
        // A connection that waits for its next message holds no buffer.
        if buffer.is_empty() {
            buffer = BytesMut::new();
            if alone {
                // Those whose messages have come go on and answer before the thread reads again or sleeps: the peer
                // then gets much at a time, and so do we. With several threads, another one runs them meanwhile.
                tokio::task::yield_now().await;
            }
            // Whoever only serves leaves the processor to others where there are threads to wake: the peer may need it.
            if answered > 1 || alone && served > 1 {
                linger(socket).await;
            }
            if inbound.waiting_bytes() == 0
                && let Err(error) = socket.readable().await
            {
                return lost(&error);
            }
            if SOME_CALLS.contains(&served) {
                processor.give_way();
            }
        } else if delivered {
            // More has come than was read at once. Whoever got messages takes them before there are more: the thread that
            // delivers them is the one that runs their process next.
            tokio::task::yield_now().await;
        }
        if inbound.waiting_bytes() > 0
            && let Err(error) = give_up_idle(&mut inbound, connection, socket, &mut period).await
        {
            return lost(&error);
        }
        // The usual room, and more only in step with what has arrived of a large frame.
        let is_partial = !buffer.is_empty();
        buffer.reserve(frames.missing(&buffer).min(buffer.len()).max(room));
        let free = buffer.capacity() - buffer.len();
        // After a read that took less than it could, tokio does not ask the kernel again until more has come.
        match socket.read_buf(&mut buffer).await {
            Ok(0) => return NodeDownReason::ConnectionClosed,
            Ok(count) if count == free => room = (room * 2).min(LARGEST_READ),
            Ok(count) if count < room / 4 => room = (room / 2).max(FIRST_READ),
            Ok(_) => {}
            Err(error) => return lost(&error),
        }
        // A tick is a length of 0, and a message has one that is not.
        let only_ticks = !is_partial && buffer.iter().all(|byte| *byte == 0);
        tick_due = connection.has_read(if only_ticks { Traffic::Tick } else { Traffic::Message });
    }
}

/// What ends the connection when a term that came by it turns out to be malformed. The thread that finds out may hold locks
/// that are needed for it, so a task does it.
fn origin(node: &Arc<Inner>, connection: &Arc<Connection>) -> Origin {
    let (node, connection, runtime) = (Arc::downgrade(node), Arc::downgrade(connection), Handle::current());
    Origin::new(move |error| {
        let (node, connection) = (node.clone(), connection.clone());
        runtime.spawn(async move {
            if let (Some(node), Some(connection)) = (node.upgrade(), connection.upgrade()) {
                node.bring_down(&connection, NodeDownReason::Protocol(format!("a payload is malformed: {error}")));
            }
        });
    })
}

/// Waits for something to read while messages wait for fragments, and gives those up that wait for too long.
async fn give_up_idle(
    inbound: &mut Inbound,
    connection: &Connection,
    socket: &OwnedReadHalf,
    period: &mut Instant,
) -> io::Result<()> {
    loop {
        if *period <= Instant::now() {
            *period = Instant::now() + PERIOD;
            let messages = inbound.begin_period();
            if messages > 0 {
                tracing::info!(peer = %connection.peer, messages, "gave up messages that have stopped in the middle");
            }
        }
        match tokio::time::timeout_at((*period).into(), socket.readable()).await {
            Ok(readable) => return readable,
            Err(_) if inbound.waiting_bytes() == 0 => return socket.readable().await,
            Err(_) => {}
        }
    }
}

/// Lets others have their turns until there is something to read, for a short time. Whoever writes to a thread that sleeps
/// has to wake it, which takes longer than many a message; the peer's next ones are likely to come soon.
async fn linger(socket: &OwnedReadHalf) {
    let end = Instant::now() + LINGER;
    while Instant::now() < end {
        tokio::select! {
            biased;
            // An error comes again.
            _ = socket.readable() => return,
            () = tokio::task::yield_now() => {}
        }
    }
}

/// The processor, which a peer on this host shares with us.
struct Processor {
    /// Until then it is not given away.
    kept_until: Instant,
}

impl Processor {
    /// Whoever has it for longer is not a peer that writes.
    const LONGEST_TURN: Duration = Duration::from_millis(1);

    /// So many times as long as such a turn took, there is no other one.
    const KEPT: u32 = 64;

    fn new() -> Self {
        Self { kept_until: Instant::now() }
    }

    /// Lets the thread that waits for this processor go on: the write that woke us may have taken it from a peer that has
    /// more to send, and one read of many calls costs both less than many reads.
    fn give_way(&mut self) {
        let start = Instant::now();
        if start >= self.kept_until {
            std::thread::yield_now();
            self.came_back(start, Instant::now());
        }
    }

    /// Others that need the processor as much get little of what is ours.
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
        _ => NodeDownReason::Io(error.to_string()),
    }
}

/// Waits until a process has taken messages from its full mailbox. Neither side is to be taken for dead meanwhile, because
/// ticks are not read.
async fn wait_for_room(connection: &Connection, process: &crate::process::Core, mut message: crate::process::Message) {
    while let Err((refused, _)) = process.deliver(message) {
        message = refused;
        let _ = tokio::time::timeout(Duration::from_secs(1), process.room()).await;
        if connection.has_read(Traffic::Message) {
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
