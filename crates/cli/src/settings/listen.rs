//! The listening address of a command.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A listening address, and the port for a command with a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen {
    /// The address.
    pub address: IpAddr,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self { address, port: None });
        }
        let address: SocketAddr =
            text.parse().map_err(|_| format!("{text:?} is not an address, as 10.0.0.7 or [::1]:8080"))?;
        Ok(Self { address: address.ip(), port: Some(address.port()) })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_ports() {
        for text in ["10.0.0.7", "::1", "10.0.0.7:8080", "[::1]:8080"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for wrong in ["", "localhost", "10.0.0.7:", "10.0.0.7:70000", "::1:x"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }
}
