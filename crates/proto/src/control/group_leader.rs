//! `GROUP_LEADER`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// Changes the group leader of a process.
    ///
    /// `{7, FromPid, To}`. Erlang docs: *Distribution Protocol*, `GROUP_LEADER`.
    GroupLeader = 7, empty => GroupLeader {
        /// The new group leader.
        from: Pid,
        /// The process.
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
            "6803 6107 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            GroupLeader { from: a(9), to: b(0x58) },
        );
    }
}
