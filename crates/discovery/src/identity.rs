//! The node's own name, chosen so that other nodes' discovery finds it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::str::FromStr;

use peerl_proto::node_name::NodeName;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::StrategyError;
use crate::naming::{Naming, NamingError};
use crate::spec::read_items;

#[cfg(feature = "ec2")]
mod ec2;
#[cfg(feature = "ec2")]
pub use ec2::Ec2Identity;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
mod ecs;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
pub use ecs::EcsIdentity;

/// A rule that derives the node's name from its machine.
///
/// | text | host |
/// |---|---|
/// | `auto:ec2` | of the EC2 instance, by the rules of the strategies `ec2` and `asg`: `auto:ec2,host=private-ip,basename=node` |
/// | `auto:ecs` | of the ECS task, by the rules of the strategy `ecs`: `auto:ecs,host=private-dns,basename={task_id}` |
/// | `auto:ip` | the address from which packets go out; `auto:ip,towards=10.0.0.1` says where to |
/// | `auto:hostname` | the operating system's host name |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// From the EC2 instance.
    #[cfg(feature = "ec2")]
    Ec2(Ec2Identity),
    /// From the ECS task.
    #[cfg(any(feature = "ecs", feature = "cloudmap"))]
    Ecs(EcsIdentity),
    /// From the address.
    Ip(IpIdentity),
    /// From the host name.
    Hostname(HostnameIdentity),
}

impl Identity {
    /// The prefix of every rule.
    pub const PREFIX: &str = "auto:";

    /// All rules, including those left out of this build.
    pub const KINDS: &[&str] = &["ec2", "ecs", "ip", "hostname"];

    /// Determines the name.
    ///
    /// # Errors
    /// If the machine's identity is unknown, or the result is not a node name.
    pub async fn name(&self) -> Result<NodeName, IdentityError> {
        match self {
            #[cfg(feature = "ec2")]
            Self::Ec2(identity) => identity.name(&crate::aws::Access::from_env(identity.region.as_deref())).await,
            #[cfg(any(feature = "ecs", feature = "cloudmap"))]
            Self::Ecs(identity) => identity.name(&crate::aws::TaskMetadata::from_env()).await,
            Self::Ip(identity) => identity.name(),
            Self::Hostname(identity) => identity.name(),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    /// Parses the rule, with or without `auto:`.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let text = text.strip_prefix(Self::PREFIX).unwrap_or(text);
        let (kind, items) = text.split_once(',').unwrap_or((text, ""));
        match kind.trim() {
            #[cfg(feature = "ec2")]
            "ec2" => read("ec2", items, Ec2Identity::check).map(Self::Ec2),
            #[cfg(not(feature = "ec2"))]
            "ec2" => Err(IdentityError::NotBuilt { kind: "ec2", feature: "ec2" }),
            #[cfg(any(feature = "ecs", feature = "cloudmap"))]
            "ecs" => read("ecs", items, EcsIdentity::check).map(Self::Ecs),
            #[cfg(not(any(feature = "ecs", feature = "cloudmap")))]
            "ecs" => Err(IdentityError::NotBuilt { kind: "ecs", feature: "ecs" }),
            "ip" => read("ip", items, IpIdentity::check).map(Self::Ip),
            "hostname" => read("hostname", items, HostnameIdentity::check).map(Self::Hostname),
            other => Err(IdentityError::UnknownKind(other.to_owned())),
        }
    }
}

fn read<T: DeserializeOwned>(
    kind: &'static str,
    items: &str,
    check: impl Fn(&T) -> Result<Naming, String>,
) -> Result<T, IdentityError> {
    let wrong = |message| IdentityError::Settings { kind, message };
    let identity: T = read_items(items, None).map_err(wrong)?;
    check(&identity).map_err(wrong)?;
    Ok(identity)
}

/// The settings of `auto:ip`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpIdentity {
    /// The destination whose route determines the address; by default a distant one. No packet is sent.
    #[serde(default)]
    pub towards: Option<IpAddr>,
    /// The name before the `@`; by default `node`.
    #[serde(default)]
    pub basename: Option<String>,
}

impl IpIdentity {
    fn check(&self) -> Result<Naming, String> {
        Naming::new(self.basename.as_deref().unwrap_or(Naming::BASENAME), "{ip}", &["ip"])
    }

