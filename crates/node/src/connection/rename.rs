//! Payloads for a peer that knows this node by another name than its own.

use bytes::Bytes;
use peerl_proto::channel::Rename;
use peerl_term::{AtomTable, Decoder, Limits, Term};

/// The terms of a payload that was encoded before it was known for whom, if they may have pids or references of this node;
/// encoded anew, these get the name that the peer knows.
pub(super) fn renamed_terms(rename: &Rename, payload: &Bytes) -> Option<Vec<Term>> {
    let name = rename.own.as_bytes();
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
