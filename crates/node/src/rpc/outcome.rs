//! The outcome of a call, in the forms in which it travels.

use peerl_term::{Atom, Decoder, Limits, RawTerm, Reference, Term};
use serde::de::DeserializeOwned;

use super::CallError;
use crate::exception::{Class, Exception};
use crate::exports::Outcome;
use crate::reason::{CallId, Ended, RETURN, Returned};

/// The exit reason of the process that has made a call for `erpc`: `{Id, return, Value}` and its kin.
pub(super) fn erpc_reason(id: CallId, outcome: Outcome) -> Ended {
    let exception = match outcome {
        Ok(value) => return Ended::Returned(Returned { id, value }),
        Err(exception) => exception,
    };
    let Exception { class, reason, stack } = exception;
    let reason = match class {
        Class::Throw => Term::tuple([id.into(), Term::atom("throw"), reason]),
        Class::Exit => Term::tuple([id.into(), Term::atom("exit"), reason]),
        Class::Error => Term::tuple([id.into(), Term::atom("error"), reason, stack]),
    };
    Ended::Other(RawTerm::encoded_from(&reason))
}

/// The exit reason of a process that has made a call by `erpc:cast/4`: an error is marked as one of the function.
pub(super) fn cast_reason(outcome: Outcome) -> RawTerm {
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
pub(super) fn exit_reason(outcome: Outcome) -> RawTerm {
    match outcome {
        Ok(_) => crate::reason::atom("normal"),
        Err(Exception { class: Class::Exit, reason, .. }) => RawTerm::encoded_from(&reason),
        Err(Exception { class: Class::Error, reason, stack }) => RawTerm::encoded_from(&Term::tuple([reason, stack])),
        Err(Exception { class: Class::Throw, reason, stack }) => {
            let reason = Term::tuple([Term::atom("nocatch"), reason]);
            RawTerm::encoded_from(&Term::tuple([reason, stack]))
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
    pub(crate) reference: &'a Reference,
    pub(crate) reason: RawTerm,
}

impl Reply<'_> {
    /// Takes the value out, or the exception.
    pub(crate) fn into_value<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let limits = Limits::default();
        let mut decoder = Decoder::new(self.reason.bytes(), self.reason.atoms(), &limits);
        let of_call = |decoder: &mut Decoder<'_>| -> Option<Atom> {
            let arity = decoder.tuple_header().ok()?;
            (3..=4).contains(&arity).then_some(())?;
            (decoder.reference().ok()? == *self.reference).then_some(())?;
            decoder.atom().ok()
        };
        let kind = of_call(&mut decoder);
        if kind.as_ref() == Some(&RETURN) {
            return Ok(T::deserialize(&mut peerl_term::serde::Deserializer::new(&mut decoder))?);
        }
        match kind.as_ref().map(Atom::as_str) {
            Some("throw") => Err(Exception::throw(decoder.term()?).into()),
            Some("exit") => Err(Exception::exit(decoder.term()?).into()),
            Some("error") => {
                let reason = decoder.term()?;
                if decoder.is_empty() {
                    return Err(CallError::Erpc(reason));
                }
                let stack = decoder.term()?;
                Err(Exception { stack, ..Exception::error(reason) }.into())
            }
            _ => Err(CallError::Signal(self.reason.decode()?)),
        }
    }
}
