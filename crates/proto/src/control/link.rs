//! `LINK`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// Makes a link from one process to another.
    ///
    /// `{1, FromPid, To}`. Erlang docs: *Distribution Protocol*, `LINK`.
    Link = 1, empty => Link {
        /// The linking process.
        from: Pid,
        /// The process to link to.
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
            "6803 6101 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            Link { from: a(9), to: b(0x58) },
        );
    }
}
