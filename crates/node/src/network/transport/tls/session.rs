//! An established session: its two directions share the state of rustls, and each has its half of the socket.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use rustls::{Connection, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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
    Stream {
        read: Box::new(Receiver { socket: read, session: session.clone(), records: has_limit.then_some(0) }),
        write: Box::new(Sender { socket: write, session, taken: 0 }),
    }
}

struct Receiver {
    socket: OwnedReadHalf,
    session: Arc<Mutex<Connection>>,
    /// How many records have come, if the version has a limit of them.
    records: Option<u64>,
}

/// OTP ends a connection by TLS 1.2 after it has sent twice as many records: it wants new keys, for which it must renegotiate, and
/// rustls does not.
const HALF_OF_RECORDS: u64 = 1 << 27;

impl Receiver {
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
}

impl ReadHalf for Receiver {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.session.lock().reader().fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // There is plain text that did not fit into the last read, or the end.
            _ => return Poll::Ready(()),
        }
        self.socket.as_ref().poll_read_ready(context).map(drop)
    }
}

impl AsyncRead for Receiver {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut session = this.session.lock();
        let before = to.filled().len();
        let is_ready = |to: &ReadBuf<'_>| to.filled().len() > before;
        loop {
            while to.remaining() > 0 {
                let mut plain = session.reader();
                match plain.fill_buf() {
                    // The peer has said that it sends no more.
                    Ok([]) => return Poll::Ready(Ok(())),
                    Ok(text) => {
                        let count = text.len().min(to.remaining());
                        to.put_slice(&text[..count]);
                        // Each piece of plain text is that of one record.
                        if count == text.len() {
                            Self::has_read_record(&this.socket, &mut this.records);
                        }
                        plain.consume(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // It has not said so. A message that is cut off is not taken for a whole one: it has its length.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if to.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match session.read_tls(&mut FromSocket { socket: &mut this.socket, context }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return if is_ready(to) { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                // What has come before it is read first: the next read gives the error again.
                Err(_) if is_ready(to) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = session.process_new_packets() {
                // The peer is told why by an alert, if the socket takes it.
                while session.wants_write()
                    && session.write_tls(&mut ToReady(this.socket.as_ref())).is_ok_and(|sent| sent > 0)
                {
                }
                return Poll::Ready(Err(TlsFault::of_rustls(&error).into_io()));
            }
        }
    }
}

/// Reads what the socket has, and has the task woken when it has more.
struct FromSocket<'a, 'b> {
    socket: &'a mut OwnedReadHalf,
    context: &'a mut Context<'b>,
}

impl Read for FromSocket<'_, '_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut to = ReadBuf::new(to);
        match Pin::new(&mut *self.socket).poll_read(self.context, &mut to) {
            Poll::Ready(read) => read.map(|()| to.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Writes what the socket takes.
struct ToReady<'a>(&'a TcpStream);

impl Write for ToReady<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A write ends when the socket has taken the encrypted bytes, so that there is nothing to flush.
struct Sender {
    socket: OwnedWriteHalf,
    session: Arc<Mutex<Connection>>,
    /// The plain text that a write has encrypted and that has not been sent yet. The writer comes back with the same bytes.
    taken: usize,
}

impl Sender {
    fn poll_encrypt(
        &mut self,
        context: &mut Context<'_>,
        encrypt: impl FnOnce(&mut Connection) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Self { socket, session, taken } = self;
        let mut session = session.lock();
        if *taken == 0 {
            // An answer of the session itself, such as to a change of keys.
            ready!(poll_send(socket, &mut session, context))?;
            *taken = encrypt(&mut session)?;
        }
        ready!(poll_send(socket, &mut session, context))?;
        Poll::Ready(Ok(std::mem::take(taken)))
    }
}

impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypt(context, |session| session.writer().write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypt(context, |session| session.writer().write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        poll_send(&mut this.socket, &mut this.session.lock(), context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        {
            let mut session = this.session.lock();
            session.send_close_notify();
            ready!(poll_send(&mut this.socket, &mut session, context))?;
        }
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}

/// Sends all that is encrypted.
fn poll_send(socket: &mut OwnedWriteHalf, session: &mut Connection, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    while session.wants_write() {
        match session.write_tls(&mut ToSocket { socket, context }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// Writes what the socket takes, and has the task woken when it takes more.
struct ToSocket<'a, 'b> {
    socket: &'a mut OwnedWriteHalf,
    context: &'a mut Context<'b>,
}

impl ToSocket<'_, '_> {
    fn done(written: Poll<io::Result<usize>>) -> io::Result<usize> {
        match written {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for ToSocket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::done(Pin::new(&mut *self.socket).poll_write(self.context, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::done(Pin::new(&mut *self.socket).poll_write_vectored(self.context, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
