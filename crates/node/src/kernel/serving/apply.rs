use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use peerl_proto::connection::LARGE;
use peerl_term::{Atom, RawTerm, Term};
use tokio_util::sync::CancellationToken;

use super::Arguments;
use super::call_log::CallLog;
use crate::kernel::call::CallOrigin;
use crate::kernel::exception::Exception;
use crate::kernel::exports::{Evaluation, LargeMessage, Outcome};
use crate::kernel::process::{Core, ProcessState};
use crate::kernel::state::Kernel;

/// Calls an exported function, as `erlang:apply/3`. What is not exported is `undef`, whatever it is; what is no list of
/// arguments, `badarg`.
///
/// A call of a peer is logged.
pub(crate) fn apply(
    node: &Kernel,
    origin: CallOrigin<'_>,
    module: Atom,
    function: Atom,
    arguments: Result<Arguments, RawTerm>,
) -> Applied {
    let caller = origin.node;
    let (log, found) = match arguments {
        Ok(arguments) => (
            caller.and_then(|caller| CallLog::begin(caller, &module, &function, arguments.arity)),
            find(node, origin, module, function, arguments),
        ),
        Err(other) => match other.decode() {
            Ok(other) => return refuse_apply(caller, module.into(), function.into(), other),
            // Of a malformed term its origin has been told; one that is too large to be decoded is too large to be shown.
            Err(_) => (None, Err(Exception::badarg())),
        },
    };
    Applied { log, ..found.unwrap_or_else(Applied::failed) }
}

/// Refuses what cannot be a call. It is logged like a call.
pub(crate) fn refuse_apply(caller: Option<&Atom>, module: Term, function: Term, arguments: Term) -> Applied {
    let log = caller.and_then(|caller| CallLog::begin_refused(caller, &module, &function, &arguments));
    Applied { log, ..Applied::failed(bad_apply(module, function, arguments)) }
}

/// What `erlang:apply(Module, Function, Arguments)` raises if they cannot be those of a call: `badarg`, with the stack that
/// the BEAM gives it.
fn bad_apply(module: Term, function: Term, arguments: Term) -> Exception {
    let arity = match &arguments {
        Term::List(list) => Some(list.len()),
        _ => None,
    };
    let caller = arity.map(|arity| frame(module.clone(), function.clone(), Term::from(arity)));
    bad_arguments([module, function, arguments], caller)
}

/// The `badarg` of `erlang:apply`, called with these arguments by this caller.
fn bad_arguments(arguments: impl IntoIterator<Item = Term>, caller: Option<Term>) -> Exception {
    let info = Term::map([(Term::atom("module"), Term::atom("erl_erts_errors"))]);
    let place = Term::list([Term::tuple([Term::atom("error_info"), info])]);
    let apply = Term::tuple([ERLANG.into(), APPLY.into(), Term::list(arguments), place]);
    Exception { stack: Term::list(std::iter::once(apply).chain(caller)), ..Exception::badarg() }
}

const ERLANG: Atom = Atom::from_static("erlang");
const APPLY: Atom = Atom::from_static("apply");

/// The evaluation of a function.
pub(crate) struct Applied {
    state: State,
    log: Option<Box<CallLog>>,
}

enum State {
    Found {
        evaluation: Evaluation,
        module: Atom,
        function: Atom,
        arity: usize,
    },
    /// There is nothing to evaluate.
    Failed(Option<Exception>),
}

impl Future for Applied {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match &mut self.state {
            State::Found { evaluation, module, function, arity } => {
                let outcome = ready!(Pin::new(&mut *evaluation).poll(cx));
                outcome.map_err(|exception| {
                    let exception = with_stack(exception, module, function, *arity);
                    if let Some(cause) = exception.cause() {
                        let function = format!("{}:{}/{arity}", module.as_str(), function.as_str());
                        let warning = || format!("{:?}: {function}: {cause}", exception.reason);
                        evaluation.repeats().warn(&format!("{function}: arguments that do not fit"), warning);
                    }
                    exception
                })
            }
            State::Failed(exception) => match exception.take() {
                Some(exception) => Err(exception),
                None => return Poll::Pending,
            },
        };
        if let Some(log) = self.log.take() {
            log.end(&outcome);
        }
        Poll::Ready(outcome)
    }
}

