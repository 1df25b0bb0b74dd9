//! `SPAWN_REQUEST` and `SPAWN_REQUEST_TT`.

use peerl_term::{Atom, Decoder, Pid, Reference, Sink, encode};

use super::{
    BadOption, Content, Control, ControlError, Mfa, Signal, SpawnOptions,
    field::{Element, Field},
    macros::{Received, Traced},
    sealed::Sealed,
};
use crate::flags::DistributionFlags;

/// Starts a process on the receiver's node. The payload is the argument list.
///
/// `{29, Ref, FromPid, GroupLeaderPid, {Module, Function, Arity}, Options}`, or the same with a `Token` as `{30, ..}`, then the
/// payload. Erlang docs: *Distribution Protocol*, `SPAWN_REQUEST`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpawnRequest {
    /// The identity of the request; also of the monitor, if one is requested.
    pub reference: Reference,
    /// The requesting process.
    pub from: Pid,
    /// The group leader of the new process.
    pub group_leader: Pid,
    /// The function that the new process runs.
    pub function: Mfa,
    /// The options; `Err` if they are invalid.
    pub options: Result<SpawnOptions, BadOption>,
}

impl Received for SpawnRequest {
    const OPERATION: u8 = 29;
    const ARITY: usize = 6;
    const CONTENT: Content = Content::Payload;

    #[inline(always)]
    fn read_elements(signal: &mut Signal, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        *signal = Signal::SpawnRequest(SpawnRequest {
            reference: Field::vacant(),
            from: Field::vacant(),
            group_leader: Field::vacant(),
            function: Field::vacant(),
            options: Field::vacant(),
        });
        if let Signal::SpawnRequest(request) = signal {
            request.reference.read(decoder)?;
            request.from.read(decoder)?;
            request.group_leader.read(decoder)?;
            request.function.read(decoder)?;
            request.options.read(decoder)?;
        }
        Ok(())
    }
}

impl Traced for SpawnRequest {
    const TRACED: u8 = 30;
}

/// A [`SpawnRequest`] to send, with borrowed parts.
#[derive(Clone, Copy, Debug)]
pub struct BorrowedSpawnRequest<'a> {
    /// The identity of the request; also of the monitor, if one is requested.
    pub reference: &'a Reference,
    /// The requesting process.
    pub from: &'a Pid,
    /// The group leader of the new process.
    pub group_leader: &'a Pid,
    /// The function's module.
    pub module: &'a Atom,
    /// The function's name.
    pub function: &'a Atom,
    /// The function's arity.
    pub arity: u8,
    /// The options.
    pub options: SpawnOptions,
}

impl Sealed for BorrowedSpawnRequest<'_> {}

impl Control for BorrowedSpawnRequest<'_> {
    fn operation(&self) -> u8 {
        SpawnRequest::OPERATION
    }

    fn content(&self) -> Content {
        Content::Payload
    }

    fn is_offered(&self, flags: DistributionFlags) -> bool {
        flags.contains(DistributionFlags::SPAWN)
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::tuple_header(6, sink);
        encode::integer(self.operation().into(), sink);
        encode::reference(self.reference, sink);
        encode::pid(self.from, sink);
        encode::pid(self.group_leader, sink);
        encode::tuple_header(3, sink);
        encode::atom(self.module, sink);
        encode::atom(self.function, sink);
        encode::integer(self.arity.into(), sink);
        self.options.encode(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_read, atom, hex, token};

    fn request(reference: Reference) -> Signal {
        Signal::SpawnRequest(SpawnRequest {
            reference,
            from: a(9),
            group_leader: a(0x47),
            function: Mfa { module: atom("sc"), function: atom("sink"), arity: 0 },
            options: Ok(SpawnOptions { link: true, monitor: true }),
        })
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        const WIRE: &str = "6806 611d 5a 0003 770b 61403132372e302e302e31 000003ea 00001e77 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 61403132372e302e302e31 00000047 00000000 000003ea 6803 77027363 770473696e6b 6100 6c 00000002 77046c696e6b 77076d6f6e69746f72 6a";
        let reference = a_ref([0x1e77, 0x1fc40002, 0x37228ae9]);
        let sent = BorrowedSpawnRequest {
            reference: &reference,
            from: &a(9),
            group_leader: &a(0x47),
            module: &atom("sc"),
            function: &atom("sink"),
            arity: 0,
            options: SpawnOptions { link: true, monitor: true },
        };
        let mut written = Vec::new();
        sent.encode(&mut written);
        assert_eq!(written, hex(WIRE));
        assert_read(WIRE, request(reference), None);
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_read(
            "6807 611e 5a 0003 770b 61403132372e302e302e31 000003ea 00001e82 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 61403132372e302e302e31 00000047 00000000 000003ea 6803 77027363 770473696e6b 6100 6c 00000002 77046c696e6b 77076d6f6e69746f72 6a 6805 6100 6111 6105 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            request(a_ref([0x1e82, 0x1fc40002, 0x37228ae9])),
            Some(token(17, 5, a(9), 0)),
        );
    }
}
