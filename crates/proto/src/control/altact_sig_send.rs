//! `ALTACT_SIG_SEND`.

use peerl_term::{Atom, Decoder, Pid, Reference, Sink, Term, encode};

use super::{
    Content, Control, ControlError, FieldError, Signal, TraceToken, Traceable, field::is_atom, sealed::Sealed,
};
use crate::flags::DistributionFlags;

/// A signal to an alias, or with priority (OTP 28). The payload is the message, or the reason of an exit signal.
///
/// `{37, Flags, From, To}` or `{37, Flags, From, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*,
/// `ALTACT_SIG_SEND`. Between nodes that offer it, every message to an alias has this form.
#[derive(Clone, Debug, PartialEq)]
pub struct AltactSigSend {
    /// Whether the signal overtakes the receiver's queued messages.
    pub priority: Priority,
    /// What the payload is.
    pub kind: SignalKind,
    /// The sender.
    pub from: Pid,
    /// The receiver. An exit signal cannot go to a name.
    pub to: SignalTarget,
}

/// Whether a signal overtakes others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// It does not.
    #[default]
    Ordinary,
    /// It does, if the receiver has allowed that by a priority alias.
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

impl Sealed for AltactSigSend {}

impl Control for AltactSigSend {
    fn operation(&self) -> u8 {
        Self::OPERATION
    }

    fn content(&self) -> Content {
        Content::Payload
    }

    fn is_offered(&self, flags: DistributionFlags) -> bool {
        flags.contains(DistributionFlags::ALTACT_SIG)
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::tuple_header(4, sink);
        self.encode_elements(0, sink);
    }
}

impl Traceable for AltactSigSend {
    fn traced_operation(&self) -> u8 {
        Self::OPERATION
    }

    fn encode_traced<S: Sink>(&self, token: &TraceToken, sink: &mut S) {
        encode::tuple_header(5, sink);
        self.encode_elements(TOKEN, sink);
        token.encode(sink);
    }
}

impl AltactSigSend {
    pub(super) const OPERATION: u8 = 37;

    /// Writes the elements before the token, from the operation on.
    fn encode_elements<S: Sink>(&self, token: u8, sink: &mut S) {
        let mut flags = match self.to {
            SignalTarget::Pid(_) => token,
            SignalTarget::Alias(_) => token | ALIAS,
            SignalTarget::Name(_) => token | NAME,
        };
        if self.priority == Priority::High {
            flags |= PRIORITY;
        }
        if self.kind == SignalKind::Exit {
            flags |= EXIT;
        }
        encode::integer(Self::OPERATION.into(), sink);
        encode::integer(flags.into(), sink);
        encode::pid(&self.from, sink);
        match &self.to {
            SignalTarget::Pid(pid) => encode::pid(pid, sink),
            SignalTarget::Alias(alias) => encode::reference(alias, sink),
            SignalTarget::Name(name) => encode::atom(name, sink),
        }
    }

    /// Reads the elements after the operation. The priority counts only for an alias.
    #[inline(always)]
    pub(super) fn read(
        signal: &mut Signal,
        token: &mut Option<Term>,
        decoder: &mut Decoder<'_>,
        arity: usize,
    ) -> Result<(), ControlError> {
        // Bits above the lowest byte are reserved.
        let flags = decoder.unsigned()? as u8;
        let has_token = flags & TOKEN != 0;
        if arity != 4 + usize::from(has_token) {
            return Err(ControlError::WrongArity { operation: Self::OPERATION, arity });
        }
        let from = decoder.pid()?;
        let priority = if flags & PRIORITY != 0 { Priority::High } else { Priority::Ordinary };
        *signal = match (flags & EXIT != 0, flags & ALIAS != 0, flags & NAME != 0) {
            (_, true, true) => return Err(FieldError::AliasAndName.into()),
            (true, _, true) => return Err(FieldError::ExitToName.into()),
            (true, true, false) => Signal::Exit2ToAlias { from, to: decoder.reference()?, priority },
            (false, true, false) if priority == Priority::High => {
                Signal::SendToAliasWithPriority { from, to: decoder.reference()? }
            }
            (false, true, false) => Signal::SendToAlias { from, to: decoder.reference()? },
            (false, false, true) => Signal::SendToName { from, to: decoder.atom()? },
            (_, false, false) if is_atom(decoder)? => return Err(FieldError::UnflaggedName.into()),
            (true, false, false) => Signal::Exit2 { from, to: decoder.pid()? },
            (false, false, false) => Signal::Send { from: Some(from), to: decoder.pid()? },
        };
        *token = has_token.then(|| decoder.term()).transpose()?;
        Ok(())
    }
}

