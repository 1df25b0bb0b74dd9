//! The rule for addresses from which pages may be fetched.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The rule for addresses from which pages may be fetched. It applies to addresses, not to names: a name may resolve
/// to another address a moment later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRule {
    /// The basic set, modified by the networks below.
    pub addresses: Addresses,
    /// Networks that are allowed in addition to the public addresses.
    pub allow: Vec<IpNet>,
    /// Networks that are denied, even if allowed otherwise.
    pub deny: Vec<IpNet>,
}

/// A set of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// All addresses.
    #[default]
    All,
    /// Public addresses: those reachable from the whole internet.
    Public,
}

/// A value of `--allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// The public addresses, which are always allowed.
    Public,
    /// A network.
    Network(Network),
}

/// A network: an address with a prefix length (`10.0.0.0/8`), or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// Why an address is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is in a denied network.
    #[error("{0} is denied")]
    Denied(IpNet),
    /// It is neither public nor in an allowed network.
    #[error("it is not public, and {}", AllowedNetworks(.0))]
    NotPublic(Vec<IpNet>),
}

impl AddressRule {
    /// The rule of the options `--allow` and `--deny`: allowing a network denies the rest.
    pub fn of_options(allow: &[Allow], deny: &[Network]) -> Self {
        let addresses = if allow.is_empty() { Addresses::All } else { Addresses::Public };
        Self { addresses, allow: Allow::networks(allow), deny: deny.iter().map(|network| network.0).collect() }
    }

    /// Whether the rule denies any address.
    pub fn restricts(&self) -> bool {
        self.addresses == Addresses::Public || !self.deny.is_empty()
    }

    /// Checks an address.
    ///
    /// # Errors
    /// The reason, if it is denied.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let embedded = match address {
            IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        let reaches = |network: &&IpNet| {
            network.contains(&address) || embedded.is_some_and(|embedded| network.contains(&embedded))
        };
        if let Some(denied) = self.deny.iter().find(reaches) {
            return Err(Refusal::Denied(*denied));
        }
        let is_allowed = self.addresses == Addresses::All
            || is_public(address)
            || self.allow.iter().any(|network| network.contains(&address));
        if is_allowed { Ok(()) } else { Err(Refusal::NotPublic(self.allow.clone())) }
    }
}

impl Allow {
    /// The networks in this list.
    pub fn networks(allowed: &[Self]) -> Vec<IpNet> {
        let network = |allow: &Self| match allow {
            Self::Public => None,
            Self::Network(network) => Some(network.0),
        };
        allowed.iter().filter_map(network).collect()
    }
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            _ => text.parse().map(Self::Network).map_err(|error: String| format!("{error}, or public")),
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
        // A rule for IPv4-mapped addresses applies to IPv4.
        let network = network.map_err(|_| format!("{text:?} is not a network, such as 10.0.0.0/8"))?;
        Ok(Self(match network {
            IpNet::V6(network) if Ipv6Net::new_assert(MAPPED, 96).contains(&network) => {
                let address = network.addr().to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED);
                IpNet::V4(Ipv4Net::new_assert(address, network.prefix_len() - 96))
            }
            network => network,
        }))
    }
}

struct AllowedNetworks<'a>(&'a [IpNet]);

impl AllowedNetworks<'_> {
    /// The most networks that an error lists.
    const NAMED: usize = 4;
}

impl fmt::Display for AllowedNetworks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (named, more) = self.0.split_at(self.0.len().min(Self::NAMED));
        if named.is_empty() {
            return f.write_str("no other network is allowed");
        }
        f.write_str("the allowed networks (")?;
        for (index, network) in named.iter().enumerate() {
            write!(f, "{}{network}", if index > 0 { ", " } else { "" })?;
        }
        write!(f, "{}) do not have it", if more.is_empty() { "" } else { " …" })
    }
}

/// IPv4 networks that are not part of the internet: those of RFC 6890 and its successors, and special ones of clouds.
const NOT_PUBLIC: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Shared by the customers of a carrier; also the metadata service of Alibaba.
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // The metadata services of AWS and others.
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    // The anycast address of 6to4 relays.
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Azure's platform address, which its machines query about themselves.
    v4([168, 63, 129, 16], 32),
    // Multicast; and reserved addresses, including broadcast.
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// Networks within 2000::/3 that are not part of the internet: special protocols (including Teredo, benchmarks and
/// ORCHID), and documentation.
const NOT_PUBLIC_V6: [Ipv6Net; 3] = [v6([0x2001, 0, 0], 23), v6([0x2001, 0xdb8, 0], 32), v6([0x3fff, 0, 0], 20)];

