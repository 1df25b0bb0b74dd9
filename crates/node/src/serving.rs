//! Calls of peers that come as messages to a process of this node.

use std::fmt;
use std::pin::pin;

use peerl_term::{Atom, Pid, RawTerm, Term};

use crate::Exception;
use crate::kernel::call::CallOrigin;
use crate::kernel::serving::{Active, Applied, Arguments, apply, refuse_apply};
use crate::node::Node;
use crate::peer::Peer;
use crate::process::Process;

pub use crate::kernel::serving::Refused;

/// A call of a peer that counts among [those under way](Node::calls_served), until this is dropped: so it is kept until the
/// answer is sent.
pub struct ServedCall {
    active: Active,
}

/// What a peer wants called, and who that is.
#[derive(Debug, Clone)]
pub struct PeerCall {
    /// The module; it should be an atom.
    pub module: Term,
    /// The function; it should be an atom.
    pub function: Term,
    /// The arguments; they should be a list.
    pub arguments: Term,
    /// The node that calls, if that is told: its calls are logged.
    pub node: Option<Atom>,
    /// The process that waits for the value; none for a cast.
    pub caller: Option<Pid>,
    /// The process to which the caller wants sent what the function prints, if that is told.
    pub group_leader: Option<Pid>,
    /// The process that evaluates the function.
    pub process: Pid,
}

impl fmt::Debug for ServedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServedCall")
    }
}

impl Node {
    /// Takes a call that has come as a message with arguments of so many bytes, [from this peer](Process::received_from) if it is none
    /// of this node, unless the node is about to leave or too many are under way.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn begin_call(&self, peer: Option<&Peer>, arguments: usize) -> Result<ServedCall, Refused> {
        let peer = peer.map(Peer::calls);
        Active::begin_of(&self.inner.kernel, peer, arguments).map(|active| ServedCall { active })
    }
}

impl ServedCall {
    /// Evaluates an exported function, as `erlang:apply/3` does, and gives its encoded value.
    ///
    /// # Errors
    /// That of the function; `undef`, if there is none; `badarg`, if it cannot be a call.
    pub async fn apply(&self, call: PeerCall) -> Result<RawTerm, Exception> {
        let is_awaited = call.caller.is_some();
        let applied = self.begin(call);
        let cancellation = applied.cancellation();
        let mut applied = pin!(applied);
        let outcome = tokio::select! {
            biased;
            outcome = &mut applied => outcome,
            () = self.active.closed(), if is_awaited => {
                // Nobody waits for the value any more.
                if let Some(cancellation) = cancellation {
                    cancellation.cancel();
                }
                applied.await
            }
        };
        self.active.value(outcome)
    }

    /// Evaluates an exported function as [`apply`](Self::apply) does, in the process of the call: the process shows what it
    /// evaluates, and a function that receives messages receives those of the process. Gives nothing if an exit signal ends the
    /// process first. The process ends with its owner's handle, not with the function.
    pub async fn apply_in(&self, process: &mut Process, call: PeerCall) -> Option<Result<RawTerm, Exception>> {
        let mut applied = self.begin(PeerCall { process: process.pid().clone(), ..call });
        let core = process.core();
        if let Some(mut state) = core.alive() {
            applied.begin_in(core, &mut state);
        }
        tokio::select! {
            biased;
            outcome = applied => Some(self.active.value(outcome)),
            () = core.ended() => None,
        }
    }

    fn begin(&self, call: PeerCall) -> Applied {
        let PeerCall { module, function, arguments, node, caller, group_leader, process } = call;
        match (module, function) {
            (Term::Atom(module), Term::Atom(function)) => {
                let origin = CallOrigin {
                    node: node.as_ref(),
                    caller: caller.as_ref(),
                    calls: self.active.peer(),
                    group_leader: group_leader.as_ref(),
                    process: &process,
                };
                match self.active.measured(RawTerm::encoded_from(&arguments)) {
                    Some(list) => apply(self.active.kernel(), origin, module, function, Arguments::new(list)),
                    None => Applied::failed(Exception::system_limit()),
                }
            }
            (module, function) => refuse_apply(node.as_ref(), module, function, arguments),
        }
    }
}
