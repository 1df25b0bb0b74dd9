use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Pid, Reference};

use crate::kernel::guest_name;

/// The node's name and creation, and the counters from which it makes unique pids and references.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: NodeName,
    pub(crate) atom: Atom,
    pub(crate) creation: u32,
    /// Whether it has other names at some peers.
    is_guest: bool,
    next_pid: AtomicU64,
    next_reference: AtomicU64,
}

impl Identity {
    pub(crate) fn new(name: NodeName, atom: Atom, creation: u32) -> Self {
        let is_guest = guest_name::is_guest(name.as_str());
        Self { name, atom, creation, is_guest, next_pid: AtomicU64::new(1), next_reference: AtomicU64::new(1) }
    }

    /// Whether this is a name of this node. For a guest, every guest name is: guests never connect to each other, and the
    /// creation tells their pids apart.
    pub(crate) fn is_own(&self, node: &Atom) -> bool {
        *node == self.atom || self.is_guest && guest_name::is_guest(node)
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
            [low, middle, high] if reference.creation() == self.creation && self.is_own(reference.node()) => {
                Some(u64::from(low) | u64::from(middle) << 18 | u64::from(high) << 50)
            }
            _ => None,
        }
    }

    /// A reference of this node in its original form: a peer may know a guest by another name.
    pub(crate) fn own_reference<'a>(&self, reference: &'a Reference) -> Cow<'a, Reference> {
        match self.reference_number(reference) {
            Some(number) if self.is_guest => Cow::Owned(self.reference(number)),
            _ => Cow::Borrowed(reference),
        }
    }

    /// Whether a pid is one of this node, in this incarnation.
    pub(crate) fn is_local(&self, pid: &Pid) -> bool {
        pid.creation == self.creation && self.is_own(&pid.node)
    }

    /// Whether two pids denote the same process of this node, under whatever name a peer knows the node.
    pub(crate) fn is_same(&self, pid: &Pid, own: &Pid) -> bool {
        pid == own || self.is_guest && self.is_local(pid) && pid_number(pid) == pid_number(own)
    }
}

/// The key of a pid of this node.
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

    #[test]
    fn a_guest_knows_itself_by_the_names_of_other_connections() {
        let of = |node: &'static str, creation| {
            Identity::new(NodeName::new(node).unwrap(), Atom::from_static(node), creation)
        };
        let guest = of("remsh_peerl_1@peerl..invalid", 7);
        let pid = guest.next_pid();
        let mut elsewhere = pid.clone();
        elsewhere.node = Atom::from_static("remsh_peerl_2@peerl..invalid");
        assert!(guest.is_local(&elsewhere) && guest.is_same(&elsewhere, &pid));
        assert!(!guest.is_same(&guest.next_pid(), &pid));
        let reference = guest.next_reference();
        let words = reference.words().to_vec();
        let renamed = Reference::new(elsewhere.node.clone(), 7, &words).unwrap();
        assert_eq!(*guest.own_reference(&renamed), reference);
        elsewhere.creation = 8;
        assert!(!guest.is_local(&elsewhere));
        elsewhere.creation = 7;
        assert!(!of("a@h", 7).is_local(&elsewhere));
    }
}
