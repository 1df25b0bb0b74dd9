//! What a strategy answers: who the peers are, and what it says of the nodes that it does not name.

use std::collections::BTreeSet;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::Peers;

/// What the absence of a node from an answer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// Little: the answer may name a part of the nodes, another one each time, as DNS does.
    #[default]
    Sample,
    /// The answer names all nodes; one that it does not name is no member.
    Whole,
}

#[cfg(feature = "dns")]
impl Coverage {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The answer of a strategy. It can be used as the set of its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The nodes that the strategy found.
    pub peers: Peers,
    /// What the absence of a node says.
    pub coverage: Coverage,
    /// Nodes that are explicitly at their end, and not among the peers: their machine stops, or drains.
    pub ended: Peers,
    /// Hosts that could not be asked, so that the answer says nothing of their nodes.
    pub silent_hosts: BTreeSet<String>,
    /// What was asked, and where, for the message that nobody was found: `A and AAAA records of app.internal. from 10.0.0.2:53`.
    pub asked: String,
}

impl Answer {
    /// An answer that names all nodes.
    pub fn whole(peers: Peers) -> Self {
        Self { peers, coverage: Coverage::Whole, ..Self::default() }
    }

    /// An answer that may name a part of the nodes.
    pub fn sample(peers: Peers) -> Self {
        Self { peers, ..Self::default() }
    }

    /// Sets what the absence of a node says.
    pub fn with_coverage(self, coverage: Coverage) -> Self {
        Self { coverage, ..self }
    }

    /// Adds nodes that are at their end. One that is among the peers as well is a peer: its name is used again.
    pub fn with_ended(mut self, ended: Peers) -> Self {
        self.ended.extend(ended);
        self.ended.retain(|node| !self.peers.contains(node));
        self
    }

    /// Adds hosts that could not be asked.
    pub fn with_silent_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.silent_hosts.extend(hosts);
        self
    }

    /// Says what was asked, and where.
    pub fn with_asked(self, asked: impl Into<String>) -> Self {
        Self { asked: asked.into(), ..self }
    }
}

impl Deref for Answer {
    type Target = Peers;

    fn deref(&self) -> &Peers {
        &self.peers
    }
}

impl PartialEq<Peers> for Answer {
    fn eq(&self, peers: &Peers) -> bool {
        self.peers == *peers
    }
}
