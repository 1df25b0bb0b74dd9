//! A replacement of the daemon `epmd`.

mod config;
pub use config::{CommandCheck, Config};
mod listeners;
mod registry;
mod session;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use crate::Error;
use listeners::Listeners;
use registry::Registry;
use sessions::Sessions;

/// How long a shutdown waits for pending answers.
const GRACE: Duration = Duration::from_secs(1);

/// The pause after a failed `accept`, usually for lack of file descriptors; without it, the loop would take a whole
/// core.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// An EPMD that listens; it serves once [`run`](Server::run) or [`spawn`](Server::spawn) is called.
///
/// It replaces the daemon `epmd` for `erl`, `epmd -names` and every other client: the same answers to the same
/// requests, with these differences, all of them limits:
///
/// * a request must arrive completely within [`Config::idle`], however slow it is;
/// * names with white space or control characters, which would forge lines of the names list, are refused;
/// * [`Config::connections`] and [`Config::names`] bound its memory. A new connection is always accepted: the oldest
///   of the address with the most connections is closed for it. Connections of registered nodes do not count.
///
/// As with `epmd`, only clients of this host may register, dump, kill and stop.
#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    shared: Arc<Shared>,
}

/// Why a [`Server`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The program that runs the server has shut it down.
    ShutDown,
    /// A client of this host has sent `KILL_REQ`, as `epmd -kill` does.
    Killed,
}

impl Server {
    /// Listens on all `addresses`. Port 0 means a free port, the same for all addresses.
    ///
    /// An address of an unsupported family, such as `::1` on a host without IPv6, is skipped if another one remains.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] when another EPMD listens there, [`Error::Bind`] when an address is not of this host.
    pub async fn bind(addresses: impl IntoIterator<Item = SocketAddr>, config: Config) -> Result<Self, Error> {
        let listeners = Listeners::bind(addresses)?;
        let port = listeners.addresses()[0].port();
        Ok(Self {
            listeners,
            shared: Arc::new(Shared {
                registry: Mutex::new(Registry::new(config.names)),
                stopping: watch::Sender::new(None),
                config,
                port,
            }),
        })
    }

    /// The first address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners.addresses()[0]
    }

    /// All addresses that it listens on.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.listeners.addresses()
    }

    /// Serves until a client kills it. Dropping the future ends all registrations.
    pub async fn run(self) -> End {
        let Self { listeners, shared } = self;
        shared.run(listeners).await
    }

    /// Serves in a task.
    pub fn spawn(self) -> ServerHandle {
        let addresses = self.listeners.addresses().to_vec();
        let shared = Arc::clone(&self.shared);
        ServerHandle { addresses, shared, task: tokio::spawn(self.run()) }
    }
}

/// A [`Server`] that runs in a task; dropping the handle ends the server without waiting.
#[derive(Debug)]
pub struct ServerHandle {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    task: JoinHandle<End>,
}

impl ServerHandle {
    /// Ends the server: accepts no further connection, finishes pending answers, and closes the connections of
    /// registered nodes, which then look for a new EPMD.
    pub async fn shutdown(mut self) {
        self.shared.stop(End::ShutDown);
        self.wait().await;
    }

    /// Waits until the server has ended, for any reason.
    pub async fn wait(&mut self) -> End {
        if self.task.is_finished() {
            return self.shared.end();
        }
        // If the task was cancelled with its runtime, the server was shut down.
        (&mut self.task).await.unwrap_or(End::ShutDown)
    }

    /// The first address that the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses that the server listens on.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether the server is running.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.shared.stop(End::ShutDown);
    }
}

/// State shared by all connections.
#[derive(Debug)]
struct Shared {
    config: Config,
    port: u16,
    registry: Mutex<Registry>,
    stopping: watch::Sender<Option<End>>,
}

impl Shared {
    async fn run(self: Arc<Self>, mut listeners: Listeners) -> End {
        info!(addresses = ?listeners.addresses(), "EPMD listens");
        let mut stopped = std::pin::pin!(self.stopped());
        let mut leases = JoinSet::new();
        let mut sessions = Sessions::new(self.config.connections);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(_) = leases.join_next() => {}
                lease = sessions.next_lease() => {
                    leases.spawn(lease.hold());
                }
                accepted = listeners.accept() => match accepted {
                    Ok((stream, peer)) => sessions.begin(Arc::clone(&self), stream, peer),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        sessions.cannot_accept(listeners.addresses()[0].ip(), &error);
                        sleep(ACCEPT_AGAIN).await;
                    }
                },
            }
        }
        drop(listeners);
        let finished = async {
            sessions.finish().await;
            while leases.join_next().await.is_some() {}
        };
        if timeout(GRACE, finished).await.is_err() {
            debug!("EPMD ends with answers not read by its clients");
        }
        self.end()
    }

    fn stop(&self, end: End) {
        self.stopping.send_if_modified(|stopping| {
            let first = stopping.is_none();
            stopping.get_or_insert(end);
            first
        });
    }

    /// Waits for the request to end.
    async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(Option::is_some).await;
    }

    fn end(&self) -> End {
        self.stopping.borrow().unwrap_or(End::ShutDown)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
