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

/// The pause between attempts. OTP expects the node at a new EPMD within two seconds.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The time-out of one attempt, so that an EPMD that hangs does not delay the next.
const ATTEMPT: Duration = Duration::from_millis(1200);

/// How long [`Lease::release`] waits for EPMD to close the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A node's registration, which lasts as long as this value.
///
/// When EPMD dies, the lease tries to register the node again twice a second until EPMD is back. Like OTP, it keeps
/// the first creation, which is part of the node's pids on other nodes.
///
/// Dropping the lease unregisters the node soon; [`Lease::release`] waits for it.
pub struct Lease {
    node: Registration,
    creation: u32,
    states: watch::Receiver<LeaseState>,
    release: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Whether a node is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseState {
    /// The node is registered.
    Held,
    /// EPMD has died or dropped the node; the lease tries to register it again.
    Lost,
    /// EPMD is back, but another node has registered the name in the meantime; the lease keeps trying.
    Taken,
    /// The lease was released or dropped.
    Released,
}

impl Lease {
    /// Keeps `stream`, on which `node` is registered, open in a task.
    pub(crate) fn new(client: Client, node: Registration, stream: TcpStream, creation: u32) -> Self {
        let (state, states) = watch::channel(LeaseState::Held);
        let (release, released) = oneshot::channel();
        let task = LeaseTask { client: client.with_timeout(ATTEMPT), node: node.clone(), state };
        Self { node, creation, states, release, task: tokio::spawn(task.keep(stream, released)) }
    }

    /// Unregisters the node and waits, at most a second, for EPMD to confirm by closing.
    pub async fn release(self) {
        // The task has ended if its runtime has.
        let _ = self.release.send(());
        let _ = self.task.await;
    }

    /// The creation from the first registration.
    pub fn creation(&self) -> u32 {
        self.creation
    }

    /// The node's description.
    pub fn node(&self) -> &Registration {
        &self.node
    }

    /// Whether the node is registered now.
    pub fn state(&self) -> LeaseState {
        *self.states.borrow()
    }

    /// A channel with [`Lease::state`]; it outlives the lease and ends with [`LeaseState::Released`].
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

/// The task of a [`Lease`].
struct LeaseTask {
    client: Client,
    node: Registration,
    state: watch::Sender<LeaseState>,
}

impl LeaseTask {
    /// Runs until `released` gets a value, or its sender is dropped with the lease.
    async fn keep(self, mut stream: TcpStream, mut released: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut released => {
                    close_lease(stream).await;
                    break;
                }
                // EPMD sends nothing on this connection; any byte is a protocol violation.
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

    /// Repeats attempts until the node is registered; ignores the new creation.
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

/// Closes the lease's connection and waits until EPMD closes it too: then the node is unregistered.
async fn close_lease(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = timeout(CLOSE_TIMEOUT, end_of(&mut stream)).await;
    }
}
