//! `EXIT`.

use peerl_term::{Pid, Term};

use super::control_message;

control_message! {
    /// A linked process has exited. Used when the peer lacks `EXIT_PAYLOAD`, instead of [`PayloadExit`](super::PayloadExit).
    ///
    /// `{3, FromPid, To, Reason}`. Erlang docs: *Distribution Protocol*, `EXIT`.
    Exit = 3, no_payload {
        /// The process that exited.
        from: Pid,
        /// The process that it was linked to.
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
            "6804 6103 58 770b 62403132372e302e302e31 00000059 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 7703627965",
            Exit { from: b(0x59), to: a(9), reason: Term::atom("bye") },
        );
    }
}
