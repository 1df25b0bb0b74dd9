//! `EXIT2` and `EXIT2_TT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// An exit signal sent by `exit/2`. Used when the peer lacks `EXIT_PAYLOAD`, instead of [`PayloadExit2`](super::PayloadExit2).
    ///
    /// `{8, FromPid, To, Reason}`, or `{18, FromPid, To, Token, Reason}`. Erlang docs: *Distribution Protocol*, `EXIT2`.
    Exit2 = 8 | 18, inside => Exit2 {
        /// The sender.
        from: Pid,
        /// The process to end.
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
            "6804 6108 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 77037a6170",
            Exit2 { from: a(9), to: b(0x58) },
        );
    }

    /// Composed from the documentation and captured parts: no OTP sends it.
    #[test]
    fn traced() {
        assert_traced(
            "6805 6112 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 6805 6100 6111 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100 77037a6170",
            Exit2 { from: a(9), to: b(0x58) },
            token(17, 1, a(9), 0),
        );
    }
}
