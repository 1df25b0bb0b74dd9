//! System messages, sent by `sys`.

use std::time::{Duration, Instant};

use peerl_node::{CallError, Caller, Class, Exception, Mfa, NodeName, PacedTasks, Peer, Term, long_work};
use peerl_term::{Atom, RawTerm};

use super::debug::Debug;
use super::guarded::guarded;
use super::{Context, Server};
use crate::state_form::StateForm;

/// Whether a server handles messages other than system messages.
#[derive(Debug)]
pub(super) enum Mode {
    /// It does.
    Running,
    /// It is suspended: other messages wait.
    Suspended {
        /// The peer that has done it; none, if a process of this node has.
        by: Option<Peer>,
    },
}

/// What `sys` controls of a server.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) mode: Mode,
    pub(super) debug: Debug,
    /// The tasks of its answers.
    tasks: PacedTasks,
    /// Whether it took long to show the state the last time.
    is_slow: bool,
}

impl Default for Control {
    fn default() -> Self {
        Self { mode: Mode::Running, debug: Debug::default(), tasks: PacedTasks::default(), is_slow: false }
    }
}

impl Control {
    /// The state of a server, encoded.
    fn state_of<S: Server>(&mut self, server: &S) -> RawTerm {
        let state;
        (state, self.is_slow) = timed(self.is_slow, || RawTerm::encoded_from(&server.state()));
        state
    }
}

/// Handles a system message. Gives the exit reason, if it ends the server.
pub(super) async fn handle<S: Server>(
    server: &mut S,
    context: &mut Context,
    control: &mut Control,
    from: &Caller,
    request: &Term,
) -> Option<Term> {
    let ok = || Term::atom("ok");
    let answer = match request {
        Term::Atom(name) => match name.as_str() {
            "get_state" => {
                let state = control.state_of(server);
                reply_with_state(context, &control.tasks, from, state).await;
                return None;
            }
            "get_status" => {
                ((), control.is_slow) =
                    timed(control.is_slow, || reply(context, from, &status(server, context, control)));
                return None;
            }
            "suspend" => {
                // What this node has suspended, no peer takes over.
                if !matches!(control.mode, Mode::Suspended { by: None }) {
                    control.mode = Mode::Suspended { by: context.received_from().cloned() };
                }
                ok()
            }
            "resume" => {
                control.mode = Mode::Running;
                ok()
            }
            _ => unknown(request),
        },
        Term::Tuple(parts) => match &parts[..] {
            [kind, reason] if kind.is_atom("terminate") => {
                reply(context, from, &ok());
                return Some(reason.clone());
            }
            [kind, what] if kind.is_atom("debug") => control.debug.request(context.pid(), what),
            [kind, fun] if kind.is_atom("replace_state") => match replace_state(server, context, from, fun).await {
                Ok(()) => {
                    let state = control.state_of(server);
                    reply_with_state(context, &control.tasks, from, state).await;
                    return None;
                }
                Err(exception) => failed("system_replace_state", exception),
            },
            [kind, _, version, extra]
                if kind.is_atom("change_code") && matches!(control.mode, Mode::Suspended { .. }) =>
            {
                match guarded(server.code_change(version, extra, context)).await {
                    Ok(()) => ok(),
                    Err(stop) => Term::tuple([Term::atom("error"), stop.into_reason()]),
                }
            }
            _ => unknown(request),
        },
        _ => unknown(request),
    };
    reply(context, from, &answer);
    None
}

/// Goes through the state of a server, which may be large and is asked for by a short message: where nothing else waits for it, if it took
/// long the last time. Says whether it did now.
fn timed<T>(is_slow: bool, work: impl FnOnce() -> T) -> (T, bool) {
    const LONG: Duration = Duration::from_millis(1);
    let timed = || {
        let start = Instant::now();
        (work(), start.elapsed() > LONG)
    };
    long_work(if is_slow { usize::MAX } else { 0 }, timed)
}

fn reply(context: &Context, from: &Caller, answer: &Term) {
    // A term can always be encoded.
    let _ = context.reply(from, answer);
}

fn unknown(request: &Term) -> Term {
    Term::tuple([Term::atom("error"), Term::tuple([Term::atom("unknown_system_msg"), request.clone()])])
}

