//! `SEND` and `SEND_TT`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A message to a process. The payload is the message. Used when the peer lacks `SEND_SENDER`.
    ///
    /// `{2, '', To}`, or `{12, '', To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `SEND`.
    Send = 2 | 12, payload => Send {
        absent from,
        unused,
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
        assert_wire("6803 6102 7700 58 770b 62403132372e302e302e31 00000058 00000000 000003e9", Send { to: b(0x58) });
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6804 610c 7700 58 770b 62403132372e302e302e31 0000005a 00000000 000003e9 6805 6100 6111 6102 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            Send { to: b(0x5a) },
            token(17, 2, a(9), 0),
        );
    }
}
