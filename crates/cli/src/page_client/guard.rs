//! Keeping to the rules about addresses, where names become addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address_rule::{AddressRule, Refusal};

/// The rules that a fetch keeps to: the worker's own, and the stricter one of who called, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Guard {
    own: AddressRule,
    caller: Option<AddressRule>,
}

/// An address that a rule refuses.
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

    /// The same with a rule of the caller, in place of another one.
    pub(super) fn within(&self, caller: AddressRule) -> Self {
        Self { own: self.own.clone(), caller: Some(caller) }
    }

    /// Whether it refuses anything.
    pub(super) fn restricts(&self) -> bool {
        self.own.restricts() || self.caller.as_ref().is_some_and(AddressRule::restricts)
    }

    fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let refused = |whose| move |refusal| RefusedAddress { address, whose, refusal };
        self.own.check(address).map_err(refused("the worker's rule"))?;
        self.caller.as_ref().map_or(Ok(()), |rule| rule.check(address)).map_err(refused("the caller's rule"))
    }

    /// Checks the address in a URL; such a one is not resolved. In a URL that is parsed, whatever the notation was
    /// (decimal, octal, hexadecimal), an IPv4 address has four parts.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), RefusedAddress> {
        let host = url.host_str().unwrap_or_default();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        literal.parse().map_or(Ok(()), |address| self.check(address))
    }
}

/// Gives only those addresses of a name that the rules let through. The connection goes to one of these: there is nothing
/// between the check and the connection.
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

/// The names as the system knows them.
pub(super) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match addresses.is_empty() {
                true => Err(io::Error::from(io::ErrorKind::NotFound).into()),
                false => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}
