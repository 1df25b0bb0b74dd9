use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

use super::ReadHalf;

/// The receiving half of a stream that tells only by a read whether there is something to read.
///
/// To find out, it reads a few bytes into the stack, and keeps them for the next read: an idle connection has no buffer, and
/// of a large read only the first bytes are copied.
#[derive(Debug)]
pub(super) struct Peeked<R> {
    inner: R,
    first: Bytes,
    /// What the next read returns instead of bytes.
    result: Option<io::Result<()>>,
}

/// How many bytes are read to find out.
const FIRST: usize = 256;

impl<R> Peeked<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, first: Bytes::new(), result: None }
    }

    /// What has been read to find out, and not by its reader yet.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }
}

impl Peeked<Box<dyn ReadHalf>> {
    /// The half without what peeks, if nothing is kept.
    pub(super) fn into_half(self) -> Box<dyn ReadHalf> {
        if self.first.is_empty() && self.result.is_none() { self.inner } else { Box::new(self) }
    }
}

impl<R: AsyncRead + Send + Unpin> ReadHalf for Peeked<R> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.first.is_empty() && self.result.is_none() {
            let mut bytes = [0; FIRST];
            let mut bytes = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut bytes));
            self.first = Bytes::copy_from_slice(bytes.filled());
            self.result = self.first.is_empty().then_some(read);
        }
        Poll::Ready(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Peeked<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(result) = self.result.take() {
            return Poll::Ready(result);
        }
        if self.first.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, to);
        }
        let count = self.first.len().min(to.remaining());
        to.put_slice(&self.first[..count]);
        self.first.advance(count);
        if to.remaining() > 0 {
            let before = to.filled().len();
            let more = Pin::new(&mut self.inner).poll_read(context, to);
            if let Poll::Ready(more) = more
                && to.filled().len() == before
            {
                self.result = Some(more);
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_has_been_read_to_find_out_comes_first() {
        let (mut writer, reader) = tokio::io::duplex(4096);
        let mut reader = Peeked::new(reader);
        let half: &mut dyn ReadHalf = &mut reader;
        assert_eq!(half.readable().now_or_never(), None);
        let sent: Vec<u8> = (0..1000_u32).map(|index| index as u8).collect();
        writer.write_all(&sent).await.unwrap();
        half.readable().await;
        half.readable().await;
        let mut first = [0; 10];
        half.read_exact(&mut first).await.unwrap();
        let mut rest = Vec::with_capacity(4096);
        assert_eq!(half.read_buf(&mut rest).await.unwrap(), 990, "one read gives the rest");
        assert_eq!([&first[..], &rest].concat(), sent);
        assert_eq!(half.readable().now_or_never(), None);
    }

    #[tokio::test]
    async fn the_end_and_errors_are_read_after_the_bytes() {
        let mut reader = Peeked::new(script());
        let half: &mut dyn ReadHalf = &mut reader;
        half.readable().await;
        let mut received = Vec::with_capacity(64);
        assert_eq!(half.read_buf(&mut received).await.unwrap(), 3);
        half.readable().await;
        assert_eq!(half.read_buf(&mut received).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        half.readable().await;
        assert_eq!(half.read_buf(&mut received).await.unwrap(), 0);
    }

    /// Gives three bytes, an error, and then the end.
    fn script() -> impl AsyncRead + Send + Unpin {
        struct Script(u32);
        impl AsyncRead for Script {
            fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                self.0 += 1;
                match self.0 {
                    1 => to.put_slice(b"abc"),
                    2 => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                    _ => {}
                }
                Poll::Ready(Ok(()))
            }
        }
        Script(0)
    }
}
