use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::LocalNode;
use peerl_proto::node_name::NodeName;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::attempts::Attempts;
use super::epmd::PortMapper;
use super::granted_names::{Grant, GrantError, GrantedNames};
use super::guest::GuestNames;
use super::lookups::Lookups;
use super::transport::Transport;
use crate::kernel::random::Random;
use crate::kernel::state::Kernel;

/// What all tasks share that connect to peers, or are connected.
pub(crate) struct Network {
    pub(crate) kernel: Arc<Kernel>,
    /// The names that the node may have at its peers, if it is a guest.
    pub(crate) guest: Option<GuestNames>,
    pub(crate) flags: DistributionFlags,
    pub(crate) cookie: Cookie,
    pub(crate) cookies: RwLock<HashMap<NodeName, Cookie>>,
    pub(crate) epmd: PortMapper,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) random: Random,
    pub(crate) net_ticktime: Duration,
    pub(crate) attempts: Attempts,
    granted_names: GrantedNames,
    pub(super) lookups: Lookups,
    /// The node listens no more; it drains, or has stopped.
    pub(crate) unlisted: CancellationToken,
    pub(crate) stopped: CancellationToken,
    /// A connection should be renewed.
    pub(crate) worn: Notify,
}

/// What a node's network is started with.
pub(crate) struct NetworkSettings {
    pub(crate) guest: Option<GuestNames>,
    pub(crate) flags: DistributionFlags,
    pub(crate) cookie: Cookie,
    pub(crate) epmd: PortMapper,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) random: Random,
    pub(crate) net_ticktime: Duration,
}

impl Network {
    pub(crate) fn new(kernel: Arc<Kernel>, settings: NetworkSettings) -> Self {
        Self {
            kernel,
            guest: settings.guest,
            flags: settings.flags,
            cookie: settings.cookie,
            cookies: RwLock::default(),
            epmd: settings.epmd,
            transport: settings.transport,
            random: settings.random,
            net_ticktime: settings.net_ticktime,
            attempts: Attempts::default(),
            granted_names: GrantedNames::default(),
            lookups: Lookups::default(),
            unlisted: CancellationToken::new(),
            stopped: CancellationToken::new(),
            worn: Notify::new(),
        }
    }

    /// This node in a handshake, under one of its names.
    pub(crate) fn local_node(&self, name: NodeName, cookie: Cookie) -> LocalNode {
        let mut local = LocalNode::new(name, self.kernel.identity.creation, self.flags, cookie);
        local.framing = self.transport.framing();
        local
    }

    /// The cookie for a peer.
    pub(crate) fn cookie_for(&self, peer: &NodeName) -> Cookie {
        self.cookies.read().get(peer).unwrap_or(&self.cookie).clone()
    }

    /// Gives a name to a peer that has none.
    pub(crate) fn grant_name(&self, host: &str) -> Result<Grant, GrantError> {
        loop {
            let grant = self.granted_names.grant(host, &self.random)?;
            // A node that had the name may have come back by it.
            if self.kernel.connections.get(grant.name().as_atom()).is_none() {
                return Ok(grant);
            }
            grant.forget();
        }
    }
}
