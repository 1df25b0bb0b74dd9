//! `SPAWN_REQUEST`.

use peerl_term::{Pid, Reference};

use super::{BadOption, Mfa, SpawnOptions, control_message};

control_message! {
    /// A process is to be started on the receiver's node. The payload is the argument list.
    ///
    /// `{29, Ref, FromPid, GroupLeaderPid, {Module, Function, Arity}, Options}`, then the payload. Erlang docs: *Distribution Protocol*, `SPAWN_REQUEST`.
    SpawnRequest = 29, payload {
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
}
