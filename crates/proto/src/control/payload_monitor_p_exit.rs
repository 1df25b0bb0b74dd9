//! `PAYLOAD_MONITOR_P_EXIT`.

use peerl_term::{Pid, Reference};

use super::{ProcessId, control_message};

control_message! {
    /// A monitored process has exited. The payload is the exit reason.
    ///
    /// `{28, FromPid, To, Ref}`, then the payload. Erlang docs: *Distribution Protocol*, `PAYLOAD_MONITOR_P_EXIT`.
    PayloadMonitorPExit = 28, payload, needs DIST_MONITOR | DIST_MONITOR_NAME | EXIT_PAYLOAD => MonitorExit {
        /// The monitored process, as named in the [`MonitorP`](super::MonitorP): a name stays a name.
        from: ProcessId,
        /// The monitoring process.
        to: Pid,
        /// The monitor.
        reference: Reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, assert_wire, atom};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 611c 77066e6f73756368 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 5a 0003 770b 61403132372e302e302e31 000003ea 00001e7a 1fc40002 37228ae9",
            PayloadMonitorPExit {
                from: ProcessId::Name(atom("nosuch")),
                to: a(9),
                reference: a_ref([0x1e7a, 0x1fc40002, 0x37228ae9]),
            },
        );
    }
}
