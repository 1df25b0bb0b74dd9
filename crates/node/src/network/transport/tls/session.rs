//! An established session: its two directions share the state of rustls, and each has its half of the socket. The state is locked
//! only to encrypt and to decrypt, so that neither direction waits for a system call of the other.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rustls::{Connection, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Join, ReadBuf};

use super::config::RoleOptions;
use super::error::TlsFault;
use super::wear::Wear;
use crate::network::transport::peeked::Peeked;
use crate::network::transport::{ReadHalf, Stream};

/// What a session is negotiated on.
pub(super) type Socket = Join<Peeked<Box<dyn ReadHalf>>, Box<dyn AsyncWrite + Send + Unpin>>;

/// The state of rustls.
pub(super) struct Session {
    connection: Connection,
    /// If the version has a limit.
    wear: Option<Wear>,
}

impl Session {
    pub(super) fn new(connection: Connection, options: &RoleOptions) -> Self {
        let has_limit = connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        Self { connection, wear: has_limit.then(|| Wear::new(options.renegotiate_at)) }
    }

    /// Tells in the log that the session is negotiated.
    pub(super) fn started(self, peer: &(impl fmt::Display + ?Sized), has_warned: &AtomicBool) -> Self {
        let (version, suite) = (self.connection.protocol_version(), self.connection.negotiated_cipher_suite());
        tracing::debug!(%peer, ?version, ?suite, "TLS is negotiated");
        if self.wear.is_some() && !has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "this connection, and perhaps others, has TLS 1.2, by which OTP ends a connection after 2^28 records unless it \
                 is renewed in time; to avoid both, give the peers {{versions, ['tlsv1.3', 'tlsv1.2']}} in their \
                 -ssl_dist_optfile"
            );
        }
        self
    }

    /// Decrypts what has been received, as far as the text fits.
    fn decrypt(&mut self, received: &mut BytesMut, to: &mut ReadBuf<'_>) -> io::Result<Decrypted> {
        loop {
            while to.remaining() > 0 {
                let mut plain = self.connection.reader();
                match plain.fill_buf() {
                    Ok([]) => return Ok(Decrypted::End),
                    Ok(text) => {
                        let count = text.len().min(to.remaining());
                        to.put_slice(&text[..count]);
                        // Each piece of plain text is that of one record.
                        if count == text.len()
                            && let Some(wear) = &mut self.wear
                        {
                            wear.received_record();
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
            if received.is_empty() {
                return Ok(Decrypted::All);
            }
            let count = self.connection.read_tls(&mut &received[..])?;
            received.advance(count);
            self.connection.process_new_packets().map_err(|error| TlsFault::of_rustls(&error).into_io())?;
        }
    }

    /// Whether there is plain text, or the end has come.
    fn is_readable(&mut self) -> bool {
        let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        !self.connection.reader().fill_buf().is_err_and(would_block)
    }

    /// Encrypts plain text, and whatever the session has to say itself, such as an answer to a change of keys.
    fn encrypt(
        &mut self,
        to: &mut Vec<u8>,
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let taken = write(&mut self.connection.writer())?;
        if let Some(wear) = &mut self.wear {
            wear.sent(taken);
        }
        self.take_encrypted(to)?;
        Ok(taken)
    }

    fn take_encrypted(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(to)?;
        }
        Ok(())
    }

    fn is_worn(&self) -> bool {
        self.wear.as_ref().is_some_and(Wear::is_worn)
    }

    /// The two directions.
    pub(super) fn halves(self, socket: Socket) -> Stream {
        let (read, write) = socket.into_inner();
        let session = Arc::new(Mutex::new(self));
        let (socket, received) = (read.into_half(), BytesMut::new());
        let receiver = Receiver { socket, session: session.clone(), received, in_turn: 0, is_worn: false };
        Stream {
            read: Box::new(receiver),
            write: Box::new(Sender { socket: write, session, encrypted: Vec::new(), sent: 0, taken: 0 }),
        }
    }
}

/// What a session has for a reader.
enum Decrypted {
    /// As much as fits.
    Full,
    /// All that has come.
    All,
    /// The end: the peer has said that it sends no more.
    End,
}

/// How much is read at a time: two of the largest records.
const READ: usize = 32 << 10;

/// After so many bytes others have their turn, however little text is in them: a peer may send a record for each byte of it, or records
/// without any, each of which takes about a microsecond.
const TURN: usize = 64 << 10;

struct Receiver {
    socket: Box<dyn ReadHalf>,
    session: Arc<Mutex<Session>>,
    /// What has come and has not been given to the session. An idle connection has no buffer.
    received: BytesMut,
    /// How many bytes have come since others had their turn.
    in_turn: usize,
    is_worn: bool,
}

impl Receiver {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.in_turn >= TURN {
            self.in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.received.reserve(READ);
        let received = pin!(self.socket.read_buf(&mut self.received)).poll(context);
        match &received {
            Poll::Ready(Ok(count)) => self.in_turn += count,
            _ => self.in_turn = 0,
        }
        received
    }
}

impl ReadHalf for Receiver {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.received.is_empty() || self.session.lock().is_readable() {
            // The last read had no room for all, or the end has come.
            return Poll::Ready(());
        }
        // After a read that was as long as it could be, the socket may say so though nothing has come.
        let readable = match self.socket.poll_readable(context) {
            Poll::Ready(()) => self.poll_receive(context).map(drop),
            Poll::Pending => Poll::Pending,
        };
        if readable.is_pending() {
            self.received = BytesMut::new();
        }
        readable
    }

    fn is_worn(&self) -> bool {
        self.is_worn
    }
}

impl AsyncRead for Receiver {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = to.filled().len();
        loop {
            let decrypted = {
                let mut session = this.session.lock();
                let decrypted = session.decrypt(&mut this.received, to)?;
                this.is_worn = session.is_worn();
                decrypted
            };
            match decrypted {
                Decrypted::Full | Decrypted::End => return Poll::Ready(Ok(())),
                Decrypted::All => {}
            }
            if this.in_turn >= TURN && to.filled().len() > before {
                // Others have their turn at the next read.
                return Poll::Ready(Ok(()));
            }
            match this.poll_receive(context) {
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
    socket: Box<dyn AsyncWrite + Send + Unpin>,
    session: Arc<Mutex<Session>>,
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
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            self.taken = self.session.lock().encrypt(&mut self.encrypted, write)?;
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
        self.get_mut().poll_encrypted(context, |session| session.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypted(context, |session| session.write_vectored(slices))
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
            session.connection.send_close_notify();
            session.take_encrypted(&mut this.encrypted)?;
        }
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use rustls::crypto::ring;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ServerConfig};
    use tokio::io::AsyncWriteExt;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::super::config::ServerName as NameToVerify;
    use super::super::verifier::ServerVerifier;
    use super::*;

    type Near = TlsStream<tokio::io::DuplexStream>;

    /// The client's end, and what the server reads.
    async fn pair() -> (Near, Box<dyn ReadHalf>) {
        let provider = Arc::new(ring::default_provider());
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let server = server.unwrap().with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let algorithms = provider.signature_verification_algorithms;
        let verifier = ServerVerifier { authorities: None, depth: 0, name: NameToVerify::Any, algorithms };
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = client.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        let (near, far) = tokio::io::duplex(1 << 20);
        let Stream { read, write } = Stream::split(far);
        let accept = TlsAcceptor::from(Arc::new(server)).accept(tokio::io::join(Peeked::new(read), write));
        let name = ServerName::try_from("localhost").unwrap();
        let connect = TlsConnector::from(Arc::new(client)).connect(name, near);
        let (far, near) = tokio::join!(accept, connect);
        let (socket, session) = far.unwrap().into_inner();
        (near.unwrap(), Session::new(session.into(), &RoleOptions::default()).halves(socket).read)
    }

    #[tokio::test]
    async fn many_records_with_little_text_are_read_in_turns() {
        const RECORDS: usize = 10_000;
        let (mut near, mut read) = pair().await;
        for _ in 0..RECORDS {
            near.write_all(&[7]).await.unwrap();
        }
        near.flush().await.unwrap();
        let (mut count, mut turns) = (0, 0);
        while count < RECORDS {
            let mut buffer = [0; RECORDS];
            let mut space = ReadBuf::new(&mut buffer);
            match poll_fn(|context| Poll::Ready(Pin::new(&mut read).poll_read(context, &mut space))).await {
                Poll::Ready(read) => {
                    read.unwrap();
                    count += space.filled().len();
                }
                Poll::Pending => {
                    turns += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
        // They take 230 KB, of which a read may take more than a turn does.
        assert!(turns > 0);
    }
}
