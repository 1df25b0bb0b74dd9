use clap::ValueEnum;
use peerl_node::transport::Family;
use serde::{Deserialize, Serialize};

/// How a node reaches its peers, named as `-proto_dist` of `erl` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ProtoDist {
    /// TCP by IPv4.
    InetTcp,
    /// TLS by IPv4.
    InetTls,
    /// TCP by IPv6.
    Inet6Tcp,
    /// TLS by IPv6.
    Inet6Tls,
}

impl ProtoDist {
    /// The family of addresses.
    pub fn family(self) -> Family {
        match self {
            Self::InetTcp | Self::InetTls => Family::Ipv4,
            Self::Inet6Tcp | Self::Inet6Tls => Family::Ipv6,
        }
    }

    /// Whether connections are encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::InetTls | Self::Inet6Tls)
    }
}