/// The unicast addresses of the internet. All others, such as ::1, fe80::/10 (link-local), fc00::/7 (private) and
/// ff00::/8 (multicast), have a smaller scope.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);

/// 6to4, RFC 3056: the IPv4 address follows.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0], 16);

/// The well-known prefix of NAT64, RFC 6052: the IPv4 address is at the end.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 96);

/// IPv4-mapped addresses.
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c]: [u16; 3], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The IPv4 address to which packets for an IPv6 address finally go.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    if SIX_TO_FOUR.contains(&address) {
        return Some(Ipv4Addr::from_bits((bits >> 80) as u32));
    }
    // ::a.b.c.d is the predecessor of IPv4-mapped addresses.
    let is_at_the_end = NAT64.contains(&address) || bits >> 32 == 0;
    is_at_the_end.then(|| Ipv4Addr::from_bits(bits as u32))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => match embedded(address) {
            Some(embedded) if SIX_TO_FOUR.contains(&address) || NAT64.contains(&address) => {
                is_public(IpAddr::V4(embedded))
            }
            _ => GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: &[&str], deny: &[&str]) -> AddressRule {
        let allow: Vec<Allow> = allow.iter().map(|text| text.parse().unwrap()).collect();
        let deny: Vec<Network> = deny.iter().map(|text| text.parse().unwrap()).collect();
        AddressRule::of_options(&allow, &deny)
    }

    fn check(rule: &AddressRule, address: &str) -> Result<(), Refusal> {
        rule.check(address.parse().unwrap())
    }

    #[test]
    fn what_is_not_of_the_internet_is_not_public() {
        let rule = rule(&["public"], &[]);
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:a00:1::",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
            "4000::1",
        ] {
            assert_eq!(check(&rule, address), Err(Refusal::NotPublic(Vec::new())), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert_eq!(check(&rule, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn networks_are_allowed_and_denied() {
        let mixed = rule(&["10.0.0.0/8", "fd00::/8", "192.168.1.7"], &["10.1.0.0/16", "8.8.8.8", "2606:4700::/32"]);
        for address in ["10.0.0.1", "::ffff:10.0.0.1", "192.168.1.7", "fd00::1", "1.1.1.1"] {
            assert_eq!(check(&mixed, address), Ok(()), "{address}");
        }
        for (address, denied) in [
            ("10.1.0.1", "10.1.0.0/16"),
            ("::ffff:10.1.0.1", "10.1.0.0/16"),
            ("64:ff9b::10.1.0.1", "10.1.0.0/16"),
            ("2002:a01:1::", "10.1.0.0/16"),
            ("8.8.8.8", "8.8.8.8/32"),
            ("64:ff9b::8.8.8.8", "8.8.8.8/32"),
            ("2606:4700::1111", "2606:4700::/32"),
        ] {
            assert_eq!(check(&mixed, address), Err(Refusal::Denied(denied.parse().unwrap())), "{address}");
        }
        let refusal = check(&mixed, "192.168.1.8").unwrap_err().to_string();
        assert_eq!(
            refusal,
            "it is not public, and the allowed networks (10.0.0.0/8, fd00::/8, 192.168.1.7/32) do not have it"
        );
        let open = rule(&[], &["127.0.0.0/8"]);
        assert_eq!(check(&open, "10.0.0.1"), Ok(()));
        assert_eq!(check(&open, "127.0.0.1").unwrap_err().to_string(), "127.0.0.0/8 is denied");
        assert!(open.restricts() && rule(&["public"], &[]).restricts() && !AddressRule::default().restricts());
    }

    #[test]
    fn texts_of_networks() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().0.to_string(), network);
        }
        for wrong in ["", "10", "10.0.0.0/33", "example.org", "10.0.0.0/8,10.1.0.0/16", "private"] {
            assert!(wrong.parse::<Network>().unwrap_err().contains("is not a network"), "{wrong:?}");
        }
        assert_eq!("public".parse(), Ok(Allow::Public));
        assert!("publik".parse::<Allow>().unwrap_err().contains("public"));
    }
}