impl Applied {
    /// There is nothing to evaluate.
    pub(crate) fn failed(exception: Exception) -> Self {
        Self { state: State::Failed(Some(exception)), log: None }
    }

    /// The evaluation, if there is something to evaluate.
    pub(super) fn evaluation(&self) -> Option<&Evaluation> {
        match &self.state {
            State::Found { evaluation, .. } => Some(evaluation),
            State::Failed(_) => None,
        }
    }

    /// As [`evaluation`](Self::evaluation).
    pub(super) fn evaluation_mut(&mut self) -> Option<&mut Evaluation> {
        match &mut self.state {
            State::Found { evaluation, .. } => Some(evaluation),
            State::Failed(_) => None,
        }
    }

    /// Cancels the function when nobody waits for its value any more, if it takes that.
    pub(crate) fn cancellation(&self) -> Option<CancellationToken> {
        self.evaluation()?.cancellation()
    }

    /// The error with which a process for the function is not spawned, if it is refused.
    pub(super) fn refusal(&mut self) -> Option<Atom> {
        let error = self.evaluation_mut()?.refusal()?;
        if let Some(log) = self.log.take() {
            log.end(&Err(Exception::error(error.clone())));
        }
        Some(error)
    }

    /// Has the function evaluated by this process: the process shows it, and it receives the messages if it takes them.
    pub(crate) fn begin_in(&mut self, process: &Arc<Core>, state: &mut ProcessState) {
        state.function = self.function();
        let Some(evaluation) = self.evaluation_mut() else { return };
        state.cancellation = evaluation.cancellation();
        if evaluation.receives() {
            state.receiving = Some(CancellationToken::new());
            evaluation.receive_as(process.clone());
        }
    }

    /// The function that is evaluated, if there is one.
    pub(super) fn function(&self) -> Option<(Atom, Atom, usize)> {
        match &self.state {
            State::Found { module, function, arity, .. } => Some((module.clone(), function.clone(), *arity)),
            State::Failed(_) => None,
        }
    }
}

fn find(
    node: &Kernel,
    origin: CallOrigin<'_>,
    module: Atom,
    function: Atom,
    arguments: Arguments,
) -> Result<Applied, Exception> {
    // Whatever part of it is applied in the end.
    let message = LargeMessage::of(&arguments.list);
    let (mut module, mut function, mut arguments) = (module, function, arguments);
    if is_apply(&module, &function, arguments.arity) {
        (module, function, arguments) = applied(&arguments)?;
    }
    let arity = arguments.arity;
    match node.exports.find(&module, &function, arity) {
        Some(exported) => {
            let call = || origin.call(module.clone(), function.clone(), arity);
            let evaluation = Evaluation::new(exported, arguments.list, message, call);
            Ok(Applied { state: State::Found { evaluation, module, function, arity }, log: None })
        }
        None => Err(undef(&module, &function, &arguments)),
    }
}

fn is_apply(module: &Atom, function: &Atom, arity: usize) -> bool {
    *module == ERLANG && *function == APPLY && matches!(arity, 2 | 3)
}

/// The call that `erlang:apply` with these arguments makes in the end: it may be applied to itself. The arguments are decoded once,
/// however often that is.
fn applied(arguments: &Arguments) -> Result<(Atom, Atom, Arguments), Exception> {
    let Ok(Term::List(terms)) = arguments.list.decode() else { return Err(Exception::badarg()) };
    let mut terms = terms.into_vec();
    loop {
        let (module, function, list) = inner_call(terms)?;
        if !is_apply(&module, &function, list.len()) {
            let arity = list.len();
            return Ok((module, function, Arguments { list: RawTerm::encoded_from(&Term::list(list)), arity }));
        }
        terms = list;
    }
}

