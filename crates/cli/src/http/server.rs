//! Taking the connections of a listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{interval, sleep, timeout};

use super::connection;
use super::limits::Limits;
use super::occupant::{Occupant, Place, Shared};
use super::places::{Admission, Places};
use super::refusals::Refusals;

/// How often stalled connections are looked for.
const STALLS: Duration = Duration::from_secs(5);

/// How long nothing is accepted after the system has refused a connection, usually because the process has no more file
/// descriptors; trying at once again would take a whole processor.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves a router to those who connect, until the server is shut down or dropped.
///
/// Requests have the client's address as `ConnectInfo<SocketAddr>`. A handler that panics answers 500. Answers with the
/// extension [`Refused`](super::Refused) are logged.
pub fn serve(listener: TcpListener, router: Router, limits: Limits) -> Server {
    let stop = watch::Sender::new(None);
    let task = tokio::spawn(run(listener, router, limits, stop.subscribe()));
    Server { task, stop }
}

/// A server; with it end all its connections when it is dropped.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<Stopped>,
    /// When it is to stop: how long the requests under way may take.
    stop: watch::Sender<Option<Duration>>,
}

/// How a server has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// The requests that were under way and had no whole answer in time.
    pub cut: usize,
}

impl Server {
    /// Takes no more connections and requests, and waits until those under way are answered, for so long at most.
    pub async fn shutdown(mut self, within: Duration) -> Stopped {
        self.stop.send_replace(Some(within));
        (&mut self.task).await.unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A running server.
struct Running {
    router: Router,
    limits: Limits,
    stop: watch::Receiver<Option<Duration>>,
    shared: Arc<Shared>,
    connections: JoinSet<()>,
}

async fn run(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<Option<Duration>>,
) -> Stopped {
    let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let most = limits.places();
    // On the loopback all clients are one.
    let share = if address.ip().is_loopback() { most } else { most.div_ceil(2) };
    let shared = Arc::new(Shared::new(Places::new(most, share), Refusals::new(address)));
    let mut running = Running { router, limits, stop: stop.clone(), shared, connections: JoinSet::new() };
    let mut stalls = interval(STALLS);
    let within = loop {
        let shared = running.shared.clone();
        let has_room = shared.places().has_room();
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, client)) => running.begin(stream, client),
                Err(_) => {
                    // The descriptor of a connection that waits serves a request better.
                    close(shared.places().release_longest_waiting());
                    sleep(ACCEPT_AGAIN).await;
                }
            },
            () = shared.changed.notified(), if !has_room => {}
            Some(_) = running.connections.join_next() => {}
            () = shared.refusals.sum_up() => {}
            _ = stalls.tick() => close(shared.places().release_stalled(limits.stall, Instant::now())),
            within = asked(&mut stop) => break within,
        }
    };
    // From here on the system refuses who connects.
    drop(listener);
    running.finish(within).await
}

/// Waits until a server is to stop, and gives the time that it has for it.
async fn asked(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    stop.wait_for(Option::is_some).await.ok().and_then(|within| *within).unwrap_or_default()
}

impl Running {
    fn begin(&mut self, stream: TcpStream, client: SocketAddr) {
        let _ = stream.set_nodelay(true);
        // A socket of both families gives IPv4 addresses as `::ffff:10.0.0.7`.
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let (shared, connections) = (&self.shared, &mut self.connections);
        let (router, limits, stop) = (self.router.clone(), self.limits, self.stop.clone());
        let admission = shared.places().admit(client.ip().into(), Instant::now(), |id| {
            let place = Place(Occupant::new(id, client, shared.clone()));
            connections.spawn(async move { connection::serve(stream, place.0.clone(), router, limits, stop).await })
        });
        match admission {
            Admission::Admitted(_) => {}
            Admission::Displaces(_, displaced, origin) => {
                displaced.abort();
                shared.refusals.connection(origin.address(), "closed the one of this address that has waited longest");
            }
            Admission::Refused => {
                shared.refusals.connection(client.ip(), "all that this address can have are at work");
            }
        }
    }

    /// Waits for the answers under way.
    async fn finish(mut self, within: Duration) -> Stopped {
        let shared = self.shared.clone();
        let answered = async {
            loop {
                close(shared.places().release_idle());
                if shared.places().at_work() == 0 {
                    return;
                }
                shared.changed.notified().await;
            }
        };
        let cut = match timeout(within, answered).await {
            Ok(()) => 0,
            Err(_) => shared.places().at_work(),
        };
        self.connections.shutdown().await;
        Stopped { cut }
    }
}

fn close(connections: impl IntoIterator<Item = AbortHandle>) {
    connections.into_iter().for_each(|connection| connection.abort());
}
