//! `ALTACT_SIG_SEND`.

use peerl_term::{Atom, Decoder, Pid, Reference, Sink, Term, encode};

use super::{
    Control, ControlError,
    field::{Field, is_atom},
    macros::Operation,
};

/// A signal to an alias, or with priority (OTP 28). The payload is the message, or the reason of an exit signal.
///
/// `{37, Flags, From, To}` or `{37, Flags, From, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*,
/// `ALTACT_SIG_SEND`. Between nodes that can, every message to an alias goes this way.
#[derive(Clone, Debug, PartialEq)]
pub struct AltactSigSend {
    /// Whether the receiver is to take it before what it has waiting.
    pub priority: Priority,
    /// What the payload is.
    pub kind: SignalKind,
    /// The sender.
    pub from: Pid,
    /// The receiver.
    pub to: SignalTarget,
    /// The sequential trace token.
    pub token: Option<Term>,
}

/// Whether a signal waits its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// It does.
    #[default]
    Ordinary,
    /// It goes before ordinary ones, if the receiver has allowed that by a priority alias.
    High,
}

/// What the payload of an [`AltactSigSend`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalKind {
    /// A message.
    #[default]
    Message,
    /// The reason of an exit signal, as of `exit/2`.
    Exit,
}

/// The receiver of an [`AltactSigSend`].
#[derive(Clone, Debug, PartialEq)]
pub enum SignalTarget {
    /// A process.
    Pid(Pid),
    /// An alias of a process.
    Alias(Reference),
    /// A registered name.
    Name(Atom),
}

const PRIORITY: u8 = 1;
const TOKEN: u8 = 2;
const ALIAS: u8 = 4;
const NAME: u8 = 8;
const EXIT: u8 = 16;

impl Control for AltactSigSend {
    fn operation(&self) -> u8 {
        Self::OPERATION
    }

    fn has_payload(&self) -> bool {
        true
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        let mut flags = match self.to {
            SignalTarget::Pid(_) => 0,
            SignalTarget::Alias(_) => ALIAS,
            SignalTarget::Name(_) => NAME,
        };
        if self.priority == Priority::High {
            flags |= PRIORITY;
        }
        if self.kind == SignalKind::Exit {
            flags |= EXIT;
        }
        if self.token.is_some() {
            flags |= TOKEN;
        }
        encode::tuple_header(4 + usize::from(self.token.is_some()), sink);
        encode::integer(Self::OPERATION.into(), sink);
        encode::integer(flags.into(), sink);
        encode::pid(&self.from, sink);
        match &self.to {
            SignalTarget::Pid(pid) => encode::pid(pid, sink),
            SignalTarget::Alias(alias) => encode::reference(alias, sink),
            SignalTarget::Name(name) => encode::atom(name, sink),
        }
        if let Some(token) = &self.token {
            encode::term(token, sink);
        }
    }
}

impl Operation for AltactSigSend {
    const OPERATION: u8 = 37;

    fn decode_elements(decoder: &mut Decoder<'_>, arity: usize) -> Result<Self, ControlError> {
        // Bits above the lowest byte are for later.
        let flags = decoder.unsigned()? as u8;
        let has_token = flags & TOKEN != 0;
        if arity != 4 + usize::from(has_token) {
            return Err(ControlError::WrongArity { operation: Self::OPERATION, arity });
        }
        let from = decoder.pid()?;
        let to = match (flags & ALIAS != 0, flags & NAME != 0) {
            (true, true) => return Err(ControlError::Field("a receiver that is an alias and a name")),
            (true, false) => SignalTarget::Alias(decoder.reference()?),
            (false, true) => SignalTarget::Name(decoder.atom()?),
            (false, false) if is_atom(decoder)? => {
                return Err(ControlError::Field("a receiver that is a name without saying so"));
            }
            (false, false) => SignalTarget::Pid(decoder.pid()?),
        };
        Ok(AltactSigSend {
            priority: if flags & PRIORITY != 0 { Priority::High } else { Priority::Ordinary },
            kind: if flags & EXIT != 0 { SignalKind::Exit } else { SignalKind::Message },
            from,
            to,
            token: has_token.then(|| Field::decode(decoder)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::ControlMessage,
        test_support::{a, a_ref, assert_wire, b, decode_control, token},
    };

    /// Composed after the documentation, of captured parts, with the flags that OTP 29 was seen to send: 4 and 5 for
    /// messages to aliases, 20 for `exit(Alias, Reason)`, 17 for `exit(Pid, Reason, [priority])`.
    #[test]
    fn wire() {
        const FROM: &str = "58 770b 62403132372e302e302e31 00000055 00000000 000003e9";
        const ALIAS: &str = "5a 0003 770b 61403132372e302e302e31 000003ea 00001e7c 1fc50002 37228ae9";
        const PID: &str = "58 770b 61403132372e302e302e31 00000009 00000000 000003ea";
        let alias = SignalTarget::Alias(a_ref([0x1e7c, 0x1fc5_0002, 0x3722_8ae9]));
        let message = AltactSigSend {
            priority: Priority::Ordinary,
            kind: SignalKind::Message,
            from: b(0x55),
            to: alias,
            token: None,
        };
        assert_wire(&format!("6804 6125 6104 {FROM} {ALIAS}"), message.clone());
        let priority = AltactSigSend { priority: Priority::High, ..message.clone() };
        assert_wire(&format!("6804 6125 6105 {FROM} {ALIAS}"), priority);
        let exit = AltactSigSend { kind: SignalKind::Exit, ..message.clone() };
        assert_wire(&format!("6804 6125 6114 {FROM} {ALIAS}"), exit.clone());
        let to = SignalTarget::Pid(a(9));
        let exit = AltactSigSend { priority: Priority::High, to, ..exit };
        assert_wire(&format!("6804 6125 6111 {FROM} {PID}"), exit);
        let traced = AltactSigSend { token: Some(token(17, 9, b(0x55), 8)), ..message };
        assert_wire(&format!("6805 6125 6106 {FROM} {ALIAS} 6805 6100 6111 6109 {FROM} 6108"), traced);
    }

    #[test]
    fn refusals() {
        const PID: &str = "58 770b 61403132372e302e302e31 00000009 00000000 000003ea";
        assert!(decode_control(&format!("6804 6125 610c {PID} {PID}")).is_err());
        assert!(decode_control(&format!("6804 6125 6102 {PID} {PID}")).is_err());
        assert!(decode_control(&format!("6805 6125 6100 {PID} {PID} 6a")).is_err());
        assert!(matches!(
            decode_control(&format!("6804 6125 6e 02 00 00 01 {PID} {PID}")),
            Ok(ControlMessage::AltactSigSend(_))
        ));
    }
}
