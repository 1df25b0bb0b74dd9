//! The receiver's side of the atom cache, and the distribution header that feeds it.

use std::sync::Arc;

use peerl_term::{Atom, AtomTable};

use super::ChannelError;
use super::header::{LONG_ATOMS, NEW_ENTRY};
use crate::budget::{Lease, Share};

/// The atoms of a peer's headers, by cache slot.
///
/// An idle connection has none; memory grows with the slots in use, to about 2 MiB if all have the longest names. The connection
/// pays for the first 16 KiB of that, the peer's share for the rest.
#[derive(Debug)]
pub(super) struct ReceivedAtoms {
    /// For each slot, the index of its atom in `atoms`, plus one.
    places: Option<Box<[u16; SLOTS]>>,
    atoms: Vec<Atom>,
    /// The last headers without new atoms. A peer repeats one header, or alternates between two; while a header and
    /// the cache are unchanged, so is its table.
    last: [Option<KnownHeader>; 2],
    /// The index of the one to replace next.
    oldest: usize,
    scratch: Vec<Atom>,
    /// The bytes of the atoms.
    bytes: usize,
    held: Lease,
}

/// A header and its atoms.
#[derive(Debug)]
struct KnownHeader {
    header: Box<[u8]>,
    table: AtomTable,
}

const SLOTS: usize = 2048;

impl ReceivedAtoms {
    /// The bytes that the connection pays for.
    const USUAL: usize = 16 << 10;

    /// How much is taken of the share at a time.
    const STEP: usize = 4 << 10;

    /// No atoms yet.
    pub(super) fn with_memory(memory: Arc<Share>) -> Self {
        Self {
            places: None,
            atoms: Vec::new(),
            last: [None, None],
            oldest: 0,
            scratch: Vec::new(),
            bytes: 0,
            held: Lease::nothing(memory),
        }
    }

    /// Reads the header at the start of `bytes`, from its atom count on. Returns its atoms and its length.
    ///
    /// Erlang docs: *External Term Format*, section "Normal Distribution Header".
    pub(super) fn read_header(&mut self, bytes: &[u8]) -> Result<(AtomTable, usize), ChannelError> {
        let &count = bytes.first().ok_or(ChannelError::Header)?;
        if count == 0 {
            return Ok((AtomTable::empty(), 1));
        }
        for KnownHeader { header, table } in self.last.iter().flatten() {
            if bytes.starts_with(header) {
                return Ok((table.clone(), header.len()));
            }
        }
        let count = usize::from(count);
        let flags = bytes.get(1..count / 2 + 2).ok_or(ChannelError::Header)?;
        let nibble = |i: usize| flags[i / 2] >> (4 * (i % 2)) & 0xf;
        let long_atoms = nibble(count) & LONG_ATOMS != 0;
        let mut rest = Rest(&bytes[1 + flags.len()..]);
        let mut brings_new = false;
        self.scratch.clear();
        for i in 0..count {
            let slot = u16::from(nibble(i) & 7) << 8 | u16::from(rest.u8()?);
            let atom = if nibble(i) & NEW_ENTRY == 0 {
                self.get(slot).ok_or(ChannelError::EmptySlot { slot })?.clone()
            } else {
                brings_new = true;
                let length = if long_atoms { rest.u16()?.into() } else { rest.u8()?.into() };
                let name = std::str::from_utf8(rest.take(length)?).map_err(|_| ChannelError::Header)?;
                let atom = Atom::new(name).map_err(|_| ChannelError::Header)?;
                self.put(slot, atom.clone());
                atom
            };
            self.scratch.push(atom);
        }
        let length = bytes.len() - rest.0.len();
        let table: AtomTable = self.scratch.drain(..).collect();
        if brings_new {
            self.last = [None, None];
        } else {
            self.last[self.oldest] = Some(KnownHeader { header: bytes[..length].into(), table: table.clone() });
            self.oldest = 1 - self.oldest;
        }
        Ok((table, length))
    }

    fn get(&self, slot: u16) -> Option<&Atom> {
        let place = self.places.as_ref()?[usize::from(slot)];
        self.atoms.get(usize::from(place).checked_sub(1)?)
    }

    fn put(&mut self, slot: u16, atom: Atom) {
        self.bytes += cost(&atom);
        let places = self.places.get_or_insert_with(|| Box::new([0; SLOTS]));
        let place = &mut places[usize::from(slot)];
        match usize::from(*place).checked_sub(1) {
            Some(place) => self.bytes -= cost(&std::mem::replace(&mut self.atoms[place], atom)),
            None => {
                self.atoms.push(atom);
                // At most 2,048.
                *place = self.atoms.len() as u16;
            }
        }
        let more = self.bytes.saturating_sub(Self::USUAL + self.held.amount());
        if more > 0 && !self.held.grow(more.next_multiple_of(Self::STEP)) {
            self.held.share().exceed();
        }
    }
}

