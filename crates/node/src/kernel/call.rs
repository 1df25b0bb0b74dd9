use std::sync::Arc;

use peerl_term::{Atom, Pid};
use tokio_util::sync::CancellationToken;

use crate::kernel::process::Core;
use crate::kernel::serving::PeerCalls;

/// Who has a function called, and where it is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOrigin<'a> {
    /// The node that asks; none, if it is this one. Calls of others are logged.
    pub(crate) node: Option<&'a Atom>,
    /// The process that asks, if that is known.
    pub(crate) caller: Option<&'a Pid>,
    /// What the peer has of this node by whose connection the call has come, whatever node and process a message names; none, if
    /// this node itself calls.
    pub(crate) calls: Option<&'a Arc<PeerCalls>>,
    /// Where the caller wants printed what the function prints.
    pub(crate) group_leader: Option<&'a Pid>,
    /// The process that evaluates the function.
    pub(crate) process: &'a Pid,
}

/// What a handler knows of the call that it serves.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) module: Atom,
    pub(crate) function: Atom,
    pub(crate) arity: usize,
    pub(crate) caller: Option<Pid>,
    pub(crate) node: Option<Atom>,
    /// As [`CallOrigin::calls`].
    pub(crate) calls: Option<Arc<PeerCalls>>,
    pub(crate) group_leader: Option<Pid>,
    pub(crate) process: Pid,
    /// The process that evaluates the function, if that receives its messages; of others they are dropped.
    pub(crate) receiver: Option<Arc<Core>>,
    /// Nobody waits for the value any more.
    pub(crate) cancelled: CancellationToken,
}

impl CallOrigin<'_> {
    /// A call of this function.
    pub(crate) fn call(&self, module: Atom, function: Atom, arity: usize) -> Call {
        Call {
            module,
            function,
            arity,
            caller: self.caller.cloned(),
            node: self.node.cloned(),
            calls: self.calls.cloned(),
            group_leader: self.group_leader.cloned(),
            process: self.process.clone(),
            receiver: None,
            cancelled: CancellationToken::new(),
        }
    }
}
