use std::fmt;

use peerl_term::Term;

/// The most characters of a cause.
const CAUSE: usize = 300;

/// How an evaluation ended without a value: Erlang's exception.
///
/// Any [`Error`](std::error::Error) becomes one by `?`: an `error` with the reason `{failed, Text}`, where the text is what the
/// error and its sources say. So this is no [`Error`](std::error::Error) itself; it becomes a boxed one by `?`.
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
    /// `throw(Value)`: a value for the caller to catch.
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

    /// `error(system_limit)`: there is no room for what the caller wants.
    pub fn system_limit() -> Self {
        Self::error(Term::atom("system_limit"))
    }

    /// `error(badarg)`.
    pub fn badarg() -> Self {
        Self::error(Term::atom("badarg"))
    }

    /// `error(badarg)` of an exported function that says which argument, from 1 on, is wrong, and in which way: the caller
    /// finds `{badarg, <<"argument 1: …">>}` as the cause in the error info of the stack's first frame.
    pub fn bad_argument(number: usize, what: &str) -> Self {
        Self::badarg().of_argument(number, what)
    }

    /// The same with another reason than `badarg`, where a function of OTP has one.
    #[must_use]
    pub fn of_argument(self, number: usize, what: &str) -> Self {
        self.because(&format!("argument {number}: {what}"))
    }

    /// What the error info of a `badarg` says of the arguments, of this node's functions or of another's.
    pub fn cause(&self) -> Option<&str> {
        let first = self.stack.as_list()?.first()?;
        let info = match first.as_tuple()? {
            [_, info] => info,
            frame => frame.last()?.as_list()?.iter().find_map(|entry| match entry.as_tuple()? {
                [key, info] if key.is_atom("error_info") => Some(info),
                _ => None,
            })?,
        };
        let Term::Map(info) = info else { return None };
        match info.get(&Term::atom("cause"))?.as_tuple()? {
            [kind, Term::Binary(text)] if kind.is_atom("badarg") => text.as_str(),
            _ => None,
        }
    }

    pub(crate) fn badarg_because(what: &str) -> Self {
        Self::badarg().because(what)
    }

    fn because(self, what: &str) -> Self {
        let end = what.char_indices().nth(CAUSE).map_or(what.len(), |(end, _)| end);
        let cause = Term::tuple([Term::atom("badarg"), Term::from(&what[..end])]);
        let info = Term::map([(Term::atom("cause"), cause)]);
        let place = Term::tuple([Term::atom("error_info"), info]);
        Self { stack: Term::list([place]), ..self }
    }

    /// Completes the stack of an exception of a function that has none: `frame` makes the frame with this place in it.
    pub(crate) fn in_frame(self, frame: impl FnOnce(Term) -> Term) -> Self {
        let place = match &self.stack {
            Term::List(list) if list.is_empty() => Term::nil(),
            Term::List(list) if list[0].as_tuple().is_some_and(|place| place.len() == 2) => self.stack.clone(),
            _ => return self,
        };
        Self { stack: Term::list([frame(place)]), ..self }
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

impl From<Exception> for Box<dyn std::error::Error + Send + Sync> {
    fn from(exception: Exception) -> Self {
        exception.to_string().into()
    }
}

impl From<Exception> for Box<dyn std::error::Error> {
    fn from(exception: Exception) -> Self {
        exception.to_string().into()
    }
}
