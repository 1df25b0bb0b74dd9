//! The environment variables of `erl` and `epmd`.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::{DEFAULT_PORT, Error};

/// Names the port of EPMD.
pub const PORT: &str = "ERL_EPMD_PORT";

/// Lists EPMD's listening addresses, in addition to the loopback addresses.
pub const ADDRESS: &str = "ERL_EPMD_ADDRESS";

/// If set, to any value, every local client may end EPMD and unregister names.
pub const RELAXED_COMMAND_CHECK: &str = "ERL_EPMD_RELAXED_COMMAND_CHECK";

/// The port of EPMD: `ERL_EPMD_PORT`, or 4369.
///
/// # Errors
/// The value is not a port.
pub fn port() -> Result<u16, Error> {
    parse_port(variable(PORT)?.as_deref())
}

/// The addresses in `ERL_EPMD_ADDRESS`, separated by commas or blanks; empty if it is not set.
///
/// # Errors
/// One of them is not an IP address.
pub fn addresses() -> Result<Vec<IpAddr>, Error> {
    parse_addresses(variable(ADDRESS)?.as_deref())
}

/// The addresses at which a process of this host reaches EPMD, in the order to try.
///
/// They are the loopback addresses: EPMD always listens there, whatever `ERL_EPMD_ADDRESS` lists. Those in the list
/// come first.
///
/// # Errors
/// See [`addresses`].
pub fn loopbacks() -> Result<Vec<IpAddr>, Error> {
    Ok(loopbacks_among(&addresses()?))
}

/// The loopback address of this host: `127.0.0.1`, or `::1` on a host without IPv4.
pub fn loopback() -> IpAddr {
    LOOPBACKS.into_iter().find(|address| has_family(*address)).unwrap_or(LOOPBACKS[0])
}

/// The addresses for an EPMD of this host: those of `ERL_EPMD_ADDRESS` and the loopback addresses, or all addresses
/// of the host if it is not set.
///
/// # Errors
/// See [`addresses`].
pub fn listen_addresses(port: u16) -> Result<Vec<SocketAddr>, Error> {
    let addresses = listen_among(addresses()?, has_family);
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Whether this host supports the address's family, IPv4 or IPv6.
pub(crate) fn has_family(address: IpAddr) -> bool {
    let loopback: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    UdpSocket::bind((loopback, 0)).is_ok()
}

/// Whether `ERL_EPMD_RELAXED_COMMAND_CHECK` is set.
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

const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn listen_among(mut addresses: Vec<IpAddr>, has_family: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    if addresses.is_empty() {
        return vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    }
    for loopback in LOOPBACKS {
        if !addresses.contains(&loopback) && has_family(loopback) {
            addresses.push(loopback);
        }
    }
    addresses
}

fn loopbacks_among(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut loopbacks: Vec<IpAddr> = addresses.iter().copied().filter(IpAddr::is_loopback).collect();
    loopbacks.extend(LOOPBACKS.into_iter().filter(|loopback| !addresses.contains(loopback)));
    loopbacks
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
    fn the_loopback_addresses_are_always_there() {
        let texts = |addresses: Vec<IpAddr>| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        let loopbacks = |value| texts(loopbacks_among(&parse_addresses(value).unwrap()));
        assert_eq!(loopbacks(None), ["127.0.0.1", "::1"]);
        assert_eq!(loopbacks(Some("10.0.0.7, 10.0.0.8")), ["127.0.0.1", "::1"]);
        assert_eq!(loopbacks(Some("10.0.0.7,127.0.0.2")), ["127.0.0.2", "127.0.0.1", "::1"]);
        assert_eq!(loopbacks(Some("::1")), ["::1", "127.0.0.1"]);
        assert!(parse_addresses(Some("localhost")).is_err());
        let listen = |value| texts(listen_among(parse_addresses(value).unwrap(), |_| true));
        assert_eq!(listen(None), ["0.0.0.0", "::"]);
        assert_eq!(listen(Some("10.0.0.7")), ["10.0.0.7", "127.0.0.1", "::1"]);
        assert_eq!(listen(Some("::1,10.0.0.7")), ["::1", "10.0.0.7", "127.0.0.1"]);
        let without_ipv6 = listen_among(parse_addresses(Some("::1,10.0.0.7")).unwrap(), |address| address.is_ipv4());
        assert_eq!(texts(without_ipv6), ["::1", "10.0.0.7", "127.0.0.1"]);
        let without_ipv6 = listen_among(parse_addresses(Some("10.0.0.7")).unwrap(), |address| address.is_ipv4());
        assert_eq!(texts(without_ipv6), ["10.0.0.7", "127.0.0.1"]);
    }
}
