//! `shell`: there is none, which the user of a remote shell is told.

use std::time::Duration;

use peerl_node::{CallContext, Node};
use peerl_term::AtomError;

use super::told::tell_user_by;

/// How long the user's terminal has to print.
const PRINTING: Duration = Duration::from_secs(10);

/// `shell:start()`, which `erl -remsh` of OTP 25 calls for the pid of a shell; later releases ask whether the node has the module.
/// The process of this one says that there is none, and ends.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("shell", "start", |context: CallContext, ()| async move {
        let node = context.node()?;
        let mut process = context.process()?;
        let pid = process.pid().clone();
        if tell_user_by(&process, &node, &context, "and has no shell. It answers calls by rpc") {
            tokio::spawn(async move {
                // With the end of the process, the terminal prints nothing more.
                let _ = tokio::time::timeout(PRINTING, process.receive()).await;
            });
        }
        Ok(pid)
    })
}
