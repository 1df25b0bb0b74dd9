//! `UNLINK`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// A link is taken away. Obsolete: OTP 26 and later close the connection on it, and every peer takes
    /// [`UnlinkId`](super::UnlinkId). It is read, but never sent.
    ///
    /// `{4, FromPid, To}`. Erlang docs: *Distribution Protocol*, `UNLINK`.
    Unlink = 4, no_payload, obsolete {
        /// The process that unlinks.
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
            "6803 6104 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            Unlink { from: a(9), to: b(0x58) },
        );
    }
}
