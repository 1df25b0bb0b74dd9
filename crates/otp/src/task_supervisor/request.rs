//! What is asked of a `Task.Supervisor`.

use peerl_node::{Pid, Term};

use crate::supervisor::{Restart, Shutdown};
use crate::term_memory::term_memory;

/// A call of `Task.Supervisor` or `DynamicSupervisor`.
pub(super) enum Request {
    /// `which_children`.
    WhichChildren,
    /// `count_children`.
    CountChildren,
    /// `{terminate_child, Pid}`.
    TerminateChild(Pid),
    /// `{start_task, Arguments, Restart, Shutdown}`.
    StartTask { start: Start, restart: Restart, shutdown: Shutdown },
    /// Any other.
    Unknown,
}

/// What a new task begins with.
#[derive(Debug, Clone)]
pub(super) enum Start {
    /// `[Owner, monitor]`: the function comes in a message, and its value goes to the sender.
    Message { owner: Pid },
    /// `[Owner, Callers, {Module, Function, Arguments}]`: the function is known, and its value is dropped.
    Function { owner: Pid, function: Function },
}

/// A function with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) module: Term,
    pub(super) name: Term,
    pub(super) arguments: Term,
    /// The processes on whose behalf it runs, the nearest first: `$callers`.
    pub(super) callers: Term,
}

impl Start {
    /// The bytes that it takes, about.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Message { .. } => 0,
            Self::Function { function: Function { module, name, arguments, callers }, .. } => {
                [module, name, arguments, callers].into_iter().map(term_memory).sum()
            }
        }
    }

    fn of(arguments: &Term) -> Option<Self> {
        match arguments.as_list()? {
            [owner, monitor] if monitor.is_atom("monitor") || monitor.is_atom("nomonitor") => {
                Some(Self::Message { owner: pid_of(owner)? })
            }
            [owner, callers, function] => {
                Some(Self::Function { owner: pid_of(owner)?, function: Function::of(function, callers)? })
            }
            _ => None,
        }
    }
}

impl Function {
    fn of(function: &Term, callers: &Term) -> Option<Self> {
        let [module, name, arguments] = function.as_tuple()? else { return None };
        let [module, name, arguments, callers] = [module, name, arguments, callers].map(Term::clone);
        Some(Self { module, name, arguments, callers })
    }
}

/// The pid in an owner, `{Node, PidOrName, Pid}`.
fn pid_of(owner: &Term) -> Option<Pid> {
    match owner.as_tuple()? {
        [_, _, Term::Pid(pid)] => Some((**pid).clone()),
        _ => None,
    }
}

impl Request {
    pub(super) fn of(request: &Term) -> Self {
        match request {
            request if request.is_atom("which_children") => Self::WhichChildren,
            request if request.is_atom("count_children") => Self::CountChildren,
            request => Self::of_tuple(request).unwrap_or(Self::Unknown),
        }
    }

    fn of_tuple(request: &Term) -> Option<Self> {
        match request.as_tuple()? {
            [kind, Term::Pid(pid)] if kind.is_atom("terminate_child") => Some(Self::TerminateChild((**pid).clone())),
            [kind, arguments, restart, shutdown] if kind.is_atom("start_task") => Some(Self::StartTask {
                start: Start::of(arguments)?,
                restart: given(restart, Restart::from_term, Restart::Temporary)?,
                shutdown: given(shutdown, Shutdown::from_term, Shutdown::default())?,
            }),
            _ => None,
        }
    }
}

/// An option, or its default if it is `nil`.
fn given<T>(term: &Term, read: impl FnOnce(&Term) -> Option<T>, default: T) -> Option<T> {
    if term.is_atom("nil") { Some(default) } else { read(term) }
}

/// The message that tells a task of `async` what to do: `{Owner, Tag, ReplyTo, Callers, {Module, Function, Arguments}}`.
pub(super) struct Assignment {
    pub(super) tag: Term,
    pub(super) reply_to: Term,
    pub(super) function: Function,
}

impl Assignment {
    pub(super) fn of(message: &Term, owner: &Pid) -> Option<Self> {
        match message.as_tuple()? {
            [Term::Pid(from), tag, reply_to, callers, function] if **from == *owner => {
                Some(Self { tag: tag.clone(), reply_to: reply_to.clone(), function: Function::of(function, callers)? })
            }
            _ => None,
        }
    }
}
