//! `PAYLOAD_EXIT_TT`.

use peerl_term::{Pid, Term};

use super::control_message;

control_message! {
    /// [`PayloadExit`](super::PayloadExit) with a sequential trace token.
    ///
    /// `{25, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_EXIT_TT`.
    PayloadExitTt = 25, payload, needs EXIT_PAYLOAD {
        /// The process that exited.
        from: Pid,
        /// The process that it was linked to.
        to: Pid,
        /// The sequential trace token.
        token: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_wire, b, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6119 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6805 6100 6111 6106 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6105",
            PayloadExitTt { from: b(0x5c), to: a(9), token: token(17, 6, b(0x5c), 5) },
        );
    }
}
