//! `REG_SEND` and `REG_SEND_TT`.

use peerl_term::{Atom, Pid};

use super::control_message;

control_message! {
    /// A message to a registered name. The payload is the message.
    ///
    /// `{6, FromPid, '', To}`, or `{16, FromPid, '', To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `REG_SEND`.
    RegSend = 6 | 16, payload => SendToName {
        /// The sender.
        from: Pid,
        unused,
        /// The registered name of the receiver.
        to: Atom,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_traced, assert_wire, atom, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6106 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 7700 770473696e6b",
            RegSend { from: a(9), to: atom("sink") },
        );
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6805 6110 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 7700 770473696e6b 6805 6100 6111 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            RegSend { from: a(9), to: atom("sink") },
            token(17, 1, a(9), 0),
        );
    }
}
