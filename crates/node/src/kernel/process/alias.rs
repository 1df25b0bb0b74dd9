use peerl_proto::control::Priority;
use rustc_hash::FxHashMap;

/// The aliases of one process, by the numbers of their references, and with what priority signals may come by each. The numbers
/// are made by this node: a fast hash is safe.
#[derive(Debug, Default)]
pub(crate) struct Aliases(FxHashMap<u64, Priority>);

impl Aliases {
    pub(crate) fn add(&mut self, number: u64, allowed: Priority) {
        self.0.insert(number, allowed);
    }

    pub(crate) fn remove(&mut self, number: u64) -> bool {
        self.0.remove(&number).is_some()
    }

    /// With what priority a signal comes that was sent with this one.
    pub(crate) fn priority(&self, number: u64, sent: Priority) -> Priority {
        match self.0.get(&number) {
            Some(Priority::High) => sent,
            _ => Priority::Ordinary,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
