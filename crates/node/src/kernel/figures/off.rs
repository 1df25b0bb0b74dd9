//! Counts nothing.

use peerl_term::Atom;

use super::Dropped;
use crate::kernel::exports::Outcome;

#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {}

impl ConnectionCounts {
    #[inline]
    pub(crate) fn received(&self) {}

    #[inline]
    pub(crate) fn sent(&self, _: usize) {}

    #[inline]
    pub(crate) fn dropped(&self, _: Dropped) {}
}

#[derive(Default)]
pub(crate) struct OutcomeCounts {}

impl OutcomeCounts {
    #[inline]
    pub(crate) fn note(&self, _: &Outcome) {}

    #[inline]
    pub(crate) fn ended(&self) {}
}

#[derive(Debug, Default)]
pub(crate) struct FormerPeers {}

impl FormerPeers {
    pub(crate) fn add(&mut self, _: &Atom, _: crate::kernel::transferred::Transferred, _: &ConnectionCounts) {}
}