#[cfg(test)]
impl From<&AltactSigSend> for Signal {
    fn from(message: &AltactSigSend) -> Self {
        let from = message.from.clone();
        match (message.kind, message.to.clone()) {
            (SignalKind::Message, SignalTarget::Pid(to)) => Signal::Send { from: Some(from), to },
            (SignalKind::Message, SignalTarget::Alias(to)) if message.priority == Priority::High => {
                Signal::SendToAliasWithPriority { from, to }
            }
            (SignalKind::Message, SignalTarget::Alias(to)) => Signal::SendToAlias { from, to },
            (SignalKind::Message, SignalTarget::Name(to)) => Signal::SendToName { from, to },
            (SignalKind::Exit, SignalTarget::Pid(to)) => Signal::Exit2 { from, to },
            (SignalKind::Exit, SignalTarget::Alias(to)) => {
                Signal::Exit2ToAlias { from, to, priority: message.priority }
            }
            (SignalKind::Exit, SignalTarget::Name(_)) => panic!("no exit signal has a name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{assert_traced, assert_wire, atom, b, read_control, token};

    /// From OTP 29: messages to an alias, ordinary, with priority and traced; `exit(Alias, Reason)`, ordinary and with
    /// priority; and `exit(Pid, Reason, [priority])`.
    #[test]
    fn wire() {
        const FROM: &str = "58 7718 65726c616e675f31373633335f31403132372e302e302e31 00000059 00000000 7b9874ed";
        const ALIAS: &str =
            "5a 0003 7716 706565725f31373633335f32403132372e302e302e32 0000004d 00000006 00000002 00000003";
        const PID: &str = "58 7716 706565725f31373633335f32403132372e302e302e32 00000009 00000000 0000004d";
        let from = Pid { node: atom("erlang_17633_1@127.0.0.1"), id: 89, serial: 0, creation: 0x7b98_74ed };
        let us = atom("peer_17633_2@127.0.0.2");
        let alias = SignalTarget::Alias(Reference::new(us.clone(), 77, &[6, 2, 3]).unwrap());
        let message =
            AltactSigSend { priority: Priority::Ordinary, kind: SignalKind::Message, from: from.clone(), to: alias };
        assert_wire(&format!("6804 6125 6104 {FROM} {ALIAS}"), message.clone());
        let priority = AltactSigSend { priority: Priority::High, ..message.clone() };
        assert_wire(&format!("6804 6125 6105 {FROM} {ALIAS}"), priority.clone());
        let traced = format!("6805 6125 6106 {FROM} {ALIAS} 6805 6100 6111 6101 {FROM} 6100");
        assert_traced(&traced, message.clone(), token(17, 1, from, 0));
        let exit = AltactSigSend { kind: SignalKind::Exit, ..message };
        assert_wire(&format!("6804 6125 6114 {FROM} {ALIAS}"), exit);
        let exit = AltactSigSend { kind: SignalKind::Exit, ..priority };
        assert_wire(&format!("6804 6125 6115 {FROM} {ALIAS}"), exit.clone());
        let to = SignalTarget::Pid(Pid { node: us, id: 9, serial: 0, creation: 77 });
        assert_wire(&format!("6804 6125 6111 {FROM} {PID}"), AltactSigSend { to, ..exit });
    }

    /// OTP 29 accepts this form, but sends to names by `REG_SEND`.
    #[test]
    fn to_a_name() {
        let message = AltactSigSend {
            priority: Priority::Ordinary,
            kind: SignalKind::Message,
            from: b(0x55),
            to: SignalTarget::Name(atom("sink")),
        };
        let from = "58 770b 62403132372e302e302e31 00000055 00000000 000003e9";
        assert_wire(&format!("6804 6125 6108 {from} 770473696e6b"), message);
    }

    #[test]
    fn refusals() {
        const PID: &str = "58 770b 61403132372e302e302e31 00000009 00000000 000003ea";
        assert!(read_control(&format!("6804 6125 610c {PID} {PID}")).is_err());
        assert!(read_control(&format!("6804 6125 6118 {PID} 7704 73696e6b")).is_err());
        assert!(read_control(&format!("6804 6125 6102 {PID} {PID}")).is_err());
        assert!(read_control(&format!("6805 6125 6100 {PID} {PID} 6a")).is_err());
        assert!(matches!(
            read_control(&format!("6804 6125 6e 02 00 00 01 {PID} {PID}")),
            Ok((_, Signal::Send { .. }, None))
        ));
    }
}
