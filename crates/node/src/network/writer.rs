use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use peerl_proto::connection::Batch;
use peerl_proto::tick::{TickAction, TickTimer};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::state::Network;
use crate::kernel::clock;
use crate::kernel::connection::Connection;
use crate::kernel::event::NodeDownReason;

/// Writes what is queued, and ticks when nothing is, until the connection ends.
pub(crate) async fn write(
    node: Arc<Network>,
    connection: Arc<Connection>,
    mut stream: Box<dyn AsyncWrite + Send + Unpin>,
) {
    let reason = tokio::select! {
        biased;
        () = connection.closed.cancelled() => return,
        reason = write_until_broken(&connection, &mut *stream) => reason,
    };
    let _turn = node.kernel.turn_to_end(&connection).await;
    node.bring_down(&connection, reason);
}

async fn write_until_broken(connection: &Connection, stream: &mut (dyn AsyncWrite + Send + Unpin)) -> NodeDownReason {
    let mut batch = Batch::default();
    let answer = connection.outbox.ticks(TickTimer::answer_deadline);
    let tick = tokio::time::sleep_until(answer.into());
    tokio::pin!(tick);
    loop {
        loop {
            connection.outbox.gathered().await;
            if !connection.outbox.take(&mut batch) {
                break;
            }
            let written = tokio::select! {
                biased;
                written = write_batch(stream, &batch) => written,
                // A peer that hangs does not read either.
                () = silence(connection) => return NodeDownReason::NetTickTimeout,
                () = connection.outbox.overflowed() => return NodeDownReason::Congested,
            };
            if let Err(error) = written {
                return match error.kind() {
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => NodeDownReason::ConnectionClosed,
                    _ => NodeDownReason::Io(error.kind()),
                };
            }
            connection.transferred.sent(batch.pieces().map(<[u8]>::len).sum());
            connection.counts.sent(batch.messages);
            let answer = connection.outbox.has_written(batch.traffic());
            if tick.deadline() > answer.into() {
                tick.as_mut().reset(answer.into());
            }
        }
        if batch.is_last {
            // The peer closes the connection when it has read all.
            let _ = stream.shutdown().await;
            return std::future::pending().await;
        }
        tokio::select! {
            biased;
            () = connection.outbox.filled() => {}
            // A large message was lost, while nothing is queued.
            () = connection.outbox.overflowed() => return NodeDownReason::Congested,
            () = &mut tick => {
                let now = clock::now();
                match connection.outbox.poll(now) {
                    (TickAction::PeerDead, _) => return NodeDownReason::NetTickTimeout,
                    // It is queued, and written at once.
                    (TickAction::SendTick, _) => tick.as_mut().reset((now + Duration::from_millis(50)).into()),
                    (TickAction::Wait, deadline) => tick.as_mut().reset(deadline.into()),
                }
            }
        }
    }
}

/// Waits until the peer has been silent for too long.
async fn silence(connection: &Connection) {
    loop {
        let end = connection.outbox.ticks(TickTimer::silence);
        if end <= clock::now() {
            return;
        }
        tokio::time::sleep_until(end.into()).await;
    }
}

/// Writes the frames that were queued, and fragments of large messages, with one call if the stream takes them.
async fn write_batch(stream: &mut (dyn AsyncWrite + Send + Unpin), batch: &Batch) -> io::Result<()> {
    if batch.fragments.is_empty() {
        return stream.write_all(&batch.buffer).await;
    }
    let mut slices: Vec<IoSlice<'_>> = batch.pieces().map(IoSlice::new).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match stream.write_vectored(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(())
}
