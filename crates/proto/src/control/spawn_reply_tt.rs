//! `SPAWN_REPLY_TT`.

use peerl_term::{Atom, Pid, Reference, Term};

use super::{SpawnReplyFlags, control_message};

control_message! {
    /// [`SpawnReply`](super::SpawnReply) with a sequential trace token.
    ///
    /// `{32, Ref, To, Flags, PidOrReason, Token}`. Erlang docs: *Distribution Protocol*, `SPAWN_REPLY_TT`.
    SpawnReplyTt = 32, no_payload {
        /// The request answered.
        reference: Reference,
        /// The process that asked.
        to: Pid,
        /// What was set up for the new process.
        flags: SpawnReplyFlags,
        /// The new process, or why there is none: `badopt`, `system_limit`, `noconnection` or `notsup`.
        result: Result<Pid, Atom>,
        /// The sequential trace token.
        token: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_wire, b, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6806 6120 5a 0003 770b 61403132372e302e302e31 000003ea 00001e82 1fc40002 37228ae9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6103 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6805 6100 6111 6105 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6104",
            SpawnReplyTt {
                reference: a_ref([0x1e82, 0x1fc40002, 0x37228ae9]),
                to: a(9),
                flags: SpawnReplyFlags::LINK | SpawnReplyFlags::MONITOR,
                result: Ok(b(0x5c)),
                token: token(17, 5, b(0x5c), 4),
            },
        );
    }
}
