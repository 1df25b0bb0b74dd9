//! The options of a `SPAWN_REQUEST`.

use peerl_term::{Atom, Decoder, Sink, encode};

use super::{
    ControlError,
    field::{Element, Field, is_atom},
};

/// The options of a [`SpawnRequest`](super::SpawnRequest).
///
/// As in OTP, unknown options are errors. Options that tune a BEAM's memory and scheduling are checked for their form
/// and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpawnOptions {
    /// Link the requesting process to the new one.
    pub link: bool,
    /// Monitor the new process from the requesting one.
    pub monitor: bool,
}

/// The options are not a list of options that OTP knows; the answer is `badopt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown or malformed spawn options")]
pub struct BadOption;

const LINK: Atom = Atom::from_static("link");
const MONITOR: Atom = Atom::from_static("monitor");
const TUNING: [Atom; 7] = [
    Atom::from_static("priority"),
    Atom::from_static("fullsweep_after"),
    Atom::from_static("min_heap_size"),
    Atom::from_static("min_bin_vheap_size"),
    Atom::from_static("max_heap_size"),
    Atom::from_static("message_queue_data"),
    Atom::from_static("async_dist"),
];

impl Field for Result<SpawnOptions, BadOption> {
    #[inline(always)]
    fn vacant() -> Self {
        Ok(SpawnOptions::default())
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        let before = decoder.clone();
        *self = understand(decoder);
        if self.is_err() {
            // The message continues after the malformed term.
            *decoder = before;
            decoder.skip_term()?;
        }
        Ok(())
    }
}

impl Element for SpawnOptions {
    fn encode<S: Sink>(&self, sink: &mut S) {
        let SpawnOptions { link, monitor } = *self;
        if link || monitor {
            encode::list_header(usize::from(link) + usize::from(monitor), sink);
        }
        if link {
            encode::atom(&LINK, sink);
        }
        if monitor {
            encode::atom(&MONITOR, sink);
        }
        encode::nil(sink);
    }
}

fn understand(decoder: &mut Decoder<'_>) -> Result<SpawnOptions, BadOption> {
    let mut options = SpawnOptions::default();
    let count = decoder.list_header().map_err(|_| BadOption)?;
    for _ in 0..count {
        let is_plain = is_atom(decoder).map_err(|_| BadOption)?;
        if !is_plain && decoder.tuple_header() != Ok(2) {
            return Err(BadOption);
        }
        let key = decoder.atom().map_err(|_| BadOption)?;
        if !is_plain {
            decoder.skip_term().map_err(|_| BadOption)?;
        }
        match (is_plain, key) {
            (true, key) if key == LINK => options.link = true,
            (_, key) if key == MONITOR => options.monitor = true,
            (false, key) if TUNING.contains(&key) => {}
            _ => return Err(BadOption),
        }
    }
    if count > 0 {
        decoder.nil().map_err(|_| BadOption)?;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use peerl_term::{AtomTable, Limits, Term};

    use super::*;

    fn options(options: impl IntoIterator<Item = Term>) -> Result<SpawnOptions, BadOption> {
        read(&Term::list(options))
    }

    fn read(options: &Term) -> Result<SpawnOptions, BadOption> {
        let mut bytes = Vec::new();
        encode::term(&Term::tuple([options.clone(), Term::atom("next")]), &mut bytes);
        let (atoms, limits) = (AtomTable::empty(), Limits::default());
        let mut decoder = Decoder::from_slice(&bytes, &atoms, &limits);
        decoder.tuple_header().unwrap();
        let mut read: Result<SpawnOptions, BadOption> = Field::vacant();
        read.read(&mut decoder).unwrap();
        assert_eq!(decoder.atom().unwrap(), "next", "it is read to its end");
        read
    }

    #[test]
    fn known_ones() {
        assert_eq!(options([]), Ok(SpawnOptions::default()));
        assert_eq!(
            options([Term::atom("link"), Term::atom("monitor")]),
            Ok(SpawnOptions { link: true, monitor: true })
        );
        let aliased = Term::tuple([
            Term::atom("monitor"),
            Term::list([Term::tuple([Term::atom("alias"), Term::atom("demonitor")])]),
        ]);
        assert_eq!(options([aliased]), Ok(SpawnOptions { link: false, monitor: true }));
        let priority = Term::tuple([Term::atom("priority"), Term::atom("high")]);
        assert_eq!(options([priority]), Ok(SpawnOptions::default()));
    }

    #[test]
    fn unknown_ones() {
        // `{foo, bar}` and `{reply, no}` are answered `badopt` by OTP 25.
        assert_eq!(options([Term::tuple([Term::atom("foo"), Term::atom("bar")])]), Err(BadOption));
        assert_eq!(options([Term::tuple([Term::atom("reply"), Term::atom("no")])]), Err(BadOption));
        assert_eq!(options([Term::from(1)]), Err(BadOption));
        assert_eq!(read(&Term::atom("link")), Err(BadOption));
        let improper = Term::list_with_tail([Term::atom("link")], Term::atom("monitor"));
        assert_eq!(read(&improper), Err(BadOption));
    }
}
