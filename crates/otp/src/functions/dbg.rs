//! `dbg`: no node of this kind can be traced, which its users are told.

use peerl_node::{CallContext, Node};
use peerl_term::{Atom, AtomError, Term};

/// Refuses the relays of `dbg`, and so `dbg:n/1`, `dbg:tracer/3`, `ttb` and the tracing of etop: `dbg` waits for ever for the first
/// message of a relay that has ended. Their user sees why.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    // The second is that of OTP 27 and later.
    for arity in [2, 3] {
        node.refuse_spawn("dbg", "do_relay", arity, |context| {
            tell(&context);
            Atom::from_static("tracing_not_supported")
        })?;
    }
    Ok(())
}

/// Prints at the group leader of the process that asks, which is that of the tool's user.
fn tell(context: &CallContext) {
    let (Some(user), Ok(node)) = (context.group_leader(), context.node()) else { return };
    let text = format!(
        "{} is a node of peerl, without a BEAM, and cannot be traced. etop shows its processes with -tracing off, which that of \
         OTP 27 ignores.\n",
        node.name()
    );
    let (process, put) = (node.process(), [Term::atom("put_chars"), Term::atom("unicode"), Term::from(text)]);
    // Nobody waits for the reply.
    let request = [Term::atom("io_request"), process.pid().clone().into(), Term::nil(), Term::tuple(put)];
    if let Err(error) = process.send_connected(user, &Term::tuple(request)) {
        tracing::debug!(%error, "the user of a tracer is not told that there is no tracing");
    }
}
