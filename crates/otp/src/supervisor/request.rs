//! What is asked of a supervisor, as terms.

use std::sync::Arc;

use futures::FutureExt;
use peerl_node::{CallError, Class, Exception, Mfa, Pid, Term};
use peerl_term::Atom;

use super::child::{ChildSpec, Kind, Parent};
use super::{Restart, Shutdown};

/// A call of `supervisor`.
pub(super) enum Request {
    WhichChildren,
    CountChildren,
    /// `{start_child, Spec}`: of a child that an exported function starts.
    Start(ChildSpec),
    /// A child that this program hands over under this number.
    StartHanded(u64),
    Terminate(Term),
    Restart(Term),
    Delete(Term),
    /// `{get_childspec, Id}`.
    Spec(Term),
    /// `{start_child, Spec}` with another specification, and why it is none.
    Invalid(Term),
    Unknown,
}

/// The request by which this program hands over a child.
pub(super) const START_HANDED: Atom = Atom::from_static("$peerl_start_child");

impl Request {
    pub(super) fn of(request: &Term) -> Self {
        if let Some(name) = request.as_atom() {
            return match name.as_str() {
                "which_children" => Self::WhichChildren,
                "count_children" => Self::CountChildren,
                _ => Self::Unknown,
            };
        }
        let Some([kind, argument]) = request.as_tuple() else { return Self::Unknown };
        match (kind.as_atom().map_or("", Atom::as_str), argument) {
            ("start_child", spec) => spec_of(spec).map_or_else(Self::Invalid, Self::Start),
            ("terminate_child", id) => Self::Terminate(id.clone()),
            ("restart_child", id) => Self::Restart(id.clone()),
            ("delete_child", id) => Self::Delete(id.clone()),
            ("get_childspec", id) => Self::Spec(id.clone()),
            (kind, Term::Integer(number)) if kind == START_HANDED.as_str() => {
                u64::try_from(*number).map_or(Self::Unknown, Self::StartHanded)
            }
            _ => Self::Unknown,
        }
    }
}

/// The message that has a supervisor start a child again: the one of OTP's.
pub(super) fn retry(id: &Term) -> Term {
    Term::tuple([Term::atom("$gen_cast"), Term::tuple([Term::atom("try_again_restart"), id.clone()])])
}

/// The child that a cast wants started again.
pub(super) fn retried(request: &Term) -> Option<&Term> {
    match request.as_tuple()? {
        [kind, id] if kind.is_atom("try_again_restart") => Some(id),
        _ => None,
    }
}

/// A specification as a map: what `supervisor:get_childspec/2` gives. The start of a child in Rust is `undefined`.
pub(super) fn spec(spec: &ChildSpec) -> Term {
    Term::map([
        (Term::atom("id"), spec.id.clone()),
        (Term::atom("start"), spec.function.clone()),
        (Term::atom("restart"), spec.restart.to_term()),
        (Term::atom("significant"), Term::from(false)),
        (Term::atom("shutdown"), spec.shutdown.to_term()),
        (Term::atom("type"), spec.kind.to_term()),
        (Term::atom("modules"), Term::nil()),
    ])
}

/// A specification as the record of OTP's supervisor, which is in its errors.
pub(super) fn record(spec: &ChildSpec) -> Term {
    Term::tuple([
        Term::atom("child"),
        Term::atom("undefined"),
        spec.id.clone(),
        spec.function.clone(),
        spec.restart.to_term(),
        Term::from(false),
        spec.shutdown.to_term(),
        spec.kind.to_term(),
        Term::nil(),
    ])
}

/// Reads the specification of a child that an exported function starts: a map, or a tuple of six elements.
fn spec_of(term: &Term) -> Result<ChildSpec, Term> {
    let invalid = |what, term: &Term| Term::tuple([Term::atom(what), term.clone()]);
    let (id, function, restart, shutdown, kind) = match term {
        Term::Map(map) => {
            let id = map.get_atom("id").ok_or_else(|| Term::atom("missing_id"))?;
            let function = map.get_atom("start").ok_or_else(|| Term::atom("missing_start"))?;
            (id, function, map.get_atom("restart"), map.get_atom("shutdown"), map.get_atom("type"))
        }
        term => match term.as_tuple() {
            Some([id, function, restart, shutdown, kind, _]) => {
                (id, function, Some(restart), Some(shutdown), Some(kind))
            }
            _ => return Err(invalid("invalid_child_spec", term)),
        },
    };
    let mut spec = started_by(id.clone(), function).ok_or_else(|| invalid("invalid_mfa", function))?;
    if let Some(restart) = restart {
        spec = spec.restart(Restart::from_term(restart).ok_or_else(|| invalid("invalid_restart_type", restart))?);
    }
    match kind {
        Some(kind) if kind.is_atom("supervisor") => spec = spec.supervisor(),
        Some(kind) if !kind.is_atom("worker") => return Err(invalid("invalid_child_type", kind)),
        _ => {}
    }
    if let Some(shutdown) = shutdown {
        spec = spec.shutdown(Shutdown::from_term(shutdown).ok_or_else(|| invalid("invalid_shutdown", shutdown))?);
    }
    Ok(spec)
}

/// A child that `{Module, Function, Arguments}` starts, a function that is exported here.
fn started_by(id: Term, function: &Term) -> Option<ChildSpec> {
    let [Term::Atom(module), Term::Atom(name), Term::List(arguments)] = function.as_tuple()? else { return None };
    let mfa = Mfa::with_terms(module.clone(), name.clone(), arguments.to_vec());
    let start = move |parent: Parent| {
        let mfa = mfa.clone();
        async move {
            let node = parent.node().clone();
            let value = node.call::<Term>(node.name(), mfa).await;
            value.map_err(exit).and_then(|value| pid_of(&value).ok_or(value))
        }
        .boxed()
    };
    let spec = ChildSpec::with_start(id, Arc::new(start));
    Some(ChildSpec { function: function.clone(), kind: Kind::Worker, ..spec })
}

/// The pid in `{ok, Pid}`.
fn pid_of(value: &Term) -> Option<Pid> {
    match value.as_tuple()? {
        [kind, Term::Pid(pid), ..] if kind.is_atom("ok") => Some((**pid).clone()),
        _ => None,
    }
}

/// `{'EXIT', Reason}`, as `catch` gives it.
fn exit(error: CallError) -> Term {
    let reason = match error {
        CallError::Exception(Exception { class: Class::Error, reason, stack }) => Term::tuple([reason, stack]),
        CallError::Exception(exception) => exception.reason,
        error => Term::from(error.to_string()),
    };
    Term::tuple([Term::atom("EXIT"), reason])
}