    fn name(&self) -> Result<NodeName, IdentityError> {
        let outgoing = self.towards.map_or_else(outgoing_far, outgoing);
        let towards = self.towards.unwrap_or(FAR[0]);
        let address = outgoing.map_err(|source| IdentityError::NoAddress { towards, source })?;
        named("ip", &self.check(), |_| Some(address.to_string()))
    }
}

/// The settings of `auto:hostname`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostnameIdentity {
    /// The name before the `@`; by default `node`.
    #[serde(default)]
    pub basename: Option<String>,
}

impl HostnameIdentity {
    fn check(&self) -> Result<Naming, String> {
        Naming::new(self.basename.as_deref().unwrap_or(Naming::BASENAME), "{hostname}", &["hostname"])
    }

    fn name(&self) -> Result<NodeName, IdentityError> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        named("hostname", &self.check(), |_| Some(host.clone()))
    }
}

/// Documentation addresses: they are routed like any distant address.
const FAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// This host's source address for distant destinations: IPv4, else IPv6.
///
/// # Errors
/// The operating system's error, if the host has no route.
pub fn outgoing_far() -> std::io::Result<IpAddr> {
    let [ipv4, ipv6] = FAR;
    outgoing(ipv4).or_else(|error| outgoing(ipv6).map_err(|_| error))
}

/// This host's source address for a destination. No packet is sent.
///
/// # Errors
/// The operating system's error, if there is no route.
pub fn outgoing(towards: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if towards.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((towards, 9))?;
    Ok(socket.local_addr()?.ip())
}

fn named(
    kind: &'static str,
    naming: &Result<Naming, String>,
    value: impl Fn(&str) -> Option<String>,
) -> Result<NodeName, IdentityError> {
    match naming {
        Ok(naming) => naming.node(value).map_err(|source| IdentityError::NoName { kind, source }),
        Err(message) => Err(IdentityError::Settings { kind, message: message.clone() }),
    }
}

fn known_kinds() -> String {
    Identity::KINDS.iter().map(|kind| format!("{}{kind}", Identity::PREFIX)).collect::<Vec<_>>().join(", ")
}

/// Why a node cannot determine its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No such rule exists.
    #[error("there is no name auto:{0}: use one of {known}", known = known_kinds())]
    UnknownKind(String),
    /// The rule is not in this build.
    #[error("the name auto:{kind} is not in this build of peerl: build with the feature `{feature}`")]
    NotBuilt {
        /// The rule.
        kind: &'static str,
        /// The feature of the crate.
        feature: &'static str,
    },
    /// A setting is unknown or invalid.
    #[error("the name auto:{kind}: {message}")]
    Settings {
        /// The rule.
        kind: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The machine's identity cannot be determined.
    #[error("the name auto:{kind} cannot be determined")]
    Unknown {
        /// The rule.
        kind: &'static str,
        /// The reason.
        source: StrategyError,
    },
    /// No network route leads from this machine.
    #[error("the name auto:ip cannot be determined: there is no route to {towards}")]
    NoAddress {
        /// The destination.
        towards: IpAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The result is not a node name.
    #[error("the name auto:{kind} gives this machine no node name")]
    NoName {
        /// The rule.
        kind: &'static str,
        /// The missing or invalid part.
        source: NamingError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Identity>().unwrap_err().to_string()
    }

    #[tokio::test]
    async fn names_are_found_out() {
        let name = async |text: &str| text.parse::<Identity>().unwrap().name().await.unwrap().to_string();
        assert_eq!(name("auto:ip,towards=127.0.0.1").await, "node@127.0.0.1");
        assert_eq!(name("ip, towards=127.0.0.9, basename=w").await, "w@127.0.0.1");
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert_eq!(name("auto:hostname,basename=web").await, format!("web@{host}"));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        assert!(
            refused("auto:color").contains("auto:ec2, auto:ecs, auto:ip, auto:hostname"),
            "{}",
            refused("auto:color")
        );
        assert!(refused("auto:ip,colour=red").contains("colour"));
        assert!(refused("auto:ip,towards=there").contains("IP address"));
        assert!(refused("auto:hostname,basename={color}").contains("{hostname}"));
    }
}
