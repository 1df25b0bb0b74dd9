//! `dbg`: no node of this kind can be traced, which its users are told.

use peerl_node::Node;
use peerl_term::{Atom, AtomError};

use super::told::tell_user;

/// Refuses the relays of `dbg`, and so `dbg:n/1`, `dbg:tracer/3`, `ttb` and the tracing of etop: `dbg` waits for ever for the first
/// message of a relay that has ended. Their user sees why.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    // The second is that of OTP 27 and later.
    for arity in [2, 3] {
        node.refuse_spawn("dbg", "do_relay", arity, |context| {
            tell_user(
                &context,
                "and cannot be traced. etop shows its processes with -tracing off, which that of OTP 27 ignores",
            );
            Atom::from_static("tracing_not_supported")
        })?;
    }
    Ok(())
}
