//! Accepts connections of a listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use peerl_proto::budget::Budget;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{interval, sleep, timeout};

use super::connection;
use super::connection_state::{ConnectionState, Shared, Slot};
use super::connection_table::{Admission, ConnectionTable};
use super::limits::Limits;
use super::refusals::Refusals;

/// How often stalled connections are looked for.
const STALLS: Duration = Duration::from_secs(5);

/// The pause after a failed `accept`, usually for lack of file descriptors; without it, the loop would take a whole
/// core.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How much the system keeps for a client beyond what it has sent: usually it takes some MiB of an answer at once, of the memory of
/// this process's container, and with many clients that do not read it takes all; nobody counts it.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 64 << 10;

/// Serves a router until the server is shut down or dropped.
///
/// Requests have the client's address as `ConnectInfo<SocketAddr>`. A panic of a handler is answered with 500.
/// Answers with the extension [`Refused`](super::Refused) are logged.
pub fn serve(listener: TcpListener, router: Router, limits: Limits) -> Server {
    let stop = watch::Sender::new(None);
    let task = tokio::spawn(run(listener, router, limits, stop.subscribe()));
    Server { task, stop }
}

/// A server; dropping it ends all its connections.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<Stopped>,
    /// The shutdown request: how long pending requests may take.
    stop: watch::Sender<Option<Duration>>,
}

/// The result of a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// The number of requests without a complete answer in time.
    pub cut: usize,
}

impl Server {
    /// Accepts no further connections and requests, and waits for pending requests, at most for this time.
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
    memory: Arc<Budget>,
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
    let most = limits.connections();
    // On the loopback address all clients are one.
    let share = if address.ip().is_loopback() { most } else { most.div_ceil(2) };
    let shared = Arc::new(Shared::new(ConnectionTable::new(most, share), Refusals::new(address)));
    let memory = Budget::with_factor(limits.memory, 1 << 16, 4);
    let mut running = Running { router, limits, memory, stop: stop.clone(), shared, connections: JoinSet::new() };
    let mut stalls = interval(STALLS);
    let within = loop {
        let shared = running.shared.clone();
        let has_room = shared.connections().has_room();
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, client)) => running.begin(stream, client),
                Err(_) => {
                    // The descriptor of a waiting connection is better used for a request.
                    close(shared.connections().release_longest_waiting());
                    sleep(ACCEPT_AGAIN).await;
                }
            },
            () = shared.changed.notified(), if !has_room => {}
            Some(_) = running.connections.join_next() => {}
            () = shared.refusals.sum_up() => {}
            _ = stalls.tick() => close(shared.connections().release_stalled(limits.stall, Instant::now())),
            within = asked(&mut stop) => break within,
        }
    };
    // From here on the system refuses new connections.
    drop(listener);
    running.finish(within).await
}

/// Waits for the shutdown request, and returns its time limit.
async fn asked(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    stop.wait_for(Option::is_some).await.ok().and_then(|within| *within).unwrap_or_default()
}

impl Running {
    fn begin(&mut self, stream: TcpStream, client: SocketAddr) {
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        // A socket for both families reports IPv4 addresses as `::ffff:10.0.0.7`.
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let (shared, connections) = (&self.shared, &mut self.connections);
        let (router, limits, stop) = (self.router.clone(), self.limits, self.stop.clone());
        let memory = Arc::new(self.memory.share());
        let admission = shared.connections().admit(client.ip().into(), Instant::now(), |id| {
            let place = Slot(ConnectionState::new(id, client, shared.clone()));
            connections
                .spawn(async move { connection::serve(stream, place.0.clone(), router, limits, memory, stop).await })
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

    /// Waits for pending answers.
    async fn finish(mut self, within: Duration) -> Stopped {
        let shared = self.shared.clone();
        let answered = async {
            loop {
                close(shared.connections().release_idle());
                if shared.connections().at_work() == 0 {
                    return;
                }
                shared.changed.notified().await;
            }
        };
        let cut = match timeout(within, answered).await {
            Ok(()) => 0,
            Err(_) => shared.connections().at_work(),
        };
        self.connections.shutdown().await;
        Stopped { cut }
    }
}

fn close(connections: impl IntoIterator<Item = AbortHandle>) {
    connections.into_iter().for_each(|connection| connection.abort());
}
