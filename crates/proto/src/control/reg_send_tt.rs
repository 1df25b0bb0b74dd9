//! `REG_SEND_TT`.

use peerl_term::{Atom, Pid, Term};

use super::control_message;

control_message! {
    /// [`RegSend`](super::RegSend) with a sequential trace token.
    ///
    /// `{16, FromPid, '', To, Token}`, then the payload. Erlang docs: *Distribution Protocol*, `REG_SEND_TT`.
    RegSendTt = 16, payload {
        /// The sender.
        from: Pid,
        unused,
        /// The registered name of the receiver.
        to: Atom,
        /// The sequential trace token.
        token: Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, assert_wire, atom, token};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6805 6110 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 7700 770473696e6b 6805 6100 6111 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 6100",
            RegSendTt { from: a(9), to: atom("sink"), token: token(17, 1, a(9), 0) },
        );
    }
}
