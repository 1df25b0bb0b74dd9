//! `PAYLOAD_EXIT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A linked process has exited. The payload is the exit reason.
    ///
    /// `{24, FromPid, To}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_EXIT`.
    PayloadExit = 24, payload, needs EXIT_PAYLOAD {
        /// The process that exited.
        from: Pid,
        /// The process that it was linked to.
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
            "6803 6118 58 770b 62403132372e302e302e31 00000059 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea",
            PayloadExit { from: b(0x59), to: a(9) },
        );
    }
}
