//! `PAYLOAD_EXIT2` and `PAYLOAD_EXIT2_TT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// An exit signal sent by `exit/2`. The payload is the exit reason.
    ///
    /// `{26, FromPid, To}`, or `{27, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_EXIT2`.
    PayloadExit2 = 26 | 27, payload, needs EXIT_PAYLOAD => Exit2 {
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
            "6803 611a 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            PayloadExit2 { from: a(9), to: b(0x58) },
        );
    }

    /// Composed from the documentation and captured parts: no OTP sends it.
    #[test]
    fn traced() {
        assert_traced(
            "6804 611b 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 6805 6100 6111 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            PayloadExit2 { from: a(9), to: b(0x58) },
            token(17, 1, a(9), 0),
        );
    }
}
