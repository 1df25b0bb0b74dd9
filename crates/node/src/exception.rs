use std::fmt;

use peerl_term::Term;

/// How an evaluation ended without a value: Erlang's exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The class.
    pub class: Class,
    /// The reason; of a throw, the value thrown.
    pub reason: Term,
    /// The stack trace of an error: a list of `{Module, Function, ArityOrArguments, Location}`.
    pub stack: Term,
}

/// The class of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// `error(Reason)`: something went wrong.
    Error,
    /// `exit(Reason)`: the process wants to end.
    Exit,
    /// `throw(Value)`: a value for whoever catches it.
    Throw,
}

impl Exception {
    /// Makes an `error`, as `erlang:error/1`.
    pub fn error(reason: impl Into<Term>) -> Self {
        Self { class: Class::Error, reason: reason.into(), stack: Term::nil() }
    }

    /// Makes an `exit`, as `erlang:exit/1`.
    pub fn exit(reason: impl Into<Term>) -> Self {
        Self { class: Class::Exit, ..Self::error(reason) }
    }

    /// Makes a `throw`, as `erlang:throw/1`.
    pub fn throw(value: impl Into<Term>) -> Self {
        Self { class: Class::Throw, ..Self::error(value) }
    }

    /// `error(badarg)`.
    pub fn badarg() -> Self {
        Self::error(Term::atom("badarg"))
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Error => "error",
            Class::Exit => "exit",
            Class::Throw => "throw",
        };
        write!(f, "{class}: {:?}", self.reason)
    }
}

impl std::error::Error for Exception {}
