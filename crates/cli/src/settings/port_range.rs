use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A port, or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PortForm", into = "String")]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| format!("{text:?} is not a port (0 to 65535)"));
        let range = Self { first: port(first)?, last: port(last)? };
        if range.first > range.last || (range.first == 0 && range.last > 0) {
            return Err(format!("{text} is not a range of ports: LO-HI, with LO from 1 to HI"));
        }
        Ok(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<PortForm> for PortRange {
    type Error = String;

    fn try_from(form: PortForm) -> Result<Self, String> {
        match form {
            PortForm::Number(port) => Ok(Self { first: port, last: port }),
            PortForm::Text(text) => text.parse(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a port (9100), or a range of ports (\"9100-9110\")")]
enum PortForm {
    Number(u16),
    Text(String),
}
