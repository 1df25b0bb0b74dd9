use std::collections::HashSet;

use peerl_node::{Atom, Pid, Term};

/// The name of the scope in which the workers of all PubSubs have their groups.
pub const SCOPE: &str = "Elixir.Phoenix.PubSub";

/// The groups in which the workers of one PubSub are.
///
/// The first group has the name of the adapter; with a pool of four there are `…_2`, `…_3` and `…_4` beside it. Version 2.1.0
/// of phoenix_pubsub calls the first one `…_1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pubsub: Atom,
    adapter: Atom,
}

/// What is named is no PubSub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a PubSub, such as MyApp.PubSub or :my_pubsub")]
pub struct PoolNameError(String);

impl Pool {
    const ELIXIR: &str = "Elixir.";

    /// The most groups of a pool: others may join groups with any number.
    const MOST_GROUPS: u32 = 1024;

    /// The groups of a PubSub: `MyApp.PubSub`, or `:my_pubsub` if its name is no module.
    ///
    /// # Errors
    /// If that is no name, or one that is too long.
    pub fn of(name: &str) -> Result<Self, PoolNameError> {
        let wrong = || PoolNameError(name.to_owned());
        let is_module = name.strip_prefix(Self::ELIXIR).unwrap_or(name).starts_with(|c: char| c.is_ascii_uppercase());
        let (pubsub, base) = match name.strip_prefix(':') {
            Some(atom) => (atom.to_owned(), atom.strip_prefix(Self::ELIXIR).unwrap_or(atom)),
            None if is_module => {
                let base = name.strip_prefix(Self::ELIXIR).unwrap_or(name);
                (format!("{}{base}", Self::ELIXIR), base)
            }
            None => return Err(wrong()),
        };
        if base.is_empty() {
            return Err(wrong());
        }
        let adapter = Atom::new(&format!("{}{base}.Adapter", Self::ELIXIR)).map_err(|_| wrong())?;
        Ok(Self { pubsub: Atom::new(&pubsub).map_err(|_| wrong())?, adapter })
    }

    /// The name of the PubSub, as an atom.
    pub fn pubsub(&self) -> &Atom {
        &self.pubsub
    }

    /// The name of the first group.
    pub fn first(&self) -> &Atom {
        &self.adapter
    }

    /// Whether a group is one of this pool.
    pub fn contains(&self, group: &Term) -> bool {
        self.number(group).is_some()
    }

    /// One worker for each node: the one of the first group in which the node has any.
    pub fn workers<'a>(&self, groups: impl IntoIterator<Item = (&'a Term, &'a [Pid])>) -> Vec<Pid> {
        let numbered = groups.into_iter().filter_map(|(group, pids)| Some((self.number(group)?, pids)));
        let mut numbered: Vec<(u32, &[Pid])> = numbered.collect();
        numbered.sort_by_key(|(number, _)| *number);
        let mut nodes = HashSet::new();
        let pids = numbered.into_iter().flat_map(|(_, pids)| pids);
        pids.filter(|pid| nodes.insert(pid.node.clone())).cloned().collect()
    }

    /// Which group of the pool it is: 0 is the first.
    fn number(&self, group: &Term) -> Option<u32> {
        let name = group.as_atom()?.as_str();
        match name.strip_prefix(self.adapter.as_str())? {
            "" => Some(0),
            rest => {
                let number: u32 = rest.strip_prefix('_')?.parse().ok()?;
                let is_one = number <= Self::MOST_GROUPS && rest[1..] == number.to_string();
                is_one.then_some(number)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules_and_other_atoms() {
        let names = |name| Pool::of(name).map(|pool| [pool.pubsub, pool.adapter].map(|name| name.as_str().to_owned()));
        for name in ["MyApp.PubSub", "Elixir.MyApp.PubSub", ":Elixir.MyApp.PubSub"] {
            assert_eq!(names(name).unwrap(), ["Elixir.MyApp.PubSub", "Elixir.MyApp.PubSub.Adapter"]);
        }
        assert_eq!(names(":my_pubsub").unwrap(), ["my_pubsub", "Elixir.my_pubsub.Adapter"]);
        for wrong in ["", ":", "my_pubsub", "Elixir.", &"A".repeat(250)] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_worker_of_each_node() {
        let pool = Pool::of("P").unwrap();
        let pid = |node, id| Pid { node: Atom::from_static(node), id, serial: 0, creation: 1 };
        let group = |name| Term::Atom(Atom::from_static(name));
        let groups = [
            (group("Elixir.P.Adapter_2"), vec![pid("a@h", 2), pid("b@h", 2), pid("c@h", 2)]),
            (group("Elixir.P.Adapter"), vec![pid("a@h", 1), pid("b@h", 1)]),
            (group("Elixir.P.Adapter_1"), vec![pid("d@h", 1)]),
            (group("Elixir.P.Adapter2"), vec![pid("e@h", 1)]),
            (group("Elixir.Q.Adapter"), vec![pid("f@h", 1)]),
            (Term::from("Elixir.P.Adapter"), vec![pid("g@h", 1)]),
        ];
        let workers = pool.workers(groups.iter().map(|(group, pids)| (group, &pids[..])));
        assert_eq!(workers, [pid("a@h", 1), pid("b@h", 1), pid("d@h", 1), pid("c@h", 2)]);
    }

    /// So that a peer that joins groups of any number leaves the others'.
    #[test]
    fn a_pool_has_a_bound_and_each_number_one_name() {
        let pool = Pool::of("P").unwrap();
        let contains =
            |suffix: &str| pool.contains(&Term::Atom(Atom::new(&format!("Elixir.P.Adapter{suffix}")).unwrap()));
        assert!(["", "_1", "_2", "_1024"].into_iter().all(contains));
        assert!(!["_", "_1025", "_01", "_+1", "_4294967296", "_x", "2"].into_iter().any(contains));
    }
}
