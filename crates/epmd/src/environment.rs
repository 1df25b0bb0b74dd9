//! The environment variables that `erl` and `epmd` read.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{DEFAULT_PORT, Error};

/// Names the port of EPMD.
pub const PORT: &str = "ERL_EPMD_PORT";

/// Lists the addresses that EPMD listens on, apart from the loopback address.
pub const ADDRESS: &str = "ERL_EPMD_ADDRESS";

/// Lets anybody on the host end EPMD and unregister names, whatever its value.
pub const RELAXED_COMMAND_CHECK: &str = "ERL_EPMD_RELAXED_COMMAND_CHECK";

/// The port of EPMD: `ERL_EPMD_PORT`, or 4369.
///
/// # Errors
/// The variable is set to something else than a port.
pub fn port() -> Result<u16, Error> {
    parse_port(variable(PORT)?.as_deref())
}

/// The addresses of `ERL_EPMD_ADDRESS`, which are separated by commas or blanks; none when it is not set.
///
/// # Errors
/// One of them is not an IP address.
pub fn addresses() -> Result<Vec<IpAddr>, Error> {
    parse_addresses(variable(ADDRESS)?.as_deref())
}

/// The address at which a process of this host reaches EPMD.
///
/// That is the loopback address: whatever `ERL_EPMD_ADDRESS` lists, EPMD listens there too. Only when the list
/// names a loopback address itself, such as `::1`, it is that one.
///
/// # Errors
/// See [`addresses`].
pub fn loopback() -> Result<IpAddr, Error> {
    Ok(loopback_among(&addresses()?))
}

/// The addresses that an EPMD of this host should listen on: those of `ERL_EPMD_ADDRESS` and a loopback address,
/// or all addresses of the host when it is not set.
///
/// # Errors
/// See [`addresses`].
pub fn listen_addresses(port: u16) -> Result<Vec<SocketAddr>, Error> {
    let addresses = listen_among(addresses()?);
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Whether `ERL_EPMD_RELAXED_COMMAND_CHECK` is there.
pub fn relaxed_command_check() -> bool {
    env::var_os(RELAXED_COMMAND_CHECK).is_some()
}

fn variable(name: &'static str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(value)) => {
            Err(Error::BadEnvironment { variable: name, value: value.to_string_lossy().into_owned(), expected: "text" })
        }
    }
}

fn parse_port(value: Option<&str>) -> Result<u16, Error> {
    let Some(value) = value else {
        return Ok(DEFAULT_PORT);
    };
    match value.trim().parse() {
        Ok(0) | Err(_) => {
            Err(Error::BadEnvironment { variable: PORT, value: value.to_owned(), expected: "a port from 1 to 65535" })
        }
        Ok(port) => Ok(port),
    }
}

fn parse_addresses(value: Option<&str>) -> Result<Vec<IpAddr>, Error> {
    value
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse().map_err(|_| Error::BadEnvironment {
                variable: ADDRESS,
                value: part.to_owned(),
                expected: "IP addresses separated by commas",
            })
        })
        .collect()
}

fn listen_among(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    if addresses.is_empty() {
        return vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    }
    if !addresses.iter().any(IpAddr::is_loopback) {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    addresses
}

fn loopback_among(addresses: &[IpAddr]) -> IpAddr {
    addresses.iter().copied().find(IpAddr::is_loopback).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(parse_port(None).unwrap(), 4369);
        assert_eq!(parse_port(Some("4370")).unwrap(), 4370);
        for bad in ["", "0", "65536", "x"] {
            assert!(parse_port(Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_loopback_address_is_always_there() {
        let loopback = |value| parse_addresses(value).map(|list| loopback_among(&list).to_string());
        assert_eq!(loopback(None).unwrap(), "127.0.0.1");
        assert_eq!(loopback(Some("10.0.0.7, 10.0.0.8")).unwrap(), "127.0.0.1");
        assert_eq!(loopback(Some("10.0.0.7,127.0.0.2")).unwrap(), "127.0.0.2");
        assert_eq!(loopback(Some("::1")).unwrap(), "::1");
        assert!(loopback(Some("localhost")).is_err());
        let listen = |value| {
            let addresses = listen_among(parse_addresses(value).unwrap());
            addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(listen(None), ["0.0.0.0", "::"]);
        assert_eq!(listen(Some("10.0.0.7")), ["10.0.0.7", "127.0.0.1"]);
        assert_eq!(listen(Some("::1,10.0.0.7")), ["::1", "10.0.0.7"]);
    }
}
