use std::sync::Arc;

use peerl_term::{Atom, Pid};
use tokio_util::sync::CancellationToken;

use crate::kernel::process::Core;

/// Who has a function called, and where it is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOrigin<'a> {
    /// The node that asks; none, if it is this one. Calls of others are logged.
    pub(crate) node: Option<&'a Atom>,
    /// The process that asks, if that is known.
    pub(crate) caller: Option<&'a Pid>,
    /// Node and process are what a message says, and not the sender that its connection knows.
    pub(crate) is_claimed: bool,
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
    /// As [`CallOrigin::is_claimed`].
    pub(crate) is_claimed: bool,
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
            is_claimed: self.is_claimed,
            group_leader: self.group_leader.cloned(),
            process: self.process.clone(),
            receiver: None,
            cancelled: CancellationToken::new(),
        }
    }
}
