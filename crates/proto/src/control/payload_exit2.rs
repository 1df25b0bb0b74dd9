//! `PAYLOAD_EXIT2`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// An exit signal sent by `exit/2`. The payload is the exit reason.
    ///
    /// `{26, FromPid, To}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_EXIT2`.
    PayloadExit2 = 26, payload, needs EXIT_PAYLOAD {
        /// The sender.
        from: Pid,
        /// The process to end.
        to: Pid,
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
            "6803 611a 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            PayloadExit2 { from: a(9), to: b(0x58) },
        );
    }
}
