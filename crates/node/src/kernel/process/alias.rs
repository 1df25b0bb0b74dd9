use rustc_hash::FxHashSet;

/// The aliases of one process, by the numbers of their references. The numbers are made by this node: a fast hash is safe.
#[derive(Debug, Default)]
pub(crate) struct Aliases(FxHashSet<u64>);

impl Aliases {
    pub(crate) fn add(&mut self, number: u64) {
        self.0.insert(number);
    }

    pub(crate) fn remove(&mut self, number: u64) -> bool {
        self.0.remove(&number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
