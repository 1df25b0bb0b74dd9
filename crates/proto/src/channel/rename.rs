//! The name by which a peer knows this node.

use bytes::Bytes;
use peerl_term::{Atom, AtomTable, Decoder, Limits, Term};

/// The name by which a peer knows this node, where it differs from the node's own: it replaces the node's own name in
/// the pids, ports and references that are sent to that peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The node's own name.
    pub own: Atom,
    /// The name on this connection.
    pub on_connection: Atom,
}

impl Rename {
    /// The terms of a payload that was encoded before its receiver was known, if they may contain pids or references
    /// of this node. Encoding them again puts in the name that the peer knows.
    pub(crate) fn terms(&self, payload: &Bytes) -> Option<Vec<Term>> {
        let name = self.own.as_bytes();
        if !payload.windows(name.len()).any(|window| window == name) {
            return None;
        }
        let (atoms, limits) = (AtomTable::empty(), Limits::default());
        let mut decoder = Decoder::new(payload, &atoms, &limits);
        let mut terms = Vec::new();
        while !decoder.is_empty() {
            terms.push(decoder.term().ok()?);
        }
        Some(terms)
    }
}
