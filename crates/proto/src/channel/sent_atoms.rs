//! The sender's side of the atom cache, and the distribution header that feeds the peer's.

use peerl_term::Atom;

use super::header::NEW_ENTRY;

/// The atoms in the peer's cache, by slot, and the atoms of the message being written.
///
/// Only the first 256 of the peer's 2,048 slots are used: their numbers take one byte, and few connections carry more
/// atoms.
#[derive(Debug, Default)]
pub(super) struct SentAtoms {
    slots: Option<Box<Slots>>,
    /// The number of the message.
    message: u32,
    /// The way to evict next in a full set.
    turn: u8,
    /// The slots of the message's atoms, in the order of its header.
    used: Vec<u8>,
    /// The used slots that are new to the peer.
    new: Vec<NewEntry>,
}

#[derive(Debug)]
struct Slots {
    atoms: [Option<Atom>; SLOTS],
    /// The last message that used the slot, and its atom's position in that message's header.
    uses: [(u32, u8); SLOTS],
}

#[derive(Debug)]
struct NewEntry {
    position: u8,
    /// The previous atom of the slot.
    before: Option<Atom>,
}

const SLOTS: usize = 256;

/// The size of a set: an atom can be in any slot of its set.
const SET: u8 = 4;

impl SentAtoms {
    /// Begins a message.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.used.clear();
        self.new.clear();
        self.message = self.message.wrapping_add(1);
        if self.message == 0
            && let Some(slots) = &mut self.slots
        {
            // The counter wrapped: reset, so that no old number matches this message's.
            slots.uses = [(0, 0); SLOTS];
            self.message = 1;
        }
    }

    /// The position of an atom in the message's header; `None` if the atom must be written by name.
    #[inline(always)]
    pub(super) fn position(&mut self, atom: &Atom) -> Option<u8> {
        let home = home_of(atom);
        if let Some(slots) = &self.slots
            && slots.atoms[usize::from(home)].as_ref() == Some(atom)
        {
            return self.use_slot(home);
        }
        self.find_or_introduce(atom, home)
    }

    #[inline(always)]
    fn use_slot(&mut self, slot: u8) -> Option<u8> {
        let (message, position) = &mut self.slots.as_mut()?.uses[usize::from(slot)];
        if *message != self.message {
            if self.used.len() == MOST {
                return None;
            }
            // Less than `MOST`.
            (*message, *position) = (self.message, self.used.len() as u8);
            self.used.push(slot);
        }
        Some(*position)
    }

    #[inline(never)]
    fn find_or_introduce(&mut self, atom: &Atom, home: u8) -> Option<u8> {
        let atoms = self.slots.as_ref().map(|slots| &slots.atoms);
        let known =
            set_of(home).find(|slot| atoms.is_some_and(|atoms| atoms[usize::from(*slot)].as_ref() == Some(atom)));
        match known {
            Some(slot) => self.use_slot(slot),
            None => self.introduce(atom, home),
        }
    }

    /// Assigns the atom a slot of its set, unless other atoms of the message occupy all of them.
    #[cold]
    fn introduce(&mut self, atom: &Atom, home: u8) -> Option<u8> {
        if atom.as_bytes().len() > usize::from(u8::MAX) || self.used.len() == MOST {
            return None;
        }
        let slots =
            self.slots.get_or_insert_with(|| Box::new(Slots { atoms: [const { None }; SLOTS], uses: [(0, 0); SLOTS] }));
        let free = set_of(home).find(|slot| slots.atoms[usize::from(*slot)].is_none());
        self.turn = self.turn.wrapping_add(1);
        let slot = free.or_else(|| {
            set_of(home / SET * SET + self.turn % SET).find(|slot| slots.uses[usize::from(*slot)].0 != self.message)
        })?;
        let before = slots.atoms[usize::from(slot)].replace(atom.clone());
        let position = self.use_slot(slot)?;
        self.new.push(NewEntry { position, before });
        Some(position)
    }

    /// Appends the message's header from its atom count on.
    ///
    /// Erlang docs: *External Term Format*, section "Normal Distribution Header".
    pub(super) fn write_header(&self, out: &mut Vec<u8>) {
        let count = self.used.len();
        // At most 255.
        out.push(count as u8);
        let (Some(slots), 1..) = (&self.slots, count) else { return };
        // Four bits per atom, and four that say that no atom is longer than 255 bytes.
        let flags = out.len();
        out.resize(flags + count / 2 + 1, 0);
        let mut used = &self.used[..];
        for NewEntry { position, .. } in &self.new {
            out[flags + usize::from(position / 2)] |= NEW_ENTRY << (4 * (position % 2));
            let (known, rest) = used.split_at(usize::from(*position) + used.len() - count);
            out.extend_from_slice(known);
            if let [slot, rest @ ..] = rest
                && let Some(atom) = &slots.atoms[usize::from(*slot)]
            {
                // At most 255.
                out.extend_from_slice(&[*slot, atom.as_bytes().len() as u8]);
                out.extend_from_slice(atom.as_bytes());
                used = rest;
            }
        }
        out.extend_from_slice(used);
    }

    /// Reverts the cache to before the message, because the peer will not get it, or only after later ones.
    pub(super) fn take_back(&mut self) {
        let Some(slots) = &mut self.slots else { return };
        for NewEntry { position, before } in self.new.drain(..) {
            slots.atoms[usize::from(self.used[usize::from(position)])] = before;
        }
        self.used.clear();
    }
}

