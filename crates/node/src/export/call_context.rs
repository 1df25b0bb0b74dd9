use peerl_proto::node_name::NodeName;
use peerl_term::{Pid, Term};

use crate::Exception;
use crate::kernel::call::Call;
use crate::node::{Node, WeakNode};
use crate::process::ProcessSender;

/// What the handler of an exported function may know of the call. It can be kept, and given to other tasks.
#[derive(Debug, Clone)]
pub struct CallContext {
    node: WeakNode,
    call: Call,
}

impl CallContext {
    pub(super) fn new(node: WeakNode, call: Call) -> Self {
        Self { node, call }
    }

    /// The node that serves the call.
    ///
    /// # Errors
    /// If it runs no more; the handler ends then with `exit(shutdown)`.
    pub fn node(&self) -> Result<Node, Exception> {
        self.node.upgrade().ok_or_else(|| Exception::exit(Term::atom("shutdown")))
    }

    /// The pid of the process that evaluates the function. With `erpc` and `spawn` it is one of this call alone; with what
    /// `rpc` sends as a message it is that of `rex`.
    pub fn pid(&self) -> &Pid {
        &self.call.process
    }

    /// What sends in the name of the process that evaluates the function. The receivers get its exit signal after what it has
    /// sent.
    ///
    /// # Errors
    /// If the process has ended, or as [`node`](Self::node).
    pub async fn sender(&self) -> Result<ProcessSender, Exception> {
        // The process of a call is not there until its function waits.
        tokio::task::yield_now().await;
        self.node()?.sender_of(self.pid()).ok_or_else(|| Exception::exit(Term::atom("killed")))
    }

    /// The process that calls; none if it is not told, as in a cast of `rpc`, or if this node calls itself.
    pub fn caller(&self) -> Option<&Pid> {
        self.call.caller.as_ref()
    }

    /// The node that calls; none if it is this one.
    pub fn caller_node(&self) -> Option<NodeName> {
        NodeName::new(self.call.node.as_ref()?).ok()
    }

    /// The process to which the caller wants sent what the function prints.
    pub fn group_leader(&self) -> Option<&Pid> {
        self.call.group_leader.as_ref()
    }

    /// Whether nobody waits for the value any more: the caller, or the connection to its node, has gone; it has stopped waiting,
    /// after a time-out or otherwise; or the process that evaluates the function has ended, even by returning.
    pub fn is_cancelled(&self) -> bool {
        self.call.cancelled.is_cancelled()
    }

    /// Waits until the call [is cancelled](Self::is_cancelled). Nothing cancels a call but its end if the caller did not ask to be
    /// told of the value, as with `cast` and `spawn`, or asked by a message, as `rpc:block_call` does.
    pub async fn cancelled(&self) {
        self.call.cancelled.cancelled().await;
    }
}
