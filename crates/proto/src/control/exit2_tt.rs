//! `EXIT2_TT`.

use peerl_term::{Pid, Term};

use super::control_message;

control_message! {
    /// [`Exit2`](super::Exit2) with a sequential trace token. OTP 25 reads it but never sends it.
    ///
    /// `{18, FromPid, To, Token, Reason}`. Erlang docs: *Distribution Protocol*, `EXIT2_TT`.
    Exit2Tt = 18, no_payload {
        /// The sender.
        from: Pid,
        /// The process to end.
        to: Pid,
        /// The sequential trace token.
        token: Term,
        /// The exit reason.
        reason: Term,
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
            "6805 6112 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 6805 6100 6111 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100 77037a6170",
            Exit2Tt { from: a(9), to: b(0x58), token: token(17, 1, a(9), 0), reason: Term::atom("zap") },
        );
    }
}
