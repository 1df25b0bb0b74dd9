//! The names that this node gives to nodes that come without one (`erl -sname undefined`, and the shell of `erl -remsh`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use peerl_proto::node_name::{NodeName, NodeNameError};

use crate::kernel::random::Random;

/// The names that were given and are free again, for each host.
///
/// A name is an atom at each node that the named one connects with, so names are used again. They are random, since
/// other nodes give names on the same host, too.
#[derive(Debug, Clone, Default)]
pub(crate) struct GrantedNames(Arc<Mutex<Pool>>);

#[derive(Debug, Default)]
struct Pool {
    free: HashMap<String, Vec<(NodeName, u32)>>,
    count: usize,
}

/// A name that was given. When it is dropped, the name is free again.
#[derive(Debug)]
pub(crate) struct Grant {
    names: GrantedNames,
    name: NodeName,
    creation: u32,
    /// Whether a node has had this name. A node that failed to authenticate has announced it nowhere.
    is_known: bool,
}

impl GrantedNames {
    /// The most names that are kept to be used again.
    const MOST: usize = 4096;

    /// Gives a name on a host: one that is free again, or a new one of 64 random bits in base 36.
    pub(crate) fn grant(&self, host: &str, random: &Random) -> Result<Grant, GrantError> {
        let (name, creation, is_known) = match self.take(host) {
            Some((name, creation)) => (name, creation, true),
            None => {
                let name = base36(random.u64()?);
                (NodeName::new(&format!("{name}@{host}"))?, random.creation()?, false)
            }
        };
        Ok(Grant { names: self.clone(), name, creation, is_known })
    }

    fn take(&self, host: &str) -> Option<(NodeName, u32)> {
        let mut pool = self.0.lock();
        let free = pool.free.get_mut(host)?;
        let taken = free.pop();
        if free.is_empty() {
            pool.free.remove(host);
        }
        pool.count -= usize::from(taken.is_some());
        taken
    }
}

/// Why there is no name for a node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error(transparent)]
    Name(#[from] NodeNameError),
    #[error(transparent)]
    Random(#[from] getrandom::Error),
}

impl Grant {
    pub(crate) fn name(&self) -> &NodeName {
        &self.name
    }

    pub(crate) fn creation(&self) -> u32 {
        self.creation
    }

    /// The node has proved itself.
    pub(crate) fn is_used(&mut self) {
        self.is_known = true;
    }

    /// Another node has the name, which is so never given again.
    pub(crate) fn forget(mut self) {
        self.is_known = false;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut pool = self.names.0.lock();
        if self.is_known && pool.count < GrantedNames::MOST {
            // Pids of the node that had the name are none of the next one's.
            let next = (self.creation.wrapping_add(1)).max(4);
            pool.free.entry(self.name.host().to_owned()).or_default().push((self.name.clone(), next));
            pool.count += 1;
        }
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((number % 36) as u32, 36).map(|digit| digit.to_ascii_uppercase()));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(names: &GrantedNames, host: &str) -> Grant {
        let mut grant = names.grant(host, &Random::System).unwrap();
        grant.is_used();
        grant
    }

    #[test]
    fn a_name_is_given_again_when_it_is_free() {
        let names = GrantedNames::default();
        let (first, second) = (used(&names, "h"), used(&names, "h"));
        assert_ne!(first.name(), second.name());
        let (name, creation) = (first.name().clone(), first.creation());
        drop(first);
        assert_ne!(names.grant("other", &Random::System).unwrap().name(), &name);
        let again = names.grant("h", &Random::System).unwrap();
        assert_eq!((again.name(), again.creation()), (&name, creation.wrapping_add(1).max(4)));
        // It is kept, also if the next node fails to prove itself.
        drop(again);
        assert_eq!(names.grant("h", &Random::System).unwrap().name(), &name);
        assert_ne!(names.grant("h", &Random::System).unwrap().name(), second.name());
    }

    #[test]
    fn names_that_nobody_has_proved_himself_with_are_not_kept() {
        let names = GrantedNames::default();
        drop(names.grant("h", &Random::System).unwrap());
        assert!(names.0.lock().free.is_empty());
        drop((0..GrantedNames::MOST + 10).map(|_| used(&names, "h")).collect::<Vec<_>>());
        assert_eq!(names.0.lock().free["h"].len(), GrantedNames::MOST);
    }

    #[test]
    fn base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(36 * 36 - 1), "ZZ");
        assert_eq!(base36(u64::MAX), "3W5E11264SGSF");
    }
}
