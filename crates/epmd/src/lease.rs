use std::fmt;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::wire::end_of;
use crate::{Client, Error, Registration};

/// How long after a failed attempt the next one starts. A new EPMD must know the node within two seconds.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How long one attempt to register again may take, so that an EPMD that hangs is not waited for too long.
const ATTEMPT: Duration = Duration::from_millis(1200);

/// How long [`Lease::release`] waits until EPMD has noticed.
const GOODBYE: Duration = Duration::from_secs(1);

/// A node's registration, which lasts while this value does.
///
/// When EPMD dies, the lease tries to register the node again twice a second until EPMD is back, and keeps the
/// creation that the node had first, as OTP does: other nodes know the node's pids by it.
///
/// Dropping the lease unregisters the node soon; [`Lease::release`] waits until it is done.
pub struct Lease {
    node: Registration,
    creation: u32,
    states: watch::Receiver<LeaseState>,
    release: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
}

/// Whether a node is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseState {
    /// EPMD knows the node.
    Held,
    /// EPMD has died or dropped the node; the lease tries to register it again.
    Lost,
    /// EPMD is back, but another node has registered the name in the meantime; the lease keeps trying.
    Taken,
    /// The lease was released or dropped.
    Released,
}

impl Lease {
    /// Keeps `stream`, on which `node` has been registered, on a task of its own.
    pub(crate) fn new(client: Client, node: Registration, stream: TcpStream, creation: u32) -> Self {
        let (state, states) = watch::channel(LeaseState::Held);
        let (release, released) = oneshot::channel();
        let keeper = Keeper { client: client.with_timeout(ATTEMPT), node: node.clone(), state };
        Self { node, creation, states, release, keeper: tokio::spawn(keeper.keep(stream, released)) }
    }

    /// Unregisters the node and waits, for at most a second, until EPMD has noticed.
    pub async fn release(self) {
        // The keeper is gone already if the runtime that it ran on is.
        let _ = self.release.send(());
        let _ = self.keeper.await;
    }

    /// The creation that EPMD gave the node when it was registered first.
    pub fn creation(&self) -> u32 {
        self.creation
    }

    /// What the node has told EPMD about itself.
    pub fn node(&self) -> &Registration {
        &self.node
    }

    /// Whether the node is registered now.
    pub fn state(&self) -> LeaseState {
        *self.states.borrow()
    }

    /// Follows [`Lease::state`]; the channel outlives the lease and ends with [`LeaseState::Released`].
    pub fn states(&self) -> watch::Receiver<LeaseState> {
        self.states.clone()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("node", &self.node)
            .field("creation", &self.creation)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The task behind a [`Lease`].
struct Keeper {
    client: Client,
    node: Registration,
    state: watch::Sender<LeaseState>,
}

impl Keeper {
    /// Runs until `released` has a word or its sender, the lease, is dropped.
    async fn keep(self, mut stream: TcpStream, mut released: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut released => {
                    say_goodbye(stream).await;
                    break;
                }
                // EPMD never sends anything on it; if it does, the protocol is lost.
                () = end_of(&mut stream) => {}
            }
            drop(stream);
            self.state.send_replace(LeaseState::Lost);
            warn!(name = %self.node.name, epmd = %self.client, "EPMD has dropped the node's registration");
            stream = tokio::select! {
                _ = &mut released => break,
                stream = self.reclaim() => stream,
            };
            self.state.send_replace(LeaseState::Held);
            info!(name = %self.node.name, epmd = %self.client, "the node is registered with EPMD again");
        }
        self.state.send_replace(LeaseState::Released);
    }

    /// Tries until the node is registered; the new creation is not used.
    async fn reclaim(&self) -> TcpStream {
        loop {
            match self.client.claim(&self.node).await {
                Ok((stream, _creation)) => return stream,
                Err(error) => {
                    let state = match error {
                        Error::NameTaken { .. } => LeaseState::Taken,
                        _ => LeaseState::Lost,
                    };
                    self.state.send_if_modified(|now| std::mem::replace(now, state) != state);
                    debug!(name = %self.node.name, %error, "can't register with EPMD again yet");
                }
            }
            sleep(RETRY_AFTER).await;
        }
    }
}

/// Closes the lease and waits until EPMD does so too: then it has unregistered the node.
async fn say_goodbye(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = timeout(GOODBYE, end_of(&mut stream)).await;
    }
}
