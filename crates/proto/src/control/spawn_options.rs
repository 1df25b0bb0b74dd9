//! The options of a `SPAWN_REQUEST`.

use peerl_term::Term;

use super::{SpawnRequest, SpawnRequestTt};

/// What a [`SpawnRequest`] asks for besides the process itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpawnOptions {
    /// The process that asks is linked to the new one.
    pub link: bool,
    /// The process that asks monitors the new one.
    pub monitor: bool,
}

/// The options are no list of options; the answer is `badopt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown or malformed spawn options")]
pub struct BadOption;

impl SpawnRequest {
    /// Understands the options as OTP does: those that tune a BEAM's memory and scheduling are checked for their form
    /// and ignored, an unknown one is an error.
    pub fn spawn_options(&self) -> Result<SpawnOptions, BadOption> {
        understand(&self.options)
    }
}

impl SpawnRequestTt {
    /// See [`SpawnRequest::spawn_options`].
    pub fn spawn_options(&self) -> Result<SpawnOptions, BadOption> {
        understand(&self.options)
    }
}

fn understand(options: &Term) -> Result<SpawnOptions, BadOption> {
    const TUNING: [&str; 7] = [
        "priority",
        "fullsweep_after",
        "min_heap_size",
        "min_bin_vheap_size",
        "max_heap_size",
        "message_queue_data",
        "async_dist",
    ];
    let mut understood = SpawnOptions::default();
    for option in options.as_list().ok_or(BadOption)? {
        if option.is_atom("link") {
            understood.link = true;
        } else if option.is_atom("monitor") {
            understood.monitor = true;
        } else {
            let Some([key, _]) = option.as_tuple() else {
                return Err(BadOption);
            };
            match key.as_atom().map(|key| key.as_str()) {
                Some("monitor") => understood.monitor = true,
                Some(key) if TUNING.contains(&key) => {}
                _ => return Err(BadOption),
            }
        }
    }
    Ok(understood)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(options: impl IntoIterator<Item = Term>) -> Result<SpawnOptions, BadOption> {
        understand(&Term::list(options))
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
        assert_eq!(understand(&Term::atom("link")), Err(BadOption));
    }
}
