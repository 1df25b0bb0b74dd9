//! Who must act on an error.

/// Whose fault an error is, and so who can correct it.
///
/// The errors of a connection tell it by their method `fault`. Bytes of a peer never cause a panic; they cause an error with
/// one of the first two faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The peer broke the protocol: it has a bug, is hostile, or is not an Erlang node. Repeating the attempt does not help.
    PeerMisbehaved,
    /// Both sides follow the protocol, but their releases or capabilities do not fit each other.
    PeerIncompatible,
    /// The settings of this node or of the peer are wrong: the cookie, the name, the address, the list of allowed nodes.
    Misconfigured,
    /// The connection failed: the network or the peer closed it, or no bytes moved in time. A later attempt may succeed.
    ConnectionLost,
}
