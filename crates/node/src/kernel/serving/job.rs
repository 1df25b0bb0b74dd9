//! What a process does that a peer has spawned.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use peerl_proto::control::{ERPC, EXECUTE_CALL, EXECUTE_CAST};
#[cfg(feature = "spans")]
use peerl_term::Reference;
use peerl_term::{Atom, DecodeError, RawTerm, Tag, Term};

use super::apply::refuse_apply;
use super::outcome::{cast_reason, erpc_reason, exit_reason};
use super::{Applied, Arguments, apply};
use crate::kernel::call::CallOrigin;
use crate::kernel::exception::Exception;
use crate::kernel::exports::Evaluation;
use crate::kernel::process::{Core, ProcessState};
use crate::kernel::reason::{CallId, JobEnd};
use crate::kernel::repeats::Repeats;
#[cfg(feature = "spans")]
use crate::kernel::spans::ServeSpan;
use crate::kernel::state::Kernel;

/// The evaluation of the function that a process was spawned for, up to the end of the process.
pub(super) enum Job {
    /// For `erpc:call/4`: the value is the exit reason.
    Call(CallId, Applied),
    /// For `erpc:cast/4`: the value is dropped.
    Cast(Applied, Arc<Repeats>),
    /// Any other function, as of `spawn/4`.
    Function(Applied),
}

impl Job {
    pub(super) fn new(node: &Kernel, origin: CallOrigin<'_>, module: Atom, function: Atom, arguments: RawTerm) -> Self {
        // What cannot be read is another term, as a rule; of a malformed one its origin has been told by then.
        if module == ERPC && function == EXECUTE_CALL {
            return match Self::call(node, origin, &arguments) {
                Ok(Some(job)) => job,
                _ => Self::failed_call(node, origin, arguments),
            };
        }
        if module == ERPC && function == EXECUTE_CAST {
            return match Self::cast(node, origin, &arguments) {
                Ok(Some(job)) => job,
                _ => Self::failed_cast(node, origin, arguments),
            };
        }
        Self::Function(apply(node, origin, module, function, Arguments::new(arguments)))
    }

    /// Whether the process makes a call for `erpc`, whose caller does not learn the pid.
    pub(super) fn is_call(&self) -> bool {
        !matches!(self, Self::Function(_))
    }

    /// The evaluation of the function, if there is one.
    pub(super) fn evaluation(&self) -> Option<&Evaluation> {
        self.applied().evaluation()
    }

    /// Sets the span in which the function is evaluated, if spans are recorded.
    #[cfg(feature = "spans")]
    pub(super) fn set_span(&mut self, caller: &Atom, reference: &Reference) {
        if ServeSpan::is_recorded()
            && let Some(function) = self.applied().function()
            && let Some(evaluation) = self.applied_mut().evaluation_mut()
        {
            evaluation.set_span(ServeSpan::new(caller, &function, reference));
        }
    }

    /// Whether the function receives the messages of its process.
    pub(super) fn receives(&self) -> bool {
        self.evaluation().is_some_and(Evaluation::receives)
    }

    /// The error with which the process is not spawned, if its function is refused. A call gets it as an exception.
    pub(super) fn refusal(&mut self) -> Option<Atom> {
        match self {
            Self::Function(applied) => applied.refusal(),
            _ => None,
        }
    }

    /// As [`Applied::begin_in`].
    pub(super) fn begin_in(&mut self, process: &Arc<Core>, state: &mut ProcessState) {
        self.applied_mut().begin_in(process, state);
    }

    fn applied(&self) -> &Applied {
        let (Self::Call(_, applied) | Self::Cast(applied, _) | Self::Function(applied)) = self;
        applied
    }

    fn applied_mut(&mut self) -> &mut Applied {
        let (Self::Call(_, applied) | Self::Cast(applied, _) | Self::Function(applied)) = self;
        applied
    }

