//! The names of guests: nodes that call others, are called by nobody, and are found nowhere.
//!
//! A name is an atom at every node that has seen it, for ever. So guests do not make names up: there are 256 of them,
//! `remsh_peerl_0` to `remsh_peerl_255`, and the *peer* decides whether one of them is free there. It says `alive` or
//! `nok`, or closes the connection, while another guest has the name; then the next one is tried. A guest can so have
//! different names at different peers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::net::UnixDatagram;

use parking_lot::Mutex;
use peerl_proto::node_name::NodeName;

use crate::kernel::guest_name::{HostKind, STEM, name, number};
use crate::kernel::random::Random;

/// The names that a guest may have.
#[derive(Debug)]
pub(crate) struct GuestNames {
    /// The number of the node's own name: the one that is tried first.
    number: u8,
    /// From one number to the next one. It is odd, so that all are tried, and random, so that two guests that have the
    /// same number do not meet again.
    step: u8,
    /// What is tried first at peers where the node's own number was taken.
    numbers: Mutex<HashMap<NodeName, u8>>,
    /// Keeps other guests of this host from taking the same number.
    _reservation: Option<UnixDatagram>,
}

impl GuestNames {
    /// The most peers whose numbers are remembered.
    const REMEMBERED: usize = 1024;

    /// Reserves the first number that no other guest of this host has, from one on that depends on the host: so one guest
    /// after another, each with a short life, has the same name. Seeded numbers are those of a test, which is to depend on
    /// nothing else.
    pub(crate) fn reserve(random: &Random) -> Result<Self, getrandom::Error> {
        let [number, step, ..] = random.u64()?.to_le_bytes();
        if let Random::Seeded(_) = random {
            return Ok(Self::new(number, step, None));
        }
        let random = number;
        let first = host_hash().unwrap_or(random);
        let reserved = (0..=u8::MAX).map(|offset| first.wrapping_add(offset)).find_map(|number| {
            let reservation = reservation(number).ok()?;
            Some((number, reservation))
        });
        let (number, reservation) = match reserved {
            Some((number, reservation)) => (number, Some(reservation)),
            None => (first.wrapping_add(random % 8), None),
        };
        Ok(Self::new(number, step, reservation))
    }

    fn new(number: u8, step: u8, reservation: Option<UnixDatagram>) -> Self {
        Self { number, step: step | 1, numbers: Mutex::default(), _reservation: reservation }
    }

    /// The node's own name.
    pub(crate) fn own(&self, kind: HostKind) -> NodeName {
        name(self.number, kind)
    }

    /// The names to be tried at a peer, each once: first the one that was free there the last time.
    pub(crate) fn candidates(&self, peer: &NodeName) -> impl Iterator<Item = NodeName> + use<> {
        let first = self.numbers.lock().get(peer).copied().unwrap_or(self.number);
        let (kind, step) = (HostKind::of(peer), self.step);
        (0..=u8::MAX).map(move |count| name(first.wrapping_add(step.wrapping_mul(count)), kind))
    }

    /// Remembers that a name was free at a peer.
    pub(crate) fn was_free(&self, peer: &NodeName, name: &NodeName) {
        let Some(number) = number(name.as_str()) else { return };
        let mut numbers = self.numbers.lock();
        if number == self.number {
            numbers.remove(peer);
            return;
        }
        if numbers.len() >= Self::REMEMBERED {
            numbers.clear();
        }
        numbers.insert(peer.clone(), number);
    }
}

/// A socket that nobody uses, with a name that only one can have: in the abstract name space of Linux, which every
/// network namespace has for itself, and which leaves nothing behind.
#[cfg(target_os = "linux")]
fn reservation(number: u8) -> std::io::Result<UnixDatagram> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("{STEM}{number}"))?)
}

#[cfg(not(target_os = "linux"))]
fn reservation(_: u8) -> std::io::Result<UnixDatagram> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A number that is the same for all guests of this host, and likely another one on another host.
fn host_hash() -> Option<u8> {
    let host = std::fs::read("/proc/sys/kernel/hostname").ok()?;
    let network = std::fs::read_link("/proc/self/ns/net").ok();
    let mut hasher = DefaultHasher::new();
    (host, network).hash(&mut hasher);
    Some(hasher.finish().to_le_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::guest_name::is_guest;
    use crate::kernel::random::Random;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_tried_once() {
        let names = GuestNames::reserve(&Random::System).unwrap();
        for peer in ["a@10.0.0.1", "a@box"] {
            let peer = NodeName::new(peer).unwrap();
            let tried: Vec<NodeName> = names.candidates(&peer).collect();
            assert_eq!(tried[0], names.own(HostKind::of(&peer)));
            assert_eq!(tried.iter().collect::<HashSet<_>>().len(), 256);
            for name in &tried {
                assert!(is_guest(name.as_str()) && name.is_long() == peer.is_long(), "{name}");
            }
        }
    }

    #[test]
    fn a_name_that_was_free_is_the_next_first_one() {
        let names = GuestNames::reserve(&Random::System).unwrap();
        let (peer, other) = (NodeName::new("a@box").unwrap(), NodeName::new("b@box").unwrap());
        let third = names.candidates(&peer).nth(2).unwrap();
        names.was_free(&peer, &third);
        assert_eq!(names.candidates(&peer).next(), Some(third));
        assert_eq!(names.candidates(&other).next(), Some(names.own(HostKind::Short)));
    }

    #[test]
    fn guests_of_one_host_have_different_names() {
        let names: Vec<GuestNames> = (0..20).map(|_| GuestNames::reserve(&Random::System).unwrap()).collect();
        let numbers: HashSet<u8> = names.iter().map(|names| names.number).collect();
        assert_eq!(numbers.len(), names.len());
    }
}
