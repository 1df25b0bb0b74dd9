//! `ALIAS_SEND` and `ALIAS_SEND_TT`.

use peerl_term::{Pid, Reference};

use super::control_message;

control_message! {
    /// A message to an alias. The payload is the message.
    ///
    /// `{33, FromPid, To}`, or `{34, FromPid, To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `ALIAS_SEND`.
    AliasSend = 33 | 34, payload, needs ALIAS => SendToAlias {
        /// The sender.
        from: Pid,
        /// The alias of the receiver.
        to: Reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a_ref, assert_traced, assert_wire, b, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6803 6121 58 770b 62403132372e302e302e31 00000055 00000000 000003e9 5a 0003 770b 61403132372e302e302e31 000003ea 00001e7c 1fc50002 37228ae9",
            AliasSend { from: b(0x55), to: a_ref([0x1e7c, 0x1fc50002, 0x37228ae9]) },
        );
    }

    /// OTP 25 to OTP 25.
    #[test]
    fn traced() {
        assert_traced(
            "6804 6122 58 770b 62403132372e302e302e31 00000055 00000000 000003e9 5a 0003 770b 61403132372e302e302e31 000003ea 00001e7c 1fc50002 37228ae9 6805 6100 6111 6109 58 770b 62403132372e302e302e31 00000055 00000000 000003e9 6108",
            AliasSend { from: b(0x55), to: a_ref([0x1e7c, 0x1fc50002, 0x37228ae9]) },
            token(17, 9, b(0x55), 8),
        );
    }
}
