//! System messages, sent by `sys`.

use peerl_node::{Caller, Term};

use super::{Context, Server};

/// Whether a server handles messages other than system messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It does.
    Running,
    /// It is suspended: other messages wait.
    Suspended,
}

/// The effect of a system message.
pub(super) enum Effect {
    /// The server enters this mode.
    Mode(Mode),
    /// The server ends for this reason.
    Terminate(Term),
}

/// Handles a system message.
pub(super) fn handle<S: Server>(server: &S, context: &Context, mode: Mode, from: &Caller, request: &Term) -> Effect {
    let ok = || Term::atom("ok");
    let (answer, effect) = match request {
        Term::Atom(name) => match name.as_str() {
            // OTP 27 and later accept only this form; OTP 25 accepts any term as the state.
            "get_state" => (Term::tuple([ok(), server.state()]), Effect::Mode(mode)),
            "get_status" => (status(server, context, mode), Effect::Mode(mode)),
            "suspend" => (ok(), Effect::Mode(Mode::Suspended)),
            "resume" => (ok(), Effect::Mode(Mode::Running)),
            _ => (unknown(request), Effect::Mode(mode)),
        },
        Term::Tuple(parts) => match &parts[..] {
            [kind, reason] if kind.is_atom("terminate") => (ok(), Effect::Terminate(reason.clone())),
            // Debugging is not supported.
            [kind, what] if kind.is_atom("debug") && what.is_atom("no_debug") => (ok(), Effect::Mode(mode)),
            [kind, ..] if kind.is_atom("replace_state") => {
                let why = Term::tuple([Term::atom("error"), Term::atom("not_supported")]);
                (why, Effect::Mode(mode))
            }
            _ => (unknown(request), Effect::Mode(mode)),
        },
        _ => (unknown(request), Effect::Mode(mode)),
    };
    // A term can always be encoded.
    let _ = context.reply(from, &answer);
    effect
}

fn unknown(request: &Term) -> Term {
    Term::tuple([Term::atom("error"), Term::tuple([Term::atom("unknown_system_msg"), request.clone()])])
}

/// `{status, Pid, {module, Module}, [Dictionary, Mode, Parent, Debug, Misc]}`.
fn status<S: Server>(server: &S, context: &Context, mode: Mode) -> Term {
    let mode = Term::atom(match mode {
        Mode::Running => "running",
        Mode::Suspended => "suspended",
    });
    let pid = Term::from(context.pid().clone());
    let parent = context.parent.clone().map_or_else(|| pid.clone(), Term::from);
    let data = |pairs: Vec<(&str, Term)>| {
        let pairs = pairs.into_iter().map(|(name, value)| Term::tuple([Term::charlist(name), value]));
        Term::tuple([Term::atom("data"), Term::list(pairs)])
    };
    let name = std::any::type_name::<S>();
    let header = Term::tuple([Term::atom("header"), Term::charlist(&format!("Status for generic server {name}"))]);
    let misc = Term::list([
        header,
        data(vec![("Status", mode.clone()), ("Parent", parent.clone()), ("Logged events", Term::nil())]),
        data(vec![("State", server.state())]),
    ]);
    let module = Term::tuple([Term::atom("module"), Term::atom("gen_server")]);
    let details = Term::list([Term::nil(), mode, parent, Term::nil(), misc]);
    Term::tuple([Term::atom("status"), pid, module, details])
}
