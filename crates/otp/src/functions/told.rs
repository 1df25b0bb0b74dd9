//! What is printed for the user of a tool that this node cannot serve.

use peerl_node::{CallContext, Node, Process};
use peerl_term::Term;

/// Prints what a node of this kind is, and this, at the group leader of the process that asks: that of the tool's user.
pub(super) fn tell_user(context: &CallContext, text: &str) {
    if let (Ok(node), Ok(process)) = (context.node(), context.process()) {
        // Nobody waits for the reply.
        tell_user_by(&process, &node, context, text);
    }
}

/// Does that by a process, which gets the reply. Returns whether there is one to wait for.
pub(super) fn tell_user_by(process: &Process, node: &Node, context: &CallContext, text: &str) -> bool {
    let Some(user) = context.group_leader() else { return false };
    let text = format!("{} is a node of peerl, without a BEAM, {text}.\n", node.name());
    let put = Term::tuple([Term::atom("put_chars"), Term::atom("unicode"), Term::from(text)]);
    let request = Term::tuple([Term::atom("io_request"), process.pid().clone().into(), Term::nil(), put]);
    let sent = process.send_connected(user, &request);
    sent.inspect_err(|error| tracing::debug!(%error, "the user of a tool is not told what this node is")).is_ok()
}
