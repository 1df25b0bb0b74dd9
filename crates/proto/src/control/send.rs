//! `SEND`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A message to a process. The payload is the message. Used when the peer lacks `SEND_SENDER`.
    ///
    /// `{2, '', To}`, then the payload. Erlang docs: *Distribution Protocol*, `SEND`.
    Send = 2, payload {
        unused,
        /// The receiver.
        to: Pid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{assert_wire, b};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire("6803 6102 7700 58 770b 62403132372e302e302e31 00000058 00000000 000003e9", Send { to: b(0x58) });
    }
}
