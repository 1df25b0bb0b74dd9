//! `SPAWN_REQUEST_TT`.

use peerl_term::{Pid, Reference, Term};

use super::{BadOption, Mfa, SpawnOptions, control_message};

control_message! {
    /// [`SpawnRequest`](super::SpawnRequest) with a sequential trace token.
    ///
    /// `{30, Ref, FromPid, GroupLeaderPid, {Module, Function, Arity}, Options, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `SPAWN_REQUEST_TT`.
    SpawnRequestTt = 30, payload, needs SPAWN {
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
        /// The sequential trace token.
        token: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_wire, atom, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6807 611e 5a 0003 770b 61403132372e302e302e31 000003ea 00001e82 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 61403132372e302e302e31 00000047 00000000 000003ea 6803 77027363 770473696e6b 6100 6c 00000002 77046c696e6b 77076d6f6e69746f72 6a 6805 6100 6111 6105 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            SpawnRequestTt {
                reference: a_ref([0x1e82, 0x1fc40002, 0x37228ae9]),
                from: a(9),
                group_leader: a(0x47),
                function: Mfa { module: atom("sc"), function: atom("sink"), arity: 0 },
                options: Ok(SpawnOptions { link: true, monitor: true }),
                token: token(17, 5, a(9), 0),
            },
        );
    }
}
