//! When a connection may be ended because its peer is gone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// When a connected peer that no strategy lists any more is disconnected.
///
/// The time counts only while every strategy answers, and answers with somebody: a poll that fails or comes back empty
/// stops the clock until the next good one. So no failure of a strategy, however long, ends a healthy connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Removal {
    /// Never: a connection ends when its peer does. Written `never`.
    #[default]
    Never,
    /// When it has not been listed for this time. Written `when-gone-for=10m`.
    WhenGoneFor(Duration),
}

impl FromStr for Removal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "never" {
            return Ok(Self::Never);
        }
        let time = text.strip_prefix("when-gone-for").and_then(|rest| rest.strip_prefix(['=', ' ', ':']));
        let time = time.ok_or_else(|| format!("{text:?} is not a removal policy: never, or when-gone-for=TIME"))?;
        match humantime::parse_duration(time.trim()) {
            Ok(time) if time.is_zero() => Err("the time of when-gone-for must be longer than nothing".to_owned()),
            Ok(time) => Ok(Self::WhenGoneFor(time)),
            Err(error) => Err(format!("{time:?} is not a time, as 10m or 90s: {error}")),
        }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::WhenGoneFor(time) => {
                write!(f, "when-gone-for={}", humantime::format_duration(*time).to_string().replace(' ', ""))
            }
        }
    }
}

impl TryFrom<String> for Removal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Removal> for String {
    fn from(removal: Removal) -> Self {
        removal.to_string()
    }
}

/// For how long a strategy has been answering, the times left out in which it was not.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    total: Duration,
    last_good: Option<Instant>,
}

impl Evidence {
    /// Notes an answer that lists somebody.
    pub(crate) fn good(&mut self) {
        let now = Instant::now();
        if let Some(before) = self.last_good.replace(now) {
            self.total += now - before;
        }
    }

    /// Notes an answer that says nothing about who is gone.
    pub(crate) fn none(&mut self) {
        self.last_good = None;
    }
}

/// How long a peer has not been listed: how far each strategy's evidence was when it was first missed.
#[derive(Debug, Default)]
pub(crate) struct Absence {
    missed_at: Vec<Option<Duration>>,
}

impl Absence {
    /// Takes the evidence of all strategies into account, and gives the time for which all of them have missed the
    /// peer.
    pub(crate) fn gone_for<'a>(&mut self, evidence: impl ExactSizeIterator<Item = &'a Evidence>) -> Duration {
        self.missed_at.resize(evidence.len(), None);
        let missed = self.missed_at.iter_mut().zip(evidence).map(|(missed_at, evidence)| {
            // A strategy that does not answer now says nothing.
            match (evidence.last_good, &missed_at) {
                (None, None) => Duration::ZERO,
                _ => evidence.total - *missed_at.get_or_insert(evidence.total),
            }
        });
        missed.min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        for (text, removal) in [
            ("never", Removal::Never),
            ("when-gone-for=10m", Removal::WhenGoneFor(Duration::from_secs(600))),
            ("when-gone-for=1h30m", Removal::WhenGoneFor(Duration::from_secs(5400))),
        ] {
            assert_eq!(text.parse(), Ok(removal));
            assert_eq!(removal.to_string(), text);
            assert_eq!(serde_json::from_str::<Removal>(&format!("{text:?}")).unwrap(), removal);
        }
        assert_eq!("when-gone-for 10m".parse(), Ok(Removal::WhenGoneFor(Duration::from_secs(600))));
        for wrong in ["", "always", "when-gone-for", "when-gone-for=", "when-gone-for=0s", "when-gone-for=soon"] {
            assert!(wrong.parse::<Removal>().is_err(), "{wrong}");
        }
    }
}
