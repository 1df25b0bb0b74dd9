use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use peerl_proto::channel::Message;
use peerl_proto::connection::ReceiveHalf;
use peerl_proto::control::{Priority, Signal};
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

/// After so many bytes others have their turn, even if each read has ended with a frame.
const TURN: usize = 64 << 10;

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
    let _turn = node.kernel.turn_to_end(&connection).await;
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
    let mut read_in_turn = 0;
    loop {
        loop {
            let route_read = || route_all(node, connection, &mut half, &mut message, &mut spawns);
            match connection.while_up(route_read) {
                // Others run between its steps.
                Some(Ok(Stop::Empty)) if half.is_measuring() => {
                    serving::serve(&node.kernel, connection, &mut spawns).await;
                    tokio::task::yield_now().await;
                }
                Some(Ok(Stop::Empty)) => break,
                Some(Ok(Stop::Long)) => {
                    serving::serve(&node.kernel, connection, &mut spawns).await;
                    let _turn = long_work::turn().await;
                    let route_long = || long_work::run(|| route(node, connection, &mut message, &mut spawns));
                    match connection.while_up(route_long) {
                        // No exit signal waits for room in a mailbox.
                        Some(Ok(_)) => {}
                        Some(Err(violation)) => return NodeDownReason::Protocol(violation),
                        None => return std::future::pending().await,
                    }
                }
                Some(Ok(Stop::Full(process, message))) => {
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
        if connection.memory.is_exceeded() {
            return NodeDownReason::Protocol(Violation::TooMuchMemory);
        }
        if tick_due {
            connection.outbox.tick();
        }
        connection.outbox.answered(connection.calls.take_answered());
        let is_between = half.is_between_frames();
        if !is_between || read_in_turn >= TURN {
            // More has come than was read at once, or it goes on coming: the receivers take their messages first, or mailboxes
            // overflow that are being emptied; and other connections are read.
            tokio::task::yield_now().await;
            read_in_turn = 0;
        }
        if is_between && half.waiting_bytes() == 0 {
            if stream.is_worn() && !connection.is_worn.swap(true, Ordering::Relaxed) {
                node.worn.notify_one();
            }
            stream.readable().await;
        }
        if half.waiting_bytes() > 0 {
            give_up_idle(&mut half, connection, stream).await;
        }
        // After a read that took less than it could, tokio does not ask the kernel again until more has come.
        match stream.read_buf(&mut half.read_space()).await {
            Ok(0) => return NodeDownReason::ConnectionClosed,
            Ok(count) => {
                read_in_turn += count;
                connection.transferred.received(count);
                tick_due = connection.outbox.has_read(half.has_read(count));
            }
            Err(error) => return lost(&error),
        }
    }
}

/// Why no further message is routed at once.
enum Stop {
    /// All that have been read completely are.
    Empty,
    /// This one takes long, and has not been routed yet.
    Long,
    /// This one does not fit into the mailbox of the process.
    Full(Arc<Core>, Envelope),
}

/// Routes the messages that have been read, as far as that goes at once.
fn route_all(
    node: &Network,
    connection: &Arc<Connection>,
    half: &mut ReceiveHalf,
    message: &mut Message,
    spawns: &mut Vec<Spawn>,
) -> Result<Stop, Violation> {
    loop {
        match half.next(message) {
            Ok(false) => return Ok(Stop::Empty),
            Ok(true) => {}
            Err(error) => return Err(error.into()),
        }
        if message.payload.as_ref().is_some_and(RawTerm::is_long) && is_decoded(&message.signal) {
            return Ok(Stop::Long);
        }
        if let Some(stop) = route(node, connection, message, spawns)? {
            return Ok(stop);
        }
    }
}

/// Routes a message. Returns what does not fit into its mailbox.
fn route(
    node: &Network,
    connection: &Arc<Connection>,
    message: &mut Message,
    spawns: &mut Vec<Spawn>,
) -> Result<Option<Stop>, Violation> {
    let routed = node.kernel.route(connection, message, spawns);
    if connection.memory.is_exceeded() {
        return Err(Violation::TooMuchMemory);
    }
    match routed? {
        Routed::Done => Ok(None),
        Routed::Dropped(reason) => {
            connection.counts.dropped(reason);
            Ok(None)
        }
        Routed::Full(process, message) => Ok(Some(Stop::Full(process, message))),
    }
}

/// Whether the payload is decoded where the signal is routed. Any other is kept as it is for its receiver.
fn is_decoded(signal: &Signal) -> bool {
    matches!(signal, Signal::Exit { .. } | Signal::Exit2 { .. } | Signal::Exit2ToAlias { .. })
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Poll};
    use std::time::Instant;

    use peerl_proto::cookie::Cookie;
    use peerl_proto::flags::DistributionFlags;
    use peerl_proto::handshake::Established;
    use peerl_proto::handshake::arbitration::AttemptId;
    use peerl_proto::node_name::NodeName;
    use peerl_proto::tick::TickTimer;
    use peerl_term::Atom;
    use tokio::io::{AsyncRead, ReadBuf};

    use super::*;
    use crate::kernel::connection::{ShortWait, Timing};
    use crate::kernel::identity::Identity;
    use crate::kernel::limits::Limits;
    use crate::kernel::random::Random;
    use crate::kernel::state::Kernel;
    use crate::network::epmd::PortMapper;
    use crate::network::state::NetworkSettings;
    use crate::network::transport::Tcp;

    /// A peer that sends so much for each of so many reads, all of it ticks, and always more.
    struct Ticks {
        reads: usize,
        size: usize,
    }

    impl AsyncRead for Ticks {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let ticks = self.get_mut();
            if let Some(left) = ticks.reads.checked_sub(1) {
                ticks.reads = left;
                let size = ticks.size.min(to.remaining() / 4 * 4);
                to.initialize_unfilled_to(size);
                to.advance(size);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl ReadHalf for Ticks {
        fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    fn network() -> Arc<Network> {
        let (name, atom) = (NodeName::new("a@h").unwrap(), Atom::from_static("a@h"));
        let settings = NetworkSettings {
            guest: None,
            flags: DistributionFlags::FULL_MEMBER,
            cookie: Cookie::new("secret").unwrap(),
            epmd: PortMapper::Fixed(1),
            transport: Arc::new(Tcp::default()),
            random: Random::seeded(1),
            net_ticktime: TickTimer::DEFAULT_TICK_TIME,
        };
        Arc::new(Network::new(Arc::new(Kernel::new(Identity::new(name, atom, 1), Limits::default())), settings))
    }

    fn connection(node: &Network) -> Arc<Connection> {
        let (flags, peer) = (DistributionFlags::FULL_MEMBER, NodeName::new("b@h").unwrap());
        let established = Established { peer, creation: 1, flags, peer_flags: flags };
        let ticks = TickTimer::new(Instant::now(), TickTimer::DEFAULT_TICK_TIME, TickTimer::DEFAULT_INTENSITY);
        let timing = Timing { ticks, wait: ShortWait::Yield };
        let own = node.kernel.identity.name.clone();
        let atom = Atom::from_static("b@h");
        Arc::new(Connection::new(AttemptId(1), atom.clone(), &established, own, timing, node.kernel.side(atom)))
    }

    /// How many turns other tasks have while a peer sends ticks.
    async fn others_turns(reads: usize, size: usize) -> usize {
        let node = network();
        let connection = connection(&node);
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let others = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let read = tokio::spawn(async move {
            read_until_broken(&node, &connection, &mut Ticks { reads, size }, BytesMut::new()).await
        });
        assert!(matches!(read.await.unwrap(), NodeDownReason::ConnectionClosed));
        others.abort();
        turns.load(Ordering::Relaxed)
    }

    /// The end of a connection waits for what is being delivered, which may take long.
    #[test]
    fn others_have_their_turn_while_a_connection_ends_within_a_delivery() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let node = network();
            let connection = connection(&node);
            let (begun, delivers) = tokio::sync::oneshot::channel();
            let (seen, others_run) = std::sync::mpsc::channel();
            let delivering = connection.clone();
            let delivery = std::thread::spawn(move || {
                delivering.while_up(|| {
                    begun.send(()).unwrap();
                    others_run.recv_timeout(Duration::from_secs(30))
                })
            });
            delivers.await.unwrap();
            let end = tokio::spawn(async move {
                tokio::spawn(async move { seen.send(()) });
                connection.close()
            });
            assert!(end.await.unwrap());
            assert_eq!(delivery.join().unwrap(), Some(Ok(())));
        });
    }

    /// Each read ends where a frame ends.
    #[tokio::test]
    async fn others_have_their_turn_while_whole_frames_go_on_coming() {
        let turns = others_turns(20, usize::MAX).await;
        assert!(turns > 10, "{turns} turns in 20 reads that are full");
        let turns = others_turns(320, 4096).await;
        assert!((18..=30).contains(&turns), "{turns} turns in 20 times 64 KiB");
    }
}
