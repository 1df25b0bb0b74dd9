//! `EXIT` and `EXIT_TT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A linked process has exited. Used when the peer lacks `EXIT_PAYLOAD`, instead of [`PayloadExit`](super::PayloadExit).
    ///
    /// `{3, FromPid, To, Reason}`, or `{13, FromPid, To, Token, Reason}`. Erlang docs: *Distribution Protocol*, `EXIT`.
    Exit = 3 | 13, inside => Exit {
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
            "6804 6103 58 770b 62403132372e302e302e31 00000059 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 7703627965",
            Exit { from: b(0x59), to: a(9) },
        );
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6805 610d 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6805 6100 6111 6106 58 770b 62403132372e302e302e31 0000005c 00000000 000003e9 6105 77047a617032",
            Exit { from: b(0x5c), to: a(9) },
            token(17, 6, b(0x5c), 5),
        );
    }
}