    /// `erpc:execute_call(Id, Module, Function, Arguments)`. Nothing, if that cannot be applied.
    fn call(node: &Kernel, origin: CallOrigin<'_>, list: &RawTerm) -> Result<Option<Self>, DecodeError> {
        list.read(|decoder| {
            if decoder.list_header()? != 4 {
                return Ok(None);
            }
            let id = match decoder.peek_tag()? {
                Tag::NEWER_REFERENCE_EXT => CallId::Reference(decoder.reference()?),
                _ => CallId::Other(Box::new(decoder.term()?)),
            };
            let (module, function, arguments) = (decoder.atom()?, decoder.atom()?, Arguments::read(decoder, list)?);
            decoder.nil()?;
            Ok(arguments.map(|arguments| Self::Call(id, apply(node, origin, module, function, Ok(arguments)))))
        })
    }

    /// `erpc:execute_cast(Module, Function, Arguments)`. Nothing, if that cannot be applied.
    fn cast(node: &Kernel, origin: CallOrigin<'_>, list: &RawTerm) -> Result<Option<Self>, DecodeError> {
        list.read(|decoder| {
            if decoder.list_header()? != 3 {
                return Ok(None);
            }
            let (module, function, arguments) = (decoder.atom()?, decoder.atom()?, Arguments::read(decoder, list)?);
            decoder.nil()?;
            Ok(arguments.map(|arguments| Self::cast_of(node, apply(node, origin, module, function, Ok(arguments)))))
        })
    }

    fn cast_of(node: &Kernel, applied: Applied) -> Self {
        Self::Cast(applied, node.served.failed_casts.clone())
    }

    /// What becomes of a call whose module, function or arguments cannot be those of one.
    fn failed_call(node: &Kernel, origin: CallOrigin<'_>, list: RawTerm) -> Self {
        match elements(&list) {
            Some([id, module, function, arguments]) => {
                let id = match id {
                    Term::Reference(reference) => CallId::Reference(*reference),
                    other => CallId::Other(Box::new(other)),
                };
                Self::Call(id, refuse_apply(origin.node, module, function, arguments))
            }
            // Another arity, or no list at all.
            None => Self::Function(apply(node, origin, ERPC.clone(), EXECUTE_CALL.clone(), Arguments::new(list))),
        }
    }

    fn failed_cast(node: &Kernel, origin: CallOrigin<'_>, list: RawTerm) -> Self {
        match elements(&list) {
            Some([module, function, arguments]) => {
                Self::cast_of(node, refuse_apply(origin.node, module, function, arguments))
            }
            None => Self::Function(apply(node, origin, ERPC.clone(), EXECUTE_CAST.clone(), Arguments::new(list))),
        }
    }
}

/// The elements of a list that has as many.
fn elements<const N: usize>(list: &RawTerm) -> Option<[Term; N]> {
    match list.decode().ok()? {
        Term::List(terms) => terms.into_vec().try_into().ok(),
        _ => None,
    }
}

impl Future for Job {
    type Output = JobEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<JobEnd> {
        Poll::Ready(match &mut *self {
            Self::Call(id, applied) => {
                let outcome = ready!(Pin::new(applied).poll(cx));
                erpc_reason(std::mem::take(id), outcome)
            }
            Self::Cast(applied, failures) => {
                let outcome = ready!(Pin::new(applied).poll(cx));
                if let Err(exception) = &outcome {
                    failures.warn("functions that were cast failed", || format!("a cast function failed: {exception}"));
                }
                JobEnd::Other(cast_reason(outcome))
            }
            Self::Function(applied) => {
                let outcome = ready!(Pin::new(applied).poll(cx));
                JobEnd::Other(exit_reason(outcome.map_err(without_caller)))
            }
        })
    }
}

/// A fun that cannot run has no caller in a process that began with it.
fn without_caller(exception: Exception) -> Exception {
    match exception.stack.as_list() {
        Some([fun, _]) if fun.as_tuple().is_some_and(|frame| frame.len() == 3) => {
            Exception { stack: Term::list([fun.clone()]), ..exception }
        }
        _ => exception,
    }
}
