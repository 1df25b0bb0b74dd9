//! A server whose answers a test defines.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Request, Response};
use crate::free_port;

/// How a server answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// With the whole response.
    Whole(Response),
    /// With the response's head, that many bytes of its body, and the end of the connection.
    CutAfter(Response, usize),
    /// With the end of the connection.
    Nothing,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Whole(response)
    }
}

/// An HTTP server on a free port of 127.0.0.1 that answers each request with a closure; it ends when dropped.
///
/// Requests are answered in parallel, one on each connection.
pub struct HttpServer {
    port: u16,
    handler: Arc<Handler>,
    listener: Mutex<Option<Listener>>,
}

type Handler = dyn Fn(Request) -> Answer + Send + Sync;

impl HttpServer {
    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When the port is taken nevertheless.
    pub fn start<A: Into<Answer>>(handler: impl Fn(Request) -> A + Send + Sync + 'static) -> Self {
        let server = Self {
            port: free_port(),
            handler: Arc::new(move |request| handler(request).into()),
            listener: Mutex::new(None),
        };
        server.accept();
        server
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Refuses connections from now on; pending requests are answered.
    pub fn refuse(&self) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(listener);
    }

    /// Accepts connections again.
    ///
    /// # Panics
    ///
    /// When another process has taken the port.
    pub fn accept(&self) {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener.get_or_insert_with(|| Listener::start(self.port, self.handler.clone()));
    }
}

/// A thread that accepts connections until this is dropped.
struct Listener {
    port: u16,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(port: u16, handler: Arc<Handler>) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("no HTTP server on port {port}: {error}"));
        let closed = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let closed = closed.clone();
            move || {
                for stream in socket.incoming() {
                    if closed.load(Ordering::Acquire) {
                        return;
                    }
                    let handler = handler.clone();
                    // The client notices a failed connection.
                    std::thread::spawn(move || stream.and_then(|stream| serve(stream, &*handler)));
                }
            }
        });
        Self { port, closed, thread: Some(thread) }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes the thread up.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, handler: &Handler) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(&stream);
    let Some(request) = Request::read(&mut reader)? else {
        return Ok(());
    };
    let mut writer = &stream;
    match handler(request) {
        Answer::Whole(response) => writer.write_all(&response.encoded())?,
        Answer::CutAfter(response, bytes) => {
            let missing = response.body.len().saturating_sub(bytes);
            let encoded = response.encoded();
            writer.write_all(&encoded[..encoded.len() - missing])?;
        }
        Answer::Nothing => {}
    }
    stream.shutdown(Shutdown::Write)?;
    // Until the client has read everything and closes, so that no reset precedes the answer.
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    std::io::copy(&mut reader.take(1 << 20), &mut std::io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn answers_whole_cut_and_not_at_all() {
        let server = HttpServer::start(|request: Request| {
            let response = Response::text(200, "0123456789").header("x-path", &request.path);
            match request.path.as_str() {
                "/cut" => Answer::CutAfter(response, 4),
                "/nothing" => Answer::Nothing,
                _ => response.into(),
            }
        });
        let get = |path| Request::new("GET", path).send(&server.endpoint());
        let whole = get("/whole").unwrap();
        assert_eq!(
            (whole.status, whole.body_text().as_str(), whole.get("X-Path")),
            (200, "0123456789", Some("/whole"))
        );
        assert_eq!(get("/cut").unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(get("/nothing").unwrap_err().kind(), ErrorKind::UnexpectedEof);

        server.refuse();
        assert_eq!(get("/whole").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        server.accept();
        assert_eq!(get("/whole").unwrap().status, 200);
    }
}
