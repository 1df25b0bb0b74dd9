//! `SPAWN_REQUEST`.

use peerl_term::{Atom, Pid, Reference, Sink, encode};

use super::{BadOption, Control, Mfa, SpawnOptions, control_message, field::Field, macros::Operation, sealed::Sealed};
use crate::flags::DistributionFlags;

control_message! {
    /// A process is to be started on the receiver's node. The payload is the argument list.
    ///
    /// `{29, Ref, FromPid, GroupLeaderPid, {Module, Function, Arity}, Options}`, then the payload. Erlang docs: *Distribution Protocol*, `SPAWN_REQUEST`.
    SpawnRequest = 29, payload, needs SPAWN {
        /// The request; also the monitor, if one is asked for.
        reference: Reference,
        /// The process that asks.
        from: Pid,
        /// The group leader of the new process.
        group_leader: Pid,
        /// The function that the new process runs.
        function: Mfa,
        /// What it asks for besides the process.
        options: Result<SpawnOptions, BadOption>,
    }
}

/// A [`SpawnRequest`] that is to be sent, made of what is there already.
#[derive(Clone, Copy, Debug)]
pub struct BorrowedSpawnRequest<'a> {
    /// The request; also the monitor, if one is asked for.
    pub reference: &'a Reference,
    /// The process that asks.
    pub from: &'a Pid,
    /// The group leader of the new process.
    pub group_leader: &'a Pid,
    /// The function's module.
    pub module: &'a Atom,
    /// The function's name.
    pub function: &'a Atom,
    /// The function's arity.
    pub arity: u8,
    /// What it asks for besides the process.
    pub options: SpawnOptions,
}

impl Sealed for BorrowedSpawnRequest<'_> {}

impl Control for BorrowedSpawnRequest<'_> {
    fn operation(&self) -> u8 {
        SpawnRequest::OPERATION
    }

    fn has_payload(&self) -> bool {
        true
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
        Field::encode(&Ok::<_, BadOption>(self.options), sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_wire, atom};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6806 611d 5a 0003 770b 61403132372e302e302e31 000003ea 00001e77 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 61403132372e302e302e31 00000047 00000000 000003ea 6803 77027363 770473696e6b 6100 6c 00000002 77046c696e6b 77076d6f6e69746f72 6a",
            SpawnRequest {
                reference: a_ref([0x1e77, 0x1fc40002, 0x37228ae9]),
                from: a(9),
                group_leader: a(0x47),
                function: Mfa { module: atom("sc"), function: atom("sink"), arity: 0 },
                options: Ok(SpawnOptions { link: true, monitor: true }),
            },
        );
    }

    #[test]
    fn a_borrowed_one_is_the_same() {
        let (module, function) = (atom("erpc"), atom("execute_call"));
        let (reference, from, group_leader) = (a_ref([1, 2, 3]), a(9), a(0x47));
        let options = SpawnOptions { link: false, monitor: true };
        let borrowed = BorrowedSpawnRequest {
            reference: &reference,
            from: &from,
            group_leader: &group_leader,
            module: &module,
            function: &function,
            arity: 4,
            options,
        };
        let (mut written, mut expected) = (Vec::new(), Vec::new());
        borrowed.encode(&mut written);
        let function = Mfa { module: module.clone(), function: function.clone(), arity: 4 };
        let owned = SpawnRequest {
            reference: reference.clone(),
            from: from.clone(),
            group_leader: group_leader.clone(),
            function,
            options: Ok(options),
        };
        owned.encode(&mut expected);
        assert_eq!(written, expected);
    }
}
