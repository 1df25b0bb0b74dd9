use std::sync::atomic::{AtomicU64, Ordering};

use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Pid, Reference};

/// Who this node is: its name and incarnation, from which it makes pids and references that nobody else makes.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: NodeName,
    pub(crate) atom: Atom,
    pub(crate) creation: u32,
    next_pid: AtomicU64,
    next_reference: AtomicU64,
}

impl Identity {
    pub(crate) fn new(name: NodeName, atom: Atom, creation: u32) -> Self {
        Self { name, atom, creation, next_pid: AtomicU64::new(1), next_reference: AtomicU64::new(1) }
    }

    /// A pid that was not given before. The number has 28 bits, as on the BEAM, and the serial counts on.
    pub(crate) fn next_pid(&self) -> Pid {
        let number = self.next_pid.fetch_add(1, Ordering::Relaxed);
        let (id, serial) = ((number & 0x0fff_ffff) as u32, (number >> 28) as u32);
        Pid { node: self.atom.clone(), id, serial, creation: self.creation }
    }

    /// The number of a reference that was not given before.
    pub(crate) fn next_reference_number(&self) -> u64 {
        self.next_reference.fetch_add(1, Ordering::Relaxed)
    }

    /// A reference that was not given before.
    pub(crate) fn next_reference(&self) -> Reference {
        self.reference(self.next_reference_number())
    }

    /// The reference of a number. Of its three words the first has 18 bits, which every OTP release takes.
    pub(crate) fn reference(&self, number: u64) -> Reference {
        let words = [(number & 0x3_ffff) as u32, (number >> 18) as u32, (number >> 50) as u32];
        Reference::new(self.atom.clone(), self.creation, &words).unwrap_or_else(|_| unreachable!("three words"))
    }

    /// The number of a reference that this node has made.
    pub(crate) fn reference_number(&self, reference: &Reference) -> Option<u64> {
        match *reference.words() {
            [low, middle, high] if reference.creation() == self.creation && *reference.node() == self.atom => {
                Some(u64::from(low) | u64::from(middle) << 18 | u64::from(high) << 50)
            }
            _ => None,
        }
    }

    /// Says whether a pid is one of this node, in this incarnation.
    pub(crate) fn is_local(&self, pid: &Pid) -> bool {
        pid.creation == self.creation && pid.node == self.atom
    }
}

/// What a pid of this node is found by.
pub(crate) fn pid_number(pid: &Pid) -> u64 {
    u64::from(pid.serial) << 32 | u64::from(pid.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_give_their_numbers_back() {
        let identity = Identity::new(NodeName::new("a@h").unwrap(), Atom::from_static("a@h"), 7);
        for number in [0, 1, 1 << 17, 1 << 40, u64::MAX] {
            let reference = identity.reference(number);
            assert!(reference.words()[0] < 1 << 18);
            assert_eq!(identity.reference_number(&reference), Some(number));
        }
        let foreign = Reference::new(Atom::from_static("b@h"), 7, &[1, 2, 3]).unwrap();
        assert_eq!(identity.reference_number(&foreign), None);
    }
}
