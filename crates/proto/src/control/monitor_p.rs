//! `MONITOR_P`.

use peerl_term::{Pid, Reference};

use super::{ProcessId, control_message};

control_message! {
    /// A process starts to monitor another.
    ///
    /// `{19, FromPid, To, Ref}`. Erlang docs: *Distribution Protocol*, `MONITOR_P`.
    MonitorP = 19, empty, needs DIST_MONITOR | DIST_MONITOR_NAME => Monitor {
        /// The monitoring process.
        from: Pid,
        /// The monitored process, by pid or registered name.
        to: ProcessId,
        /// The monitor, made by the monitoring process.
        reference: Reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_wire, b};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6113 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 58 770b 62403132372e302e302e31 00000058 00000000 000003e9 5a 0003 770b 61403132372e302e302e31 000003ea 00001e78 1fc40002 37228ae9",
            MonitorP {
                from: a(9),
                to: ProcessId::Pid(b(0x58)),
                reference: a_ref([0x00001e78, 0x1fc40002, 0x37228ae9]),
            },
        );
    }
}
