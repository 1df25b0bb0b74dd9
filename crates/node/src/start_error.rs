use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use peerl_proto::cookie::CookieError;
use peerl_proto::node_name::NodeNameError;

use crate::network::cookie_file::CookieFileError;
use crate::network::epmd::RegisterError;
use crate::running_service::ServiceError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name is not a node name.
    #[error("bad node name")]
    Name(#[from] NodeNameError),
    /// The part of the name before the `@` cannot be registered.
    #[error("bad node name")]
    AliveName(#[source] peerl_proto::epmd::NameError),
    /// The cookie that was given is none.
    #[error("bad cookie")]
    Cookie(#[from] CookieError),
    /// No cookie was given, and there is none in its usual places.
    #[error(transparent)]
    CookieFile(#[from] CookieFileError),
    /// No port of the range is free.
    #[error("cannot listen on {address}, port {} to {}", ports.start(), ports.end())]
    Listen {
        /// The address.
        address: IpAddr,
        /// The ports that were tried.
        ports: RangeInclusive<u16>,
        /// The reason, of the last port.
        source: io::Error,
    },
    /// EPMD is not there, does not answer, or another node has the name.
    #[error(transparent)]
    Epmd(#[from] peerl_epmd::Error),
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[from] getrandom::Error),
    /// A service of the node did not start.
    #[error("a service did not start: {0}")]
    Service(#[source] ServiceError),
}

impl From<RegisterError> for StartError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Name(error) => Self::AliveName(error),
            RegisterError::Epmd(error) => Self::Epmd(error),
        }
    }
}
