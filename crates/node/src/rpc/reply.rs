//! The answer to a call that this node has made.

use peerl_term::{Atom, Decoder, Limits, RawTerm};
use serde::de::DeserializeOwned;

use super::CallError;
use crate::kernel::exception::Exception;
use crate::kernel::identity::Identity;
use crate::kernel::reason::RETURN;

/// The exit reason of the process that the peer has spawned for it.
pub(super) struct Reply<'a> {
    pub(super) identity: &'a Identity,
    /// The number of the reference that the call was made with.
    pub(super) number: u64,
    pub(super) reason: RawTerm,
}

impl Reply<'_> {
    /// Takes the value out, or the exception.
    pub(super) fn into_value<T: DeserializeOwned>(self) -> Result<T, CallError> {
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
    let result = answer.work(|| read(&mut decoder));
    match &result {
        Err(CallError::Decode(error)) => error.look_into(answer),
        Err(CallError::Malformed(error)) => answer.mismatched(Some(*error)),
        _ => {}
    }
    result
}
