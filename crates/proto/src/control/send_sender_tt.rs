//! `SEND_SENDER_TT`.

use peerl_term::{Pid, Term};

use super::control_message;

control_message! {
    /// [`SendSender`](super::SendSender) with a sequential trace token.
    ///
    /// `{23, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `SEND_SENDER_TT`.
    SendSenderTt = 23, payload, needs SEND_SENDER {
        /// The sender.
        from: Pid,
        /// The receiver.
        to: Pid,
        /// The sequential trace token.
        token: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_wire, b, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6117 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 0000005a 00000000 000003e9 6805 6100 6111 6102 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            SendSenderTt { from: a(9), to: b(0x5a), token: token(17, 2, a(9), 0) },
        );
    }
}
