use peerl_node::{Caller, Message, Pid, Term};
use peerl_term::RawTerm;

use crate::last_element::last_element;

/// A received message, by its shape.
pub(super) enum Received {
    /// `{'$gen_call', From, Request}`.
    Call(Caller, Term),
    /// `{'$gen_cast', Request}`.
    Cast(Term),
    /// `{system, From, Request}`.
    System(Caller, Term),
    /// An exit signal.
    Exit(Pid, Term, Message),
    /// Any other.
    Info(Message),
    /// The message is not a valid term. The connection that delivered it ends by itself.
    Malformed,
}

impl Received {
    pub(super) fn of(message: Message) -> Self {
        match &message {
            Message::User(payload) => Self::of_user(payload, &message),
            Message::Exit(exit) => match exit.reason.decode() {
                Ok(reason) => Self::Exit(exit.from.clone(), reason, message),
                Err(_) => Self::Malformed,
            },
            _ => Self::Info(message),
        }
    }

    /// The message as a term, for those who record it.
    pub(super) fn term(&self) -> Option<Term> {
        let from = |caller: &Caller| Term::tuple([caller.pid.clone().into(), caller.tag.clone()]);
        match self {
            Self::Call(caller, request) => Some(Term::tuple([Term::atom("$gen_call"), from(caller), request.clone()])),
            Self::Cast(request) => Some(Term::tuple([Term::atom("$gen_cast"), request.clone()])),
            Self::System(caller, request) => Some(Term::tuple([Term::atom("system"), from(caller), request.clone()])),
            Self::Exit(_, _, message) | Self::Info(message) => message.clone().into_term().ok(),
            Self::Malformed => None,
        }
    }

    fn of_user(payload: &RawTerm, message: &Message) -> Self {
        let Ok(term) = payload.decode() else { return Self::Malformed };
        match term.as_tuple() {
            Some([kind, _]) if kind.is_atom("$gen_cast") => Self::Cast(last_element(term)),
            Some([kind, from, _]) if kind.is_atom("$gen_call") => match Caller::from_term(from) {
                Some(from) => Self::Call(from, last_element(term)),
                None => Self::Info(message.clone()),
            },
            Some([kind, from, _]) if kind.is_atom("system") => match Caller::from_term(from) {
                Some(from) => Self::System(from, last_element(term)),
                None => Self::Info(message.clone()),
            },
            _ => Self::Info(message.clone()),
        }
    }
}
