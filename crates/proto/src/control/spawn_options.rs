//! The options of a `SPAWN_REQUEST`.

use peerl_term::{Atom, Decoder, Sink, Term, encode};

use super::{
    ControlError,
    field::{Element, Field, is_atom},
};

/// The options of a [`SpawnRequest`](super::SpawnRequest).
///
/// As in OTP, unknown options and values are errors. Options that tune a BEAM's memory and scheduling are checked and
/// otherwise ignored.
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
        if is_atom(decoder).map_err(|_| BadOption)? {
            match decoder.atom().map_err(|_| BadOption)? {
                key if key == LINK => options.link = true,
                key if key == MONITOR => options.monitor = true,
                _ => return Err(BadOption),
            }
            continue;
        }
        if decoder.tuple_header() != Ok(2) {
            return Err(BadOption);
        }
        let key = decoder.atom().map_err(|_| BadOption)?;
        let value = decoder.term().map_err(|_| BadOption)?;
        if !takes(key.as_str(), &value) {
            return Err(BadOption);
        }
        options.monitor |= key == MONITOR;
    }
    if count > 0 {
        decoder.nil().map_err(|_| BadOption)?;
    }
    Ok(options)
}

/// Whether a BEAM takes this value for an option.
fn takes(option: &str, value: &Term) -> bool {
    match option {
        "monitor" => value.as_list().is_some_and(|options| options.iter().all(is_monitor_option)),
        "priority" => is_one_of(value, &["low", "normal", "high", "max"]),
        "min_heap_size" | "min_bin_vheap_size" | "fullsweep_after" | "scheduler" => is_natural(value),
        "max_heap_size" => is_natural(value) || is_heap_limit(value),
        "message_queue_data" => is_one_of(value, &["on_heap", "off_heap"]),
        "async_dist" => is_one_of(value, &["true", "false"]),
        _ => false,
    }
}

fn is_monitor_option(option: &Term) -> bool {
    match option.as_tuple() {
        Some([key, mode]) if key.is_atom("alias") => {
            is_one_of(mode, &["explicit_unalias", "demonitor", "reply_demonitor"])
        }
        Some([key, _]) => key.is_atom("tag"),
        _ => false,
    }
}

/// The value of `max_heap_size`, if it is a map: unknown keys are ignored.
fn is_heap_limit(value: &Term) -> bool {
    let Term::Map(map) = value else { return false };
    let get = |name: &str| map.iter().find(|(key, _)| key.is_atom(name)).map(|(_, value)| value);
    let is_switch = |name: &str| get(name).is_none_or(|value| is_one_of(value, &["true", "false"]));
    get("size").is_some_and(is_natural)
        && ["kill", "error_logger", "include_shared_binaries"].into_iter().all(is_switch)
}

fn is_natural(value: &Term) -> bool {
    value.as_integer().is_some_and(|value| value >= 0)
}

fn is_one_of(value: &Term, names: &[&str]) -> bool {
    names.iter().any(|name| value.is_atom(name))
}

#[cfg(test)]
mod tests {
    use peerl_term::{AtomTable, Limits};

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
        let tuning = [
            ("priority", Term::atom("high")),
            ("max_heap_size", Term::map([(Term::atom("size"), 1.into()), (Term::atom("kill"), Term::atom("true"))])),
            ("async_dist", Term::atom("true")),
        ];
        let tuning = tuning.map(|(key, value)| Term::tuple([Term::atom(key), value]));
        assert_eq!(options(tuning), Ok(SpawnOptions::default()));
    }

    #[test]
    fn unknown_ones() {
        // `{foo, bar}` and `{reply, no}` are answered `badopt` by OTP 25.
        assert_eq!(options([Term::tuple([Term::atom("foo"), Term::atom("bar")])]), Err(BadOption));
        assert_eq!(options([Term::tuple([Term::atom("reply"), Term::atom("no")])]), Err(BadOption));
        assert_eq!(options([Term::from(1)]), Err(BadOption));
        let malformed = [
            ("priority", Term::atom("urgent")),
            ("min_heap_size", Term::from(-1)),
            ("max_heap_size", Term::map([(Term::atom("kill"), Term::atom("true"))])),
            ("monitor", Term::list([Term::tuple([Term::atom("alias"), Term::atom("never")])])),
        ];
        for (key, value) in malformed {
            assert_eq!(options([Term::tuple([Term::atom(key), value])]), Err(BadOption), "{key}");
        }
        assert_eq!(read(&Term::atom("link")), Err(BadOption));
        let improper = Term::list_with_tail([Term::atom("link")], Term::atom("monitor"));
        assert_eq!(read(&improper), Err(BadOption));
    }
}
