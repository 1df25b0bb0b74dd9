//! The name of a node, `name@host`.

use std::{fmt, str::FromStr};

use peerl_term::Atom;

/// A validated node name: exactly one `@` with text on both sides, at most 255 characters, no NUL.
///
/// Clones are cheap. Names have the order of their atoms in Erlang, which decides simultaneous connection attempts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// Validated: it has exactly one `@`.
    atom: Atom,
}

impl NodeName {
    /// The longest name in characters; a node name is an atom.
    pub const MAX_CHARACTERS: usize = Atom::MAX_CHARACTERS;

    /// Checks `text` and makes a name of it.
    pub fn new(text: &str) -> Result<Self, NodeNameError> {
        let (name, host) = text.split_once('@').ok_or(NodeNameError::NoHost)?;
        if name.is_empty() {
            return Err(NodeNameError::EmptyName);
        }
        if host.is_empty() {
            return Err(NodeNameError::EmptyHost);
        }
        if host.contains('@') {
            return Err(NodeNameError::TwoHosts);
        }
        if text.contains('\0') {
            return Err(NodeNameError::Nul);
        }
        let atom = Atom::new(text).map_err(|_| NodeNameError::TooLong)?;
        Ok(NodeName { atom })
    }

    /// The part before the `@`, as registered with EPMD.
    pub fn name(&self) -> &str {
        self.atom.split_once('@').map_or("", |(name, _)| name)
    }

    /// The part after the `@`: the host to resolve.
    pub fn host(&self) -> &str {
        self.atom.split_once('@').map_or("", |(_, host)| host)
    }

    /// Whether the name is long: its host is an address or contains a dot. OTP nodes connect only to nodes with names
    /// of the same kind.
    pub fn is_long(&self) -> bool {
        self.host().contains(['.', ':'])
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        self.atom.as_str()
    }

    /// The name as an atom, as it appears in pids.
    pub fn as_atom(&self) -> &Atom {
        &self.atom
    }
}

impl From<NodeName> for Atom {
    fn from(name: NodeName) -> Atom {
        name.atom
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        NodeName::new(text)
    }
}

impl TryFrom<&str> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: &str) -> Result<Self, NodeNameError> {
        NodeName::new(text)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for NodeName {
    fn eq(&self, other: &str) -> bool {
        *self.as_str() == *other
    }
}

impl PartialEq<&str> for NodeName {
    fn eq(&self, other: &&str) -> bool {
        *self.as_str() == **other
    }
}

/// Why a text is not a node name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeNameError {
    /// There is no `@`.
    #[error("a node name needs a host: name@host")]
    NoHost,
    /// There is nothing before the `@`.
    #[error("a node name needs a name before the @")]
    EmptyName,
    /// There is nothing after the `@`.
    #[error("a node name needs a host after the @")]
    EmptyHost,
    /// There is more than one `@`.
    #[error("a node name has only one @")]
    TwoHosts,
    /// There is a NUL character.
    #[error("a node name can't contain a NUL character")]
    Nul,
    /// It is longer than 255 characters.
    #[error("a node name has at most 255 characters")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let name: NodeName = "worker@10.0.0.7".parse().unwrap();
        assert_eq!((name.name(), name.host()), ("worker", "10.0.0.7"));
        assert_eq!(name, "worker@10.0.0.7");
    }

    #[test]
    fn long_and_short() {
        let is_long = |text: &str| NodeName::new(text).unwrap().is_long();
        assert!(is_long("a@h.example") && is_long("a@10.0.0.7") && is_long("a@::1"));
        assert!(!is_long("a.b@h"));
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| NodeName::new(text).unwrap_err();
        assert_eq!(refused("worker"), NodeNameError::NoHost);
        assert_eq!(refused("@host"), NodeNameError::EmptyName);
        assert_eq!(refused("w@"), NodeNameError::EmptyHost);
        assert_eq!(refused("w@h@h"), NodeNameError::TwoHosts);
        assert_eq!(refused("w\0@h"), NodeNameError::Nul);
        assert_eq!(refused(&format!("w@{}", "é".repeat(254))), NodeNameError::TooLong);
        assert!(NodeName::new(&format!("w@{}", "é".repeat(253))).is_ok());
    }
}