/// `{error, {callback_failed, {Module, Function}, {Class, Reason}}}`.
fn failed(callback: &'static str, exception: Exception) -> Term {
    let callback = Term::tuple([Term::atom("gen_server"), Term::atom(callback)]);
    let class = match exception.class {
        Class::Error => "error",
        Class::Exit => "exit",
        Class::Throw => "throw",
    };
    let cause = Term::tuple([Term::atom(class), exception.reason]);
    Term::tuple([Term::atom("error"), Term::tuple([Term::atom("callback_failed"), callback, cause])])
}

/// How long another node may take to evaluate the function of `sys:replace_state/2`, as its own time limit.
const EVALUATION: Duration = Duration::from_secs(5);

/// Replaces the state by the value of a function of it. An exported function is called here; any other one is called at
/// the node of the caller, which has its code.
async fn replace_state<S: Server>(
    server: &mut S,
    context: &Context,
    from: &Caller,
    fun: &Term,
) -> Result<(), Exception> {
    let state = server.state();
    let running = || Exception::exit(Term::atom("shutdown"));
    let node = context.node().map_err(|_| running())?;
    let exported = match fun {
        Term::ExternalFun(fun) => node.is_exported(&fun.module, &fun.function, fun.arity.into()),
        _ => false,
    };
    let place = match NodeName::new(&from.pid.node) {
        Ok(place) if !exported => place,
        _ => node.name().clone(),
    };
    let arguments = vec![fun.clone(), Term::list([state])];
    let apply = Mfa::with_terms(Atom::from_static("erlang"), Atom::from_static("apply"), arguments);
    let new = node.call::<Term>(&place, apply).if_connected().timeout(EVALUATION).await.map_err(raised)?;
    server.replace_state(new)
}

fn raised(error: CallError) -> Exception {
    match error {
        CallError::Signal(reason) => Exception::exit(reason),
        error => error.into(),
    }
}

/// Answers with the state in the form that the caller's release takes. Until that is known, the state waits encoded, and counts for
/// the caller, as does the answer that is made of it.
async fn reply_with_state(context: &Context, tasks: &PacedTasks, from: &Caller, state: RawTerm) {
    let (sender, from) = (context.process.sender(), from.clone());
    let Ok(node) = context.node() else { return };
    // The release is asked for: who does not answer may not have any number of questions.
    let Ok(served) = node.begin_call(context.received_from(), 0) else { return };
    let kept = context.received_from().map(|peer| peer.lease(2 * state.bytes().len()));
    if matches!(kept, Some(None)) {
        return reply(context, &from, &failed("system_get_state", Exception::exit(Term::atom("system_limit"))));
    }
    tasks.room().await;
    tasks.spawn(async move {
        let form = StateForm::at(&node, &from.pid.node).await;
        drop(node);
        sender.reply_value(&from, &form.answer(state));
        drop((served, kept));
    });
}

/// `{status, Pid, {module, Module}, [Dictionary, Mode, Parent, Debug, Misc]}`.
fn status<S: Server>(server: &S, context: &Context, control: &Control) -> Term {
    let mode = Term::atom(match control.mode {
        Mode::Running => "running",
        Mode::Suspended { .. } => "suspended",
    });
    let pid = Term::from(context.pid().clone());
    let parent = context.parent.clone().map_or_else(|| pid.clone(), Term::from);
    let data = |pairs: Vec<(&str, Term)>| {
        let pairs = pairs.into_iter().map(|(name, value)| Term::tuple([Term::charlist(name), value]));
        Term::tuple([Term::atom("data"), Term::list(pairs)])
    };
    let name = std::any::type_name::<S>();
    let header = Term::tuple([Term::atom("header"), Term::charlist(&format!("Status for generic server {name}"))]);
    let events = control.debug.events();
    let misc = Term::list([
        header,
        data(vec![("Status", mode.clone()), ("Parent", parent.clone()), ("Logged events", events)]),
        data(vec![("State", server.format_status())]),
    ]);
    let module = Term::tuple([Term::atom("module"), Term::atom("gen_server")]);
    let details = Term::list([Term::nil(), mode, parent, control.debug.options(), misc]);
    Term::tuple([Term::atom("status"), pid, module, details])
}