/// The call that `erlang:apply(Fun, Arguments)` or `erlang:apply(Module, Function, Arguments)` makes.
fn inner_call(mut terms: Vec<Term>) -> Result<(Atom, Atom, Vec<Term>), Exception> {
    let arity = |list: &Term| list.as_list().map(<[Term]>::len);
    match &terms[..] {
        [Term::ExternalFun(fun), list] => {
            let Some(given) = arity(list) else {
                let caller = frame(ERLANG.into(), APPLY.into(), Term::from(2));
                return Err(bad_arguments(terms, Some(caller)));
            };
            if given != usize::from(fun.arity) {
                let call = Term::tuple([terms[0].clone(), list.clone()]);
                let error = Exception::error(Term::tuple([Term::atom("badarity"), call]));
                return Err(with_stack(error, &ERLANG, &APPLY, 2));
            }
            Ok((fun.module.clone(), fun.function.clone(), elements(terms.pop())))
        }
        [Term::LocalFun(fun), list] => Err(match arity(list) {
            None => bad_arguments(terms.clone(), Some(frame(ERLANG.into(), APPLY.into(), Term::from(2)))),
            Some(given) if given != usize::from(fun.arity()) => {
                let call = Term::tuple([terms[0].clone(), list.clone()]);
                with_stack(Exception::error(Term::tuple([Term::atom("badarity"), call])), &ERLANG, &APPLY, 2)
            }
            // As of a fun whose module a BEAM does not find.
            Some(_) => {
                let call = Term::tuple([terms[0].clone(), list.clone(), Term::nil()]);
                let caller = frame(ERLANG.into(), APPLY.into(), Term::from(2));
                Exception { stack: Term::list([call, caller]), ..Exception::error(Term::atom("undef")) }
            }
        }),
        [fun, _] => {
            let error = Exception::error(Term::tuple([Term::atom("badfun"), fun.clone()]));
            Err(with_stack(error, &ERLANG, &APPLY, 2))
        }
        [Term::Atom(module), Term::Atom(function), list] => match arity(list) {
            Some(_) => Ok((module.clone(), function.clone(), elements(terms.pop()))),
            None => Err(bad_apply(module.clone().into(), function.clone().into(), list.clone())),
        },
        [module, function, list] => Err(bad_apply(module.clone(), function.clone(), list.clone())),
        _ => Err(Exception::badarg()),
    }
}

/// The elements of a proper list.
fn elements(list: Option<Term>) -> Vec<Term> {
    match list {
        Some(Term::List(elements)) => elements.into_vec(),
        _ => Vec::new(),
    }
}

/// `undef`, with the stack that the BEAM gives it.
fn undef(module: &Atom, function: &Atom, arguments: &Arguments) -> Exception {
    // A frame has the arguments or their number.
    let shown = if arguments.list.bytes().len() > LARGE { None } else { arguments.list.decode().ok() };
    let arguments = shown.unwrap_or_else(|| Term::from(arguments.arity));
    Exception { stack: stack(module, function, arguments), ..Exception::error(Term::atom("undef")) }
}

fn with_stack(exception: Exception, module: &Atom, function: &Atom, arity: usize) -> Exception {
    exception.in_frame(|place| Term::tuple([module.clone().into(), function.clone().into(), arity.into(), place]))
}

fn stack(module: &Atom, function: &Atom, arguments: Term) -> Term {
    Term::list([frame(module.clone().into(), function.clone().into(), arguments)])
}

/// An entry of a stack whose place in a file is not known.
fn frame(module: Term, function: Term, arguments: Term) -> Term {
    Term::tuple([module, function, arguments, Term::nil()])
}
