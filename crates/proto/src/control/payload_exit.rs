//! `PAYLOAD_EXIT` and `PAYLOAD_EXIT_TT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A linked process has exited. The payload is the exit reason.
    ///
    /// `{24, FromPid, To}`, or `{25, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_EXIT`.
    PayloadExit = 24 | 25, payload, needs EXIT_PAYLOAD => Exit {
        /// The process that exited.
        from: Pid,
        /// The process that it was linked to.
        to: Pid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_traced, assert_wire, b, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6803 6118 58 770b 62403132372e302e302e31 00000059 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea",
            PayloadExit { from: b(0x59), to: a(9) },
        );
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6804 6119 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6805 6100 6111 6106 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6105",
            PayloadExit { from: b(0x5c), to: a(9) },
            token(17, 6, b(0x5c), 5),
        );
    }
}
