//! What is printed for the user of a tool that this node cannot serve.

use peerl_node::CallContext;
use peerl_term::Term;

/// Prints what a node of this kind is, and this, at the group leader of the process that asks: that of the tool's user.
pub(super) fn tell_user(context: &CallContext, text: &str) {
    let (Some(user), Ok(node)) = (context.group_leader(), context.node()) else { return };
    let text = format!("{} is a node of peerl, without a BEAM, {text}.\n", node.name());
    let (process, put) = (node.process(), [Term::atom("put_chars"), Term::atom("unicode"), Term::from(text)]);
    // Nobody waits for the reply.
    let request = [Term::atom("io_request"), process.pid().clone().into(), Term::nil(), Term::tuple(put)];
    if let Err(error) = process.send_connected(user, &Term::tuple(request)) {
        tracing::debug!(%error, "the user of a tool is not told what this node is");
    }
}
