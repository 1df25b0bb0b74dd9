use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// A connection to EPMD, for `erl_dist`: it collects small writes until a flush, and bounds the bytes read, because
/// EPMD could state or send more than fits the memory.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: BufWriter<TcpStream>,
    left: usize,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, limit: usize) -> Compat<Self> {
        let stream = BufWriter::new(stream);
        Self { stream, left: limit }.compat()
    }

    /// The connection; all writes must have been flushed.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // One more byte than the limit, to distinguish an answer that is too long from one that just fits.
        let room = buf.remaining().min(self.left.saturating_add(1));
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other(TooLong))),
        }
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The error inside the [`io::Error`] of a [`Wire`] when EPMD sends more than the limit.
#[derive(Debug)]
pub(crate) struct TooLong;

impl TooLong {
    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is longer than the limit")
    }
}

impl std::error::Error for TooLong {}

/// Waits until the other side closes a lease's connection or sends anything: either ends the registration.
pub(crate) async fn end_of(lease: &mut TcpStream) {
    let _ = lease.read(&mut [0]).await;
}