/// About how many bytes a cached atom takes.
fn cost(atom: &Atom) -> usize {
    48 + atom.as_str().len()
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], ChannelError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ChannelError::Header)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, ChannelError> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, ChannelError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::test_support::hex;

    fn atoms() -> ReceivedAtoms {
        ReceivedAtoms::with_memory(Arc::new(Share::unlimited()))
    }

    fn names(table: &AtomTable) -> Vec<String> {
        (0..=255).map_while(|i| table.get(i).map(|atom| atom.as_str().to_owned())).collect()
    }

    /// The first headers of a connection of OTP 25 to OTP 25.
    #[test]
    fn captured_headers() {
        let mut cache = atoms();
        let first = hex("04 8fa900 420b61403132372e302e302e31 0500 6c0473696e6b ab046d61726b 68");
        let (table, length) = cache.read_header(&first).unwrap();
        assert_eq!(names(&table), ["a@127.0.0.1", "", "sink", "mark"]);
        assert_eq!(length, first.len() - 1);

        // The second header with a new entry in the middle, then one without new entries, twice.
        let second = hex("03 b701 42e1027363 6c 68");
        let (table, length) = cache.read_header(&second).unwrap();
        assert_eq!(names(&table), ["a@127.0.0.1", "sc", "sink"]);
        assert_eq!(length, second.len() - 1);
        for _ in 0..2 {
            let (table, length) = cache.read_header(&hex("04 072100 42056cab 68")).unwrap();
            assert_eq!(names(&table), ["a@127.0.0.1", "", "sink", "mark"]);
            assert_eq!(length, 8);
        }
    }

    #[test]
    fn a_new_atom_in_a_used_slot() {
        let mut cache = atoms();
        let _ = cache.read_header(&hex("01 08 05 01 61")).unwrap();
        let same = hex("01 00 05");
        assert_eq!(names(&cache.read_header(&same).unwrap().0), ["a"]);
        let _ = cache.read_header(&hex("01 08 05 01 62")).unwrap();
        assert_eq!(names(&cache.read_header(&same).unwrap().0), ["b"]);
    }

    #[test]
    fn long_atoms() {
        let mut cache = atoms();
        let mut header = hex("01 18 05 02ee");
        header.extend_from_slice("€".repeat(250).as_bytes());
        let (table, length) = cache.read_header(&header).unwrap();
        assert_eq!(table.get(0).unwrap().chars().count(), 250);
        assert_eq!(length, header.len());
    }

    #[test]
    fn refusals() {
        let read = |header: &str| atoms().read_header(&hex(header)).map(|_| ());
        assert_eq!(read("01 00 05"), Err(ChannelError::EmptySlot { slot: 5 }));
        assert_eq!(read("01 07 05"), Err(ChannelError::EmptySlot { slot: 0x705 }));
        for header in ["", "01", "01 08", "01 08 05", "01 08 05 02 61", "ff 00", "01 08 05 02 c328", "02 88 05 01 61"] {
            assert_eq!(read(header), Err(ChannelError::Header), "{header}");
        }
    }

    /// A header that brings an atom of 255 bytes for a slot.
    fn long_atom(slot: u8) -> Vec<u8> {
        [&[1, NEW_ENTRY, slot, 255][..], &[b'a'; 255]].concat()
    }

    #[test]
    fn a_full_cache_takes_from_a_share() {
        let memory = Arc::new(Budget::new(64 << 10, 1).share());
        let mut cache = ReceivedAtoms::with_memory(memory.clone());
        for slot in 0..50 {
            let _ = cache.read_header(&long_atom(slot)).unwrap();
        }
        assert_eq!(memory.taken(), 0, "the first ones are small");
        for slot in 0..120 {
            let _ = cache.read_header(&long_atom(slot)).unwrap();
        }
        assert!(memory.taken() >= 120 * 303 - (16 << 10) && !memory.is_exceeded(), "{}", memory.taken());
        for slot in 120..=255 {
            let _ = cache.read_header(&long_atom(slot)).unwrap();
        }
        assert!(memory.is_exceeded());
        drop(cache);
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn an_idle_cache_is_small() {
        let mut cache = atoms();
        let _ = cache.read_header(&[0]).unwrap();
        assert!(cache.places.is_none() && cache.atoms.capacity() == 0);
        assert!(size_of::<ReceivedAtoms>() <= 224);
    }
}