/// The most atoms in a header.
const MOST: usize = 255;

/// The first slot to search for an atom.
#[inline(always)]
fn home_of(atom: &Atom) -> u8 {
    // The upper bits are better distributed.
    (atom.fingerprint() >> 56) as u8
}

/// The slots of a set, starting at one of them.
fn set_of(slot: u8) -> impl Iterator<Item = u8> {
    let first = slot / SET * SET;
    (0..SET).map(move |step| first + (slot % SET + step) % SET)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::budget::Share;
    use crate::channel::received_atoms::ReceivedAtoms;
    use crate::test_support::hex;

    fn header(atoms: &mut SentAtoms, names: &[&str]) -> (Vec<Option<u8>>, Vec<u8>) {
        atoms.begin();
        let positions = names.iter().map(|name| atoms.position(&Atom::new(name).unwrap())).collect();
        let mut out = Vec::new();
        atoms.write_header(&mut out);
        (positions, out)
    }

    #[test]
    fn an_atom_is_sent_once() {
        let mut atoms = SentAtoms::default();
        let (positions, first) = header(&mut atoms, &["ok", "error", "ok"]);
        assert_eq!(positions, [Some(0), Some(1), Some(0)]);
        let (ok, error) = (first[3], first[7]);
        assert_eq!(first, [&hex("02 8800")[..], &[ok, 2], b"ok", &[error, 5], b"error"].concat());
        let (positions, second) = header(&mut atoms, &["error", "ok"]);
        assert_eq!((positions, second), (vec![Some(0), Some(1)], vec![2, 0, 0, error, ok]));
        let (_, third) = header(&mut atoms, &["ok", "a"]);
        assert_eq!(third[..4], [2, 0x80, 0, ok]);
        assert_eq!(header(&mut atoms, &[]).1, [0]);
    }

    #[test]
    fn what_the_peer_did_not_get_is_sent_again() {
        let mut atoms = SentAtoms::default();
        let (_, first) = header(&mut atoms, &["ok"]);
        let (_, with_new) = header(&mut atoms, &["ok", "error"]);
        atoms.take_back();
        assert_eq!(header(&mut atoms, &["ok", "error"]).1, with_new);
        atoms.take_back();
        let (_, again) = header(&mut atoms, &["ok"]);
        assert_eq!(again, [1, 0, first[2]]);
    }

    #[test]
    fn numbers_of_messages_begin_anew() {
        let mut atoms = SentAtoms::default();
        let (_, first) = header(&mut atoms, &["ok"]);
        atoms.message = u32::MAX;
        for _ in 0..3 {
            assert_eq!(header(&mut atoms, &["ok"]), (vec![Some(0)], vec![1, 0, first[2]]));
        }
    }

    #[test]
    fn long_names_and_the_256th_atom_are_written_out() {
        let mut atoms = SentAtoms::default();
        assert_eq!(header(&mut atoms, &["€".repeat(90).as_str()]), (vec![None], vec![0]));
        let names: Vec<String> = (0..1000).map(|number| format!("atom_{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (positions, bytes) = header(&mut atoms, &names);
        let mut expected = 0;
        for position in positions.into_iter().flatten() {
            assert_eq!(usize::from(position), expected);
            expected += 1;
        }
        assert!(expected > 100 && usize::from(bytes[0]) == expected, "{expected}");
    }

    #[test]
    fn the_peer_reads_what_was_meant() {
        let (mut sent, mut received) = (SentAtoms::default(), ReceivedAtoms::with_memory(Arc::new(Share::unlimited())));
        for message in 0..5_000_usize {
            // A few atoms are frequent, most are rare: all slots are used and reused.
            let names: Vec<String> = (0..message % 7)
                .map(|index| format!("atom_{}", if index % 2 == 0 { index } else { message * index % 1_999 }))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (positions, bytes) = header(&mut sent, &names);
            if message % 11 == 0 {
                sent.take_back();
                continue;
            }
            let (table, length) = received.read_header(&bytes).unwrap();
            assert_eq!(length, bytes.len());
            for (name, position) in names.iter().zip(positions) {
                let Some(position) = position else { continue };
                assert_eq!(table.get(position).unwrap(), name);
            }
        }
    }

    #[test]
    fn an_idle_cache_is_small() {
        assert!(size_of::<SentAtoms>() <= 64);
        assert_eq!(size_of::<Slots>(), 8 << 10);
    }
}
