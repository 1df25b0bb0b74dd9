//! `SEND_SENDER` and `SEND_SENDER_TT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A message to a process. The payload is the message.
    ///
    /// `{22, FromPid, To}`, or `{23, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `SEND_SENDER`.
    SendSender = 22 | 23, payload, needs SEND_SENDER => Send {
        /// The sender.
        from: Pid,
        /// The receiver.
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
            "6803 6116 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            SendSender { from: a(9), to: b(0x58) },
        );
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6804 6117 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 0000005a 00000000 000003e9 6805 6100 6111 6102 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            SendSender { from: a(9), to: b(0x5a) },
            token(17, 2, a(9), 0),
        );
    }
}
