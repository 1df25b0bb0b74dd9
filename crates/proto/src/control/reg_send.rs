//! `REG_SEND`.

use peerl_term::{Atom, Pid};

use super::control_message;

control_message! {
    /// A message to a registered name. The payload is the message.
    ///
    /// `{6, FromPid, '', To}`, then the payload. Erlang docs: *Distribution Protocol*, `REG_SEND`.
    RegSend = 6, payload {
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
    use crate::test_support::{a, assert_wire, atom};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6106 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 7700 770473696e6b",
            RegSend { from: a(9), to: atom("sink") },
        );
    }
}
