//! `UNLINK_ID_ACK`.

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// Acknowledges an [`UnlinkId`](super::UnlinkId).
    ///
    /// `{36, Id, FromPid, To}`. Erlang docs: *Distribution Protocol*, `UNLINK_ID_ACK`.
    UnlinkIdAck = 36, empty => UnlinkAck {
        /// The number of the unlink: not 0, and unique among the unacknowledged ones between the two processes.
        id: u64,
        /// The acknowledging process.
        from: Pid,
        /// The unlinking process.
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
            "6804 6124 6104 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 58 770b 61403132372e302e302e31 00000009 00000000 000003ea",
            UnlinkIdAck { id: 4, from: b(0x58), to: a(9) },
        );
    }
}
