//! What a process does that a peer has spawned.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use peerl_term::{Atom, DecodeError, Decoder, RawTerm, Tag};

use super::outcome::{erpc_badarg, erpc_reason, exit_reason};
use super::{Applied, Arguments, apply};
use crate::node::Inner;
use crate::reason::{CallId, Ended, Reason};

/// The evaluation of the function that a process was spawned for, up to the end of the process.
pub(super) enum Job {
    /// For `erpc:call/4`: the value is the exit reason.
    Call(CallId, Applied),
    /// For `erpc:cast/4`: nobody wants the value.
    Cast(Applied),
    /// Any other function, as of `spawn/4`.
    Function(Applied),
    /// There was nothing to do.
    Done(Option<Ended>),
}

const ERPC: Atom = Atom::from_static("erpc");
const EXECUTE_CALL: Atom = Atom::from_static("execute_call");
const EXECUTE_CAST: Atom = Atom::from_static("execute_cast");

impl Job {
    pub(super) fn new(node: &Inner, module: Atom, function: Atom, arguments: RawTerm) -> Self {
        // What cannot be read is another term, as a rule; of a malformed one its origin has been told by then.
        if module == ERPC && function == EXECUTE_CALL {
            return Self::call(node, &arguments).unwrap_or_else(|_| Self::done(crate::reason::atom("badarg")));
        }
        if module == ERPC && function == EXECUTE_CAST {
            return Self::cast(node, &arguments).unwrap_or_else(|_| Self::done(crate::reason::atom("badarg")));
        }
        Self::Function(apply(node, module, function, Arguments::new(arguments)))
    }

    fn done(reason: Reason) -> Self {
        Self::Done(Some(Ended::Other(reason)))
    }

    /// `erpc:execute_call(Id, Module, Function, Arguments)`.
    fn call(node: &Inner, list: &RawTerm) -> Result<Self, DecodeError> {
        list.read(|decoder| {
            decoder.list_header()?;
            let id = match decoder.peek_tag()? {
                Tag::NEWER_REFERENCE_EXT => CallId::Reference(decoder.reference()?),
                _ => CallId::Other(Box::new(decoder.term()?)),
            };
            Ok(match function(decoder, list) {
                Ok((module, function, Some(arguments))) => {
                    Self::Call(id, apply(node, module, function, Some(arguments)))
                }
                Ok(_) => Self::done(erpc_badarg(id)),
                Err(error) => {
                    list.mismatched(Some(error));
                    Self::done(erpc_badarg(id))
                }
            })
        })
    }

    /// `erpc:execute_cast(Module, Function, Arguments)`.
    fn cast(node: &Inner, list: &RawTerm) -> Result<Self, DecodeError> {
        list.read(|decoder| {
            decoder.list_header()?;
            Ok(match function(decoder, list)? {
                (module, function, Some(arguments)) => Self::Cast(apply(node, module, function, Some(arguments))),
                _ => Self::done(crate::reason::atom("badarg")),
            })
        })
    }
}

fn function(decoder: &mut Decoder<'_>, list: &RawTerm) -> Result<(Atom, Atom, Option<Arguments>), DecodeError> {
    Ok((decoder.atom()?, decoder.atom()?, Arguments::read(decoder, list)?))
}

impl Future for Job {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        Poll::Ready(match &mut *self {
            Self::Call(id, applied) => {
                let outcome = ready!(Pin::new(applied).poll(cx));
                erpc_reason(std::mem::take(id), outcome)
            }
            Self::Cast(applied) => {
                if let Err(exception) = ready!(Pin::new(applied).poll(cx)) {
                    tracing::warn!(%exception, "a cast function failed");
                }
                Ended::Other(crate::reason::atom("normal"))
            }
            Self::Function(applied) => Ended::Other(exit_reason(ready!(Pin::new(applied).poll(cx)))),
            Self::Done(ended) => match ended.take() {
                Some(ended) => ended,
                None => return Poll::Pending,
            },
        })
    }
}
