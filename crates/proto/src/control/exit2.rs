//! `EXIT2`.

use peerl_term::{Pid, Term};

use super::control_message;

control_message! {
    /// An exit signal sent by `exit/2`. Used when the peer lacks `EXIT_PAYLOAD`, instead of [`PayloadExit2`](super::PayloadExit2).
    ///
    /// `{8, FromPid, To, Reason}`. Erlang docs: *Distribution Protocol*, `EXIT2`.
    Exit2 = 8, no_payload {
        /// The sender.
        from: Pid,
        /// The process to end.
        to: Pid,
        /// The exit reason.
        reason: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_wire, b};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6108 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 77037a6170",
            Exit2 { from: a(9), to: b(0x58), reason: Term::atom("zap") },
        );
    }
}
