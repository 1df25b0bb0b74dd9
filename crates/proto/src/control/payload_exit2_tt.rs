//! `PAYLOAD_EXIT2_TT`.

use peerl_term::{Pid, Term};

use super::control_message;

control_message! {
    /// [`PayloadExit2`](super::PayloadExit2) with a sequential trace token. OTP 25 reads it but never sends it.
    ///
    /// `{27, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_EXIT2_TT`.
    PayloadExit2Tt = 27, payload, needs EXIT_PAYLOAD {
        /// The sender.
        from: Pid,
        /// The process to end.
        to: Pid,
        /// The sequential trace token.
        token: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_wire, b, token};

    /// Composed after the documentation, of captured parts: no OTP sends it.
    #[test]
    fn wire() {
        assert_wire(
            "6804 611b 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 6805 6100 6111 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            PayloadExit2Tt { from: a(9), to: b(0x58), token: token(17, 1, a(9), 0) },
        );
    }
}
