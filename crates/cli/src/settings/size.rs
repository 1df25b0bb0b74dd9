use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes in human-readable form: `64MiB`, `1G`, `1500000`. All units are powers of 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "u64")]
pub struct Size(pub u64);

impl Size {
    /// Messages that nodes send by themselves must fit.
    const LEAST: u64 = 64 << 10;

    fn checked(bytes: u64) -> Result<Self, String> {
        match bytes {
            Self::LEAST.. => Ok(Self(bytes)),
            _ => Err(format!("{bytes} bytes is too little: at least 64KiB")),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a number of bytes, such as 64MiB or 1G");
        let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
        let (number, unit) = text.trim().split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        Self::checked(number.checked_mul(1 << shift).ok_or_else(wrong)?)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Size> for u64 {
    fn from(size: Size) -> Self {
        size.0
    }
}

impl TryFrom<Form> for Size {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        match form {
            Form::Number(bytes) => Self::checked(bytes),
            Form::Text(text) => text.parse(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number of bytes (\"64MiB\", 1500000)")]
enum Form {
    Number(u64),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let bytes = |text: &str| text.parse().map(|Size(bytes)| bytes);
        for text in ["64MiB", "64 mb", "64M", "65536k", "67108864"] {
            assert_eq!(bytes(text), Ok(64 << 20), "{text}");
        }
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for text in ["", "MiB", "12x", "-1", "1.5G", "99999999999G", "1k"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
