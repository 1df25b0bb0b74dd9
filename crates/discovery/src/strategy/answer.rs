//! A strategy's answer: the peers, and the meaning of absence.

use std::collections::BTreeSet;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::Peers;

/// What the absence of a node from an answer means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// Little: the answer may list a varying part of the nodes, as with DNS.
    #[default]
    Sample,
    /// The answer lists all nodes; an absent one is not a member.
    Whole,
}

#[cfg(feature = "dns")]
impl Coverage {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The answer of a strategy. It dereferences to the set of its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The found nodes.
    pub peers: Peers,
    /// What the absence of a node means.
    pub coverage: Coverage,
    /// Nodes, not among the peers, that are explicitly ended: their machine stops or drains.
    pub ended: Peers,
    /// Hosts that did not answer; nothing is known of their nodes.
    pub silent_hosts: BTreeSet<String>,
    /// The question and its destination, for the message that no node was found: `A and AAAA records of app.internal.
    /// from 10.0.0.2:53`.
    pub asked: String,
}

impl Answer {
    /// An answer that lists all nodes.
    pub fn whole(peers: Peers) -> Self {
        Self { peers, coverage: Coverage::Whole, ..Self::default() }
    }

    /// An answer that may list a part of the nodes.
    pub fn sample(peers: Peers) -> Self {
        Self { peers, ..Self::default() }
    }

    /// Sets what the absence of a node means.
    pub fn with_coverage(self, coverage: Coverage) -> Self {
        Self { coverage, ..self }
    }

    /// Adds ended nodes. One that is also a peer stays a peer: its name is in use again.
    pub fn with_ended(mut self, ended: Peers) -> Self {
        self.ended.extend(ended);
        self.ended.retain(|node| !self.peers.contains(node));
        self
    }

    /// Adds hosts that did not answer.
    pub fn with_silent_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.silent_hosts.extend(hosts);
        self
    }

    /// Sets the question and its destination.
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
