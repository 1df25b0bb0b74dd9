//! Connections to the control door, and what bounds them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::answer::Door;

/// The most connections at a time. Those beyond wait until one has ended, which the times below see to.
const CONNECTIONS: usize = 64;

/// How long a client may take to send the head of a request, or to send another one: else a few idle clients would
/// occupy all connections (slowloris).
const HEAD: Duration = Duration::from_secs(10);

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// After this time no more requests are taken on a connection, and after as long again it is cut: a client that reads
/// its answers byte by byte would never give it back.
const LIFETIME: Duration = Duration::from_secs(60);

/// How often it is looked whether there are refused requests to sum up in the log.
const TELLING: Duration = Duration::from_secs(10);

/// Serves, until it is dropped, and all connections with it.
pub(super) async fn serve(listener: TcpListener, door: Arc<Door>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut telling = interval(TELLING);
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            (accepted, permit) = next => match accepted {
                Ok((stream, client)) => {
                    let door = door.clone();
                    connections.spawn(async move {
                        let _permit = permit;
                        connection(stream, client, door).await;
                    });
                }
                // Out of file descriptors; some may come free.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = telling.tick() => door.tell_of_rejections(),
        }
    }
}

async fn connection(stream: TcpStream, client: SocketAddr, door: Arc<Door>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let door = door.clone();
        async move { door.answer(request, client).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A client that goes away, or sends what is no HTTP, is no error of ours.
    if timeout(LIFETIME, &mut connection).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LIFETIME, &mut connection).await;
    }
}
