//! Hash tables give memory back when few of their entries are left. When a large one grows, that takes long.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Gives memory of a table back that has room for eight times its entries. A peer that fills one table after the other would
/// keep the memory of all otherwise.
pub(crate) fn shrink<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    const SMALL: usize = 64;
    if table.capacity() > SMALL && table.len() < table.capacity() / 8 {
        table.shrink_to(2 * table.len());
    }
}

/// Whether the next entry makes a table grow that is so large that this takes long.
pub(crate) fn grows_long<K, V, S>(table: &HashMap<K, V, S>) -> bool {
    const MANY: usize = 1 << 15;
    table.len() >= MANY && table.len() == table.capacity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_emptied_keeps_little() {
        let mut table: HashMap<usize, usize> = (0..10_000).map(|key| (key, key)).collect();
        for key in 0..9990 {
            table.remove(&key);
            shrink(&mut table);
            assert!(table.capacity() <= 64.max(16 * table.len()));
        }
        assert_eq!(table.len(), 10);
    }
}
