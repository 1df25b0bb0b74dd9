//! `SEND_SENDER`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A message to a process. The payload is the message.
    ///
    /// `{22, FromPid, To}`, then the payload. Erlang docs: *Distribution Protocol*, `SEND_SENDER`.
    SendSender = 22, payload, needs SEND_SENDER {
        /// The sender.
        from: Pid,
        /// The receiver.
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
            "6803 6116 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            SendSender { from: a(9), to: b(0x58) },
        );
    }
}
