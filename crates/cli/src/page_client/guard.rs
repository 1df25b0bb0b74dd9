//! Applies address rules during name resolution.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::task::spawn_blocking;

use super::address_rule::{AddressRule, Refusal};
use super::lookups::{Lookups, owner};

/// The rules of a fetch: the worker's own, and the caller's additional one, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Guard {
    own: AddressRule,
    caller: Option<AddressRule>,
}

/// An address that a rule denies.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the address {address} is refused by {whose}: {refusal}")]
pub(super) struct RefusedAddress {
    pub(super) address: IpAddr,
    pub(super) whose: &'static str,
    pub(super) refusal: Refusal,
}

impl Guard {
    pub(super) fn new(own: AddressRule) -> Self {
        Self { own, caller: None }
    }

    /// The same worker's rule with another rule of the caller.
    pub(super) fn within(&self, caller: AddressRule) -> Self {
        Self { own: self.own.clone(), caller: Some(caller) }
    }

    /// Whether any address is denied.
    pub(super) fn restricts(&self) -> bool {
        self.own.restricts() || self.caller.as_ref().is_some_and(AddressRule::restricts)
    }

    fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let refused = |whose| move |refusal| RefusedAddress { address, whose, refusal };
        self.own.check(address).map_err(refused("the worker's rule"))?;
        self.caller.as_ref().map_or(Ok(()), |rule| rule.check(address)).map_err(refused("the caller's rule"))
    }

    /// Checks an address in a URL, which is not resolved. A parsed URL has an IPv4 address in four parts, whatever
    /// the notation was (decimal, octal, hexadecimal).
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), RefusedAddress> {
        let host = url.host_str().unwrap_or_default();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        literal.parse().map_or(Ok(()), |address| self.check(address))
    }
}

/// Resolves names to the allowed addresses only. The connection goes to one of them, so nothing can change between
/// check and use.
pub(super) struct GuardedNames {
    pub(super) guard: Guard,
    pub(super) names: Arc<dyn Resolve>,
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, addresses) = (self.guard.clone(), self.names.resolve(name));
        Box::pin(async move {
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in addresses.await? {
                match guard.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
            match refused {
                Some(error) if allowed.is_empty() => Err(error.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The system's name resolution, by threads that wait for the name server. They are few: all that block a thread share the
/// runtime's threads for that. A resolution whose fetch has been given up keeps its thread until the name server answers.
pub(super) struct SystemNames;

/// The most names that are resolved at a time.
static LOOKUPS: LazyLock<Arc<Lookups>> = LazyLock::new(|| Lookups::new(64));

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        let owner = owner();
        Box::pin(async move {
            let place = LOOKUPS.place(owner).await;
            let resolve = move || {
                let _place = place;
                (name.as_str(), 0).to_socket_addrs().map(Iterator::collect)
            };
            let addresses: Vec<SocketAddr> = spawn_blocking(resolve).await??;
            match addresses.is_empty() {
                true => Err(io::Error::from(io::ErrorKind::NotFound).into()),
                false => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}
