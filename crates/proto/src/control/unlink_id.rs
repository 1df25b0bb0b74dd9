//! `UNLINK_ID`.

use std::num::NonZeroU64;

use peerl_term::Pid;

use super::control_message;

control_message! {
    /// Removes a link. The receiver answers with an [`UnlinkIdAck`](super::UnlinkIdAck), whether or not there was a
    /// link.
    ///
    /// `{35, Id, FromPid, To}`. Erlang docs: *Distribution Protocol*, `UNLINK_ID`.
    UnlinkId = 35, empty, needs UNLINK_ID => Unlink {
        /// The number of this unlink, unique among the unacknowledged ones between the two processes.
        id: NonZeroU64,
        /// The unlinking process.
        from: Pid,
        /// The process to unlink from.
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
            "6804 6123 6104 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9",
            UnlinkId { id: NonZeroU64::new(4).unwrap(), from: a(9), to: b(0x58) },
        );
    }
}
