//! `SPAWN_REPLY` and `SPAWN_REPLY_TT`.

use peerl_term::{Atom, Pid, Reference};

use super::{SpawnReplyFlags, control_message};

control_message! {
    /// The answer to a [`SpawnRequest`](super::SpawnRequest).
    ///
    /// `{31, Ref, To, Flags, PidOrReason}`, or `{32, Ref, To, Flags, PidOrReason, Token}`. Erlang docs: *Distribution Protocol*, `SPAWN_REPLY`.
    SpawnReply = 31 | 32, empty => SpawnReply {
        /// The request answered.
        reference: Reference,
        /// The requesting process.
        to: Pid,
        /// What was set up for the new process.
        flags: SpawnReplyFlags,
        /// The new process, or the reason of the failure: `badopt`, `system_limit`, `noconnection` or `notsup`.
        result: Result<Pid, Atom>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_traced, assert_wire, b, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6805 611f 5a 0003 770b 61403132372e302e302e31 000003ea 00001e77 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6103 58 770b 62403132372e302e302e31 00000059 00000000 000003e9",
            SpawnReply {
                reference: a_ref([0x1e77, 0x1fc40002, 0x37228ae9]),
                to: a(9),
                flags: SpawnReplyFlags::LINK | SpawnReplyFlags::MONITOR,
                result: Ok(b(0x59)),
            },
        );
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6806 6120 5a 0003 770b 61403132372e302e302e31 000003ea 00001e82 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6103 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6805 6100 6111 6105 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6104",
            SpawnReply {
                reference: a_ref([0x1e82, 0x1fc40002, 0x37228ae9]),
                to: a(9),
                flags: SpawnReplyFlags::LINK | SpawnReplyFlags::MONITOR,
                result: Ok(b(0x5c)),
            },
            token(17, 5, b(0x5c), 4),
        );
    }
}
