/// The aliases of one process, by the numbers of their references.
#[derive(Debug, Default)]
pub(crate) struct Aliases(Vec<u64>);

impl Aliases {
    pub(crate) fn add(&mut self, number: u64) {
        self.0.push(number);
    }

    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let place = self.0.iter().position(|other| *other == number);
        place.map(|place| self.0.swap_remove(place)).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }
}
