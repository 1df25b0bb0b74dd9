//! The names that guests may have: `remsh_peerl_0` to `remsh_peerl_255`, at a host that nobody looks up.

use peerl_proto::node_name::NodeName;

/// Whether the names of nodes have long hosts (`erl -name`) or short ones (`erl -sname`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HostKind {
    #[default]
    Long,
    Short,
}

/// Libraries with hash rings (libring, Swarm and others) leave out nodes whose names begin with `remsh`.
pub(crate) const STEM: &str = "remsh_peerl_";

/// The host of a guest to peers with long names. Nobody dials a guest; a process that sends to one that is gone makes its
/// node try, and that must fail at once. So it is a host that resolvers refuse before they ask a server: it has an empty
/// label. (A BEAM that looks `peerl.invalid` up hangs for 8 s when the name server does not answer.)
const LONG_HOST: &str = "peerl..invalid";

/// The host of a guest to peers with short names: a label of more than the 63 characters that resolvers take.
const SHORT_HOST: &str = "peerl-guests-are-never-dialled-so-this-host-is-one-that-nobody-looks-up";

const _: () = assert!(SHORT_HOST.len() > 63);

impl HostKind {
    pub(crate) fn of(name: &NodeName) -> Self {
        if name.is_long() { Self::Long } else { Self::Short }
    }
}

/// Whether this is the name of a guest.
pub(crate) fn is_guest(name: &str) -> bool {
    number(name).is_some()
}

pub(crate) fn number(name: &str) -> Option<u8> {
    let (alive, host) = name.split_once('@')?;
    let number = alive.strip_prefix(STEM)?;
    (host == LONG_HOST || host == SHORT_HOST).then(|| number.parse().ok())?
}

/// The name with a number.
pub(crate) fn name(number: u8, kind: HostKind) -> NodeName {
    let host = match kind {
        HostKind::Long => LONG_HOST,
        HostKind::Short => SHORT_HOST,
    };
    NodeName::new(&format!("{STEM}{number}@{host}")).unwrap_or_else(|_| unreachable!("a valid name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others() {
        for name in ["remsh_peerl_1@box", "peerl_1@peerl..invalid", "remsh_peerl_256@peerl..invalid", "remsh_peerl_1"] {
            assert!(!is_guest(name), "{name}");
        }
    }
}
