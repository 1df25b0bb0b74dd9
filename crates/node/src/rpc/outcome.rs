//! The outcome of a call, in the forms in which it travels.

use peerl_term::{Atom, Decoder, Limits, RawTerm, Term};
use serde::de::DeserializeOwned;

use super::CallError;
use crate::exception::{Class, Exception};
use crate::exports::Outcome;
use crate::identity::Identity;
use crate::reason::{CallId, JobEnd, RETURN, Reason, Returned};

/// The exit reason of the process that has made a call for `erpc`: `{Id, return, Value}` and its kin.
pub(super) fn erpc_reason(id: CallId, outcome: Outcome) -> JobEnd {
    let exception = match outcome {
        Ok(value) => return JobEnd::Returned(Returned { id, value }),
        Err(exception) => exception,
    };
    let Exception { class, reason, stack } = exception;
    let reason = match class {
        Class::Throw => Term::tuple([id.into(), Term::atom("throw"), reason]),
        Class::Exit => Term::tuple([id.into(), Term::atom("exit"), reason]),
        Class::Error => Term::tuple([id.into(), Term::atom("error"), reason, stack]),
    };
    JobEnd::Other(reason.into())
}

/// The exit reason of a process that has made a call by `erpc:cast/4`: an error is marked as one of the function.
pub(super) fn cast_reason(outcome: Outcome) -> Reason {
    let outcome = outcome.map_err(|exception| match exception.class {
        Class::Error => {
            let error = Term::tuple([exception.reason, exception.stack]);
            let error = Exception::error(Term::tuple([Term::atom("exception"), error]));
            let place = [Term::atom("erpc"), Term::atom("execute_cast"), Term::from(3), Term::nil()];
            Exception { stack: Term::list([Term::tuple(place)]), ..error }
        }
        _ => exception,
    });
    exit_reason(outcome)
}

/// The exit reason of a process whose function has ended so.
pub(super) fn exit_reason(outcome: Outcome) -> Reason {
    match outcome {
        Ok(_) => crate::reason::atom("normal"),
        Err(Exception { class: Class::Exit, reason, .. }) => reason.into(),
        Err(Exception { class: Class::Error, reason, stack }) => Term::tuple([reason, stack]).into(),
        Err(Exception { class: Class::Throw, reason, stack }) => {
            let reason = Term::tuple([Term::atom("nocatch"), reason]);
            Term::tuple([reason, stack]).into()
        }
    }
}

/// What `rpc:call` makes of an exception: `{badrpc, {'EXIT', Reason}}`; a thrown value is a value.
pub(crate) fn badrpc(exception: Exception) -> Term {
    let exit = |reason| Term::tuple([Term::atom("badrpc"), Term::tuple([Term::atom("EXIT"), reason])]);
    match exception.class {
        Class::Throw => exception.reason,
        Class::Exit => exit(exception.reason),
        Class::Error => exit(Term::tuple([exception.reason, exception.stack])),
    }
}

/// The answer to a call that this node has made: the exit reason of the process that the peer has spawned for it.
pub(crate) struct Reply<'a> {
    pub(crate) identity: &'a Identity,
    /// The number of the reference that the call was made with.
    pub(crate) number: u64,
    pub(crate) reason: RawTerm,
}

impl Reply<'_> {
    /// Takes the value out, or the exception.
    pub(crate) fn into_value<T: DeserializeOwned>(self) -> Result<T, CallError> {
        read(&self.reason, |decoder| {
            let of_call = |decoder: &mut Decoder<'_>| -> Option<Atom> {
                let arity = decoder.tuple_header().ok()?;
                (3..=4).contains(&arity).then_some(())?;
                (self.identity.reference_number(&decoder.reference().ok()?) == Some(self.number)).then_some(())?;
                decoder.atom().ok()
            };
            let kind = of_call(decoder);
            if kind.as_ref() == Some(&RETURN) {
                return Ok(T::deserialize(&mut peerl_term::serde::Deserializer::new(decoder))?);
            }
            Err(match kind.as_ref().map(Atom::as_str) {
                Some("throw") => Exception::throw(decoder.term()?).into(),
                Some("exit") => Exception::exit(decoder.term()?).into(),
                Some("error") => {
                    let reason = decoder.term()?;
                    if decoder.is_empty() {
                        return Err(CallError::Erpc(reason));
                    }
                    Exception { stack: decoder.term()?, ..Exception::error(reason) }.into()
                }
                _ => CallError::Signal(self.reason.decode()?),
            })
        })
    }
}

/// Reads what a peer has answered.
pub(super) fn read<T>(
    answer: &RawTerm,
    read: impl FnOnce(&mut Decoder<'_>) -> Result<T, CallError>,
) -> Result<T, CallError> {
    let limits = Limits::default();
    let mut decoder = Decoder::new(answer.bytes(), answer.atoms(), &limits);
    let result = read(&mut decoder);
    match &result {
        Err(CallError::Decode(error)) => error.look_into(answer),
        Err(CallError::Malformed(error)) => answer.mismatched(Some(*error)),
        _ => {}
    }
    result
}
