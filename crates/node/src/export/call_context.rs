use std::sync::Arc;

use peerl_proto::budget::Lease;
use peerl_proto::node_name::NodeName;
use peerl_term::{Pid, Term};

use crate::Exception;
use crate::kernel::call::Call;
use crate::kernel::long_work;
use crate::kernel::serving::PeerCalls;
use crate::node::{Node, WeakNode};
use crate::process::{Process, ProcessSender};

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
        let sender = self.node()?.sender_of(self.pid(), self.call.calls.clone());
        sender.ok_or_else(|| Exception::exit(Term::atom("killed")))
    }

    /// The process that calls; none if it is not told, as in a cast of `rpc`, or if this node calls itself.
    pub fn caller(&self) -> Option<&Pid> {
        self.call.caller.as_ref()
    }

    /// The node that calls; none if it is this one.
    pub fn caller_node(&self) -> Option<NodeName> {
        NodeName::new(self.call.node.as_ref()?).ok()
    }

    /// The node over whose connection the call has come; none if this node calls itself. A message that asks for a call, as with
    /// `rpc:block_call`, names its caller as its sender likes; this is its sender.
    pub fn peer(&self) -> Option<NodeName> {
        NodeName::new(self.call.calls.as_ref()?.peer.as_ref()?).ok()
    }

    /// A new process, by which the function sends something for its caller: to a process of this node it comes as from the
    /// [peer](Self::peer), and counts for that while it waits.
    ///
    /// # Errors
    /// As [`node`](Self::node).
    pub fn process(&self) -> Result<Process, Exception> {
        Ok(self.node()?.process().on_behalf_of(self.call.calls.clone()))
    }

    /// The process to which the caller wants sent what the function prints.
    pub fn group_leader(&self) -> Option<&Pid> {
        self.call.group_leader.as_ref()
    }

    /// Takes memory of the caller's share, until what it returns is dropped: for what is about to be made and may be far larger than
    /// the arguments.
    ///
    /// # Errors
    /// `system_limit`, if there is not that much; or as [`node`](Self::node).
    pub fn lease(&self, bytes: usize) -> Result<Lease, Exception> {
        let node = self.node()?;
        self.calls(&node).lease(bytes).ok_or_else(Exception::system_limit)
    }

    /// Does work of so many steps, each of which takes about a microsecond. While many are done, another thread takes over the tasks
    /// of this one; the long work of all calls is done one after another, and that of each peer, too.
    ///
    /// # Errors
    /// If nobody waits for the value of long work any more, or as [`node`](Self::node).
    pub async fn work<T>(&self, steps: usize, work: impl FnOnce() -> T) -> Result<T, Exception> {
        if !long_work::is_long(steps) {
            return Ok(work());
        }
        let (node, gone) = (self.node()?, || Exception::exit(Term::atom("noconnection")));
        let calls = self.calls(&node);
        let _of_peer = calls.long_work.lock().await;
        let _of_all = node.inner.kernel.served.long_work.lock().await;
        // Calls that come one after another find it free.
        tokio::task::yield_now().await;
        if self.is_cancelled() || calls.closed.is_cancelled() {
            return Err(gone());
        }
        Ok(long_work::run(work))
    }

    /// Whether nobody waits for the value any more: the caller, or the connection to its node, has gone; it has stopped waiting,
    /// after a time-out or otherwise; or the process that evaluates the function has ended, even by returning.
    pub fn is_cancelled(&self) -> bool {
        self.call.cancelled.is_cancelled()
    }

    /// Waits until the call [is cancelled](Self::is_cancelled). Nothing cancels a call but its end if the caller did not ask to be
    /// told of the value, as with `cast` and `spawn`; and nothing but the end of the connection, too, if it asked by a message, as
    /// `rpc:block_call` does.
    pub async fn cancelled(&self) {
        self.call.cancelled.cancelled().await;
    }

    /// Waits until the connection has ended over which the call has come, whether or not the caller waits for the value. For a call
    /// without such a [peer](Self::peer) it waits for ever.
    pub async fn disconnected(&self) {
        match &self.call.calls {
            Some(calls) => calls.closed.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// What the peer has of this node by whose connection the call has come, or what nobody has.
    fn calls<'a>(&'a self, node: &'a Node) -> &'a Arc<PeerCalls> {
        self.call.calls.as_ref().unwrap_or(&node.inner.kernel.served.of_nobody)
    }
}
