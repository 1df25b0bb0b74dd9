//! An EPMD in place of the daemon `epmd`.

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

/// How long a shutdown waits for answers that are being written.
const GRACE: Duration = Duration::from_secs(1);

/// How long the server accepts nothing after the system has refused it a connection, usually because it has no
/// more file descriptors; trying at once again would take a whole processor.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// An EPMD that listens, and serves once [`run`](Server::run) or [`spawn`](Server::spawn) is called.
///
/// It takes the place of the daemon `epmd` for `erl`, `epmd -names` and every other client: the same answers to
/// the same requests, with these differences, all of them limits:
///
/// * a request must have arrived whole within [`Config::idle`], however slowly it drips;
/// * names with white space or control characters, which would forge lines of the names list, are refused;
/// * [`Config::connections`] and [`Config::names`] bound what it holds. There is always room for a new connection: the
///   oldest of the address with the most connections is closed for it. Connections of registered nodes don't count.
///
/// As with `epmd`, only clients of this host may register, dump, kill and stop.
#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    shared: Arc<Shared>,
}

/// Why a [`Server`] has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The program that runs the server wanted it.
    ShutDown,
    /// A client of this host has sent `KILL_REQ`, as `epmd -kill` does.
    Killed,
}

impl Server {
    /// Listens on all `addresses`. Port 0 stands for a free port, the same for all addresses.
    ///
    /// An address of a family that the host has not, such as `::1` where IPv6 is switched off, is left out if another one
    /// remains.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] when another EPMD runs there already, [`Error::Bind`] when an address is not of
    /// this host.
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

    /// Serves until a client kills it. All registrations end when the future is dropped.
    pub async fn run(self) -> End {
        let Self { listeners, shared } = self;
        shared.run(listeners).await
    }

    /// Serves on a task of its own.
    pub fn spawn(self) -> ServerHandle {
        let addresses = self.listeners.addresses().to_vec();
        let shared = Arc::clone(&self.shared);
        ServerHandle { addresses, shared, task: tokio::spawn(self.run()) }
    }
}

/// A [`Server`] that serves on a task of its own; dropping this ends it without waiting.
#[derive(Debug)]
pub struct ServerHandle {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    task: JoinHandle<End>,
}

impl ServerHandle {
    /// Ends the server: it accepts nothing more, finishes the answers that it is writing, and closes the
    /// connections of the registered nodes, who will look for a new EPMD.
    pub async fn shutdown(mut self) {
        self.shared.stop(End::ShutDown);
        self.wait().await;
    }

    /// Waits until the server has ended, whoever ended it.
    pub async fn wait(&mut self) -> End {
        if self.task.is_finished() {
            return self.shared.end();
        }
        // A task that was cancelled with its runtime has been shut down, too.
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

    /// Whether the server still serves.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.shared.stop(End::ShutDown);
    }
}

/// What all connections share.
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

    /// Waits until the server is to end.
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
