//! The EPMD that the node runs itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use peerl_epmd::{Client, LeaseState, Server, ServerHandle};
use peerl_proto::error_chain::ErrorChain;
use tokio::sync::watch;
use tokio::time::timeout;

/// For how long EPMD must be gone before a node puts its own in the place: so long that one which systemd restarts finds
/// its port free, and so short that BEAM nodes, which look for EPMD every two seconds, find the new one at the first look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the node runs an EPMD.
#[derive(Debug, Clone, Default)]
pub(crate) struct Embedded(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Running(ServerHandle),
    /// The node ends: none is to be started any more.
    Over,
}

impl Embedded {
    /// Runs one, in the place where the client would look for it.
    pub(super) async fn start(&self, client: &Client) -> Result<(), peerl_epmd::Error> {
        let addresses = peerl_epmd::environment::listen_addresses(client.port())?;
        let server = Server::bind(addresses, peerl_epmd::Config::from_env()).await?.spawn();
        tracing::info!(epmd = %client, "no EPMD runs here: started one");
        let mut state = self.0.lock();
        if !matches!(*state, State::Over) {
            *state = State::Running(server);
        }
        Ok(())
    }

    /// Runs one, if none runs where the client looks for it.
    pub(super) async fn start_if_missing(&self, client: &Client) -> Result<(), peerl_epmd::Error> {
        match client.names().await {
            Ok(_) => Ok(()),
            Err(peerl_epmd::Error::NoEpmd { .. }) => match self.start(client).await {
                // Another node was looking for EPMD at the same time, and was the first to start one.
                Err(peerl_epmd::Error::AddressInUse { .. }) => Ok(()),
                started => started,
            },
            Err(error) => Err(error),
        }
    }

    /// Follows the registration of the node, and starts an EPMD when the one it was registered with does not come
    /// back: it may have been that of another node, which has ended. Where many nodes have lost it, the first to
    /// start one has it for all.
    pub(super) async fn take_over(self, client: Client, mut registered: watch::Receiver<LeaseState>) {
        loop {
            let lost = registered.wait_for(|state| matches!(state, LeaseState::Lost | LeaseState::Released));
            if !lost.await.is_ok_and(|state| *state == LeaseState::Lost) {
                return;
            }
            if timeout(PATIENCE, registered.wait_for(|state| *state != LeaseState::Lost)).await.is_ok() {
                continue;
            }
            if let Err(error) = self.start_if_missing(&client).await {
                tracing::warn!(error = %ErrorChain(&error), epmd = %client, "EPMD does not come back, and none can be started");
            }
        }
    }

    /// The address of the EPMD that the node runs, if it runs one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &*self.0.lock() {
            State::Running(server) if server.is_running() => Some(server.local_addr()),
            _ => None,
        }
    }

    /// Hands over the EPMD that the node runs, if it runs one, and lets it run none any more.
    pub(super) fn end(&self) -> Option<ServerHandle> {
        match std::mem::replace(&mut *self.0.lock(), State::Over) {
            State::Running(server) => Some(server),
            State::Idle | State::Over => None,
        }
    }
}
