//! One direction of a stream.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::conditions::Conditions;
use crate::network::transport::ReadHalf;

/// How many bytes are on their way at most, as in the buffers of TCP: then the writer waits.
const CAPACITY: usize = 256 << 10;

/// One direction of a stream, as both ends and the network see it.
#[derive(Debug)]
pub(super) struct Pipe {
    state: Mutex<State>,
    conditions: Arc<Conditions>,
}

#[derive(Debug)]
struct State {
    /// What is on its way, with the instants of its arrival.
    chunks: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// Nothing arrives before what was sent earlier.
    last_arrival: Instant,
    path: Path,
    /// The writer has closed its end, which arrives then.
    finished: Option<Instant>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What becomes of bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// They arrive.
    Open,
    /// They wait, as TCP sends them again and again.
    Held,
    /// They never arrive, and neither end is told.
    Lost,
    /// Both ends are told that the stream is broken.
    Reset,
}

impl Pipe {
    pub(super) fn new(conditions: Arc<Conditions>) -> Arc<Self> {
        let state = State {
            chunks: VecDeque::new(),
            bytes: 0,
            last_arrival: Instant::now(),
            path: Path::Open,
            finished: None,
            reader_gone: false,
            reader: None,
            writer: None,
        };
        Arc::new(Self { state: Mutex::new(state), conditions })
    }

    /// Changes what becomes of bytes. A stream that has lost some never works again.
    pub(super) fn set_path(&self, path: Path) {
        let mut state = self.state.lock();
        if matches!(state.path, Path::Lost | Path::Reset) {
            return;
        }
        if state.path == Path::Held && path == Path::Open {
            let arrival = self.arrival(&state);
            for (at, _) in &mut state.chunks {
                *at = arrival;
            }
            state.finished = state.finished.map(|_| arrival);
            state.last_arrival = arrival;
        }
        state.path = path;
        wake(state, |state| [state.reader.take(), state.writer.take()]);
    }

    fn arrival(&self, state: &State) -> Instant {
        (Instant::now() + self.conditions.delay()).max(state.last_arrival)
    }
}

fn wake<const N: usize>(mut state: MutexGuard<'_, State>, wakers: impl FnOnce(&mut State) -> [Option<Waker>; N]) {
    let wakers = wakers(&mut state);
    drop(state);
    wakers.into_iter().flatten().for_each(Waker::wake);
}

/// The end that reads.
#[derive(Debug)]
pub(super) struct PipeReader {
    pipe: Arc<Pipe>,
    /// For what is on its way.
    timer: Option<Pin<Box<Sleep>>>,
}

impl PipeReader {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, timer: None }
    }

    /// The state, if something has arrived: bytes, the end, or a reset.
    fn arrived(&self, context: &Context<'_>) -> Result<MutexGuard<'_, State>, Option<Instant>> {
        let mut state = self.pipe.state.lock();
        let next = match state.path {
            Path::Reset => return Ok(state),
            Path::Open => state.chunks.front().map(|(at, _)| *at).or(state.finished),
            Path::Held | Path::Lost => None,
        };
        if next.is_some_and(|at| at <= Instant::now()) {
            return Ok(state);
        }
        state.reader = Some(context.waker().clone());
        Err(next)
    }

    fn poll_arrived(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Err(next) = self.arrived(context).map(drop) {
            let Some(at) = next else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(context));
        }
        Poll::Ready(())
    }
}

impl ReadHalf for PipeReader {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_arrived(context)
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_arrived(context));
        let Ok(mut state) = self.arrived(context) else { return Poll::Pending };
        if state.path == Path::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let now = Instant::now();
        while to.remaining() > 0
            && let Some((at, chunk)) = state.chunks.front_mut()
            && *at <= now
        {
            let count = chunk.len().min(to.remaining());
            to.put_slice(&chunk[..count]);
            chunk.advance(count);
            let is_empty = chunk.is_empty();
            state.bytes -= count;
            if is_empty {
                state.chunks.pop_front();
            }
        }
        wake(state, |state| [state.writer.take()]);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        state.reader_gone = true;
        wake(state, |state| [state.writer.take()]);
    }
}

/// The end that writes.
#[derive(Debug)]
pub(super) struct PipeWriter(Arc<Pipe>);

impl PipeWriter {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self(pipe)
    }

    fn finish(&self) {
        let mut state = self.0.state.lock();
        if state.finished.is_none() {
            state.finished = Some(self.0.arrival(&state));
        }
        wake(state, |state| [state.reader.take()]);
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state.lock();
        if state.path == Path::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.finished.is_some() || state.reader_gone && state.path == Path::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(CAPACITY - state.bytes);
        if count == 0 && !bytes.is_empty() {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let arrival = self.0.arrival(&state);
        state.last_arrival = arrival;
        state.bytes += count;
        state.chunks.push_back((arrival, Bytes::copy_from_slice(&bytes[..count])));
        wake(state, |state| [state.reader.take()]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pipe(delay: u64) -> (Arc<Pipe>, PipeReader, PipeWriter) {
        let conditions = Arc::new(Conditions::new(1));
        let delay = Duration::from_millis(delay);
        conditions.set_delay(delay..=delay);
        let pipe = Pipe::new(conditions);
        (pipe.clone(), PipeReader::new(pipe.clone()), PipeWriter::new(pipe))
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_in_order_after_the_delay_and_then_the_end() {
        let (_, mut reader, mut writer) = pipe(50);
        let start = Instant::now();
        writer.write_all(b"abc").await.unwrap();
        writer.write_all(b"de").await.unwrap();
        drop(writer);
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert_eq!((&received[..], start.elapsed().as_millis()), (&b"abcde"[..], 50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_waits_while_too_much_is_on_its_way() {
        let (_, mut reader, mut writer) = pipe(0);
        let bytes = vec![1; CAPACITY + 1];
        let mut writes = std::pin::pin!(writer.write_all(&bytes));
        assert!(writes.as_mut().now_or_never().is_none());
        reader.read_exact(&mut [0; 10]).await.unwrap();
        writes.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn held_bytes_arrive_when_the_path_is_open_again() {
        let (pipe, mut reader, mut writer) = pipe(5);
        pipe.set_path(Path::Held);
        writer.write_all(b"a").await.unwrap();
        drop(writer);
        let mut received = Vec::new();
        let late = tokio::time::timeout(Duration::from_secs(9), reader.read_to_end(&mut received)).await;
        assert!(late.is_err());
        pipe.set_path(Path::Open);
        reader.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"a");
    }

    #[tokio::test(start_paused = true)]
    async fn lost_bytes_never_arrive_and_nobody_is_told() {
        let (pipe, mut reader, mut writer) = pipe(0);
        pipe.set_path(Path::Lost);
        pipe.set_path(Path::Open);
        writer.write_all(b"a").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(9), reader.read_u8()).await.is_err());
        drop(reader);
        writer.write_all(b"a").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn both_ends_see_a_reset_and_the_writer_that_nobody_reads() {
        let (pipe_reset, mut reader, mut writer) = pipe(0);
        pipe_reset.set_path(Path::Reset);
        assert_eq!(reader.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(writer.write_u8(1).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let (_, reader, mut writer) = pipe(0);
        drop(reader);
        assert_eq!(writer.write_u8(1).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
