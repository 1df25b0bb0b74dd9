//! An established session: its two directions share the state of rustls, and each has its half of the socket. The state is locked
//! only to encrypt and to decrypt, so that neither direction waits for a system call of the other.

use std::io::{self, BufRead, IoSlice, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rustls::{Connection, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::error::TlsFault;
use crate::network::transport::{ReadHalf, Stream};

/// The two directions of a session.
pub(super) fn halves(socket: TcpStream, session: Connection) -> Stream {
    let (version, suite) = (session.protocol_version(), session.negotiated_cipher_suite());
    tracing::debug!(address = ?socket.peer_addr().ok(), ?version, ?suite, "TLS is negotiated");
    let has_limit = version == Some(ProtocolVersion::TLSv1_2);
    let session = Arc::new(Mutex::new(session));
    let (read, write) = socket.into_split();
    let receiver =
        Receiver { socket: read, session: session.clone(), received: BytesMut::new(), records: has_limit.then_some(0) };
    Stream {
        read: Box::new(receiver),
        write: Box::new(Sender { socket: write, session, encrypted: Vec::new(), sent: 0, taken: 0 }),
    }
}

struct Receiver {
    socket: OwnedReadHalf,
    session: Arc<Mutex<Connection>>,
    /// What has come and has not been given to the session. An idle connection has no buffer.
    received: BytesMut,
    /// How many records have come, if the version has a limit of them.
    records: Option<u64>,
}

/// OTP ends a connection by TLS 1.2 after it has sent twice as many records: it wants new keys, for which it must renegotiate, and
/// rustls does not.
const HALF_OF_RECORDS: u64 = 1 << 27;

/// How much is read at a time: two of the largest records.
const READ: usize = 32 << 10;

/// What a session has for a reader.
enum Decrypted {
    /// As much as fits.
    Full,
    /// All that has come.
    All,
    /// The end: the peer has said that it sends no more.
    End,
}

impl Receiver {
    /// Decrypts what has been received, as far as the text fits.
    fn decrypt(&mut self, to: &mut ReadBuf<'_>) -> io::Result<Decrypted> {
        let mut session = self.session.lock();
        loop {
            while to.remaining() > 0 {
                let mut plain = session.reader();
                match plain.fill_buf() {
                    Ok([]) => return Ok(Decrypted::End),
                    Ok(text) => {
                        let count = text.len().min(to.remaining());
                        to.put_slice(&text[..count]);
                        // Each piece of plain text is that of one record.
                        if count == text.len() {
                            has_read_record(&self.socket, &mut self.records);
                        }
                        plain.consume(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if to.remaining() == 0 {
                return Ok(Decrypted::Full);
            }
            if self.received.is_empty() {
                return Ok(Decrypted::All);
            }
            let count = session.read_tls(&mut &self.received[..])?;
            self.received.advance(count);
            session.process_new_packets().map_err(|error| TlsFault::of_rustls(&error).into_io())?;
        }
    }
}

fn has_read_record(socket: &OwnedReadHalf, records: &mut Option<u64>) {
    let Some(records) = records else { return };
    *records += 1;
    if *records == HALF_OF_RECORDS {
        let address = socket.peer_addr().ok();
        tracing::warn!(
            ?address,
            "half of the records have come after which OTP ends a connection by TLS 1.2; to avoid it, give the peer \
             {{versions, ['tlsv1.3', 'tlsv1.2']}} in its -ssl_dist_optfile"
        );
    }
}

impl ReadHalf for Receiver {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if !self.received.is_empty() || !self.session.lock().reader().fill_buf().is_err_and(would_block) {
            // The last read had no room for all, or the end has come.
            return Poll::Ready(());
        }
        let readable = self.socket.as_ref().poll_read_ready(context);
        if readable.is_pending() {
            self.received = BytesMut::new();
        }
        readable.map(drop)
    }
}

impl AsyncRead for Receiver {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = to.filled().len();
        loop {
            match this.decrypt(to)? {
                Decrypted::Full | Decrypted::End => return Poll::Ready(Ok(())),
                Decrypted::All => {}
            }
            this.received.reserve(READ);
            match pin!(this.socket.read_buf(&mut this.received)).poll(context) {
                // The peer has not said that it sends no more. A message that is cut off is not taken for a whole one: it has
                // its length.
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                // What has come before is read first: the next read gives the error again.
                Poll::Pending | Poll::Ready(Err(_)) if to.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A write ends when the socket has taken the encrypted bytes, so that there is nothing to flush.
struct Sender {
    socket: OwnedWriteHalf,
    session: Arc<Mutex<Connection>>,
    /// The encrypted bytes of a write, of which so many have been sent.
    encrypted: Vec<u8>,
    sent: usize,
    /// The plain text that is encrypted in them. The writer comes back with the same.
    taken: usize,
}

impl Sender {
    fn poll_encrypted(
        &mut self,
        context: &mut Context<'_>,
        encrypt: impl FnOnce(&mut Connection) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            let mut session = self.session.lock();
            self.taken = encrypt(&mut session)?;
            // With answers of the session itself, such as to a change of keys.
            while session.wants_write() {
                session.write_tls(&mut self.encrypted)?;
            }
        }
        ready!(self.poll_send(context))?;
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    /// Sends all that is encrypted.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.encrypted.len() {
            match ready!(Pin::new(&mut self.socket).poll_write(context, &self.encrypted[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        (self.encrypted, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypted(context, |session| session.writer().write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypted(context, |session| session.writer().write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        {
            let mut session = this.session.lock();
            session.send_close_notify();
            while session.wants_write() {
                session.write_tls(&mut this.encrypted)?;
            }
        }
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}
