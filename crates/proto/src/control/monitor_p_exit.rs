//! `MONITOR_P_EXIT`.

use peerl_term::{Pid, Reference};

use super::{ProcessId, control_message};

control_message! {
    /// A monitored process has exited. Used when the peer lacks `EXIT_PAYLOAD`, instead of
    /// [`PayloadMonitorPExit`](super::PayloadMonitorPExit).
    ///
    /// `{21, FromPid, To, Ref, Reason}`. Erlang docs: *Distribution Protocol*, `MONITOR_P_EXIT`.
    MonitorPExit = 21, inside, needs DIST_MONITOR | DIST_MONITOR_NAME => MonitorExit {
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
            "6805 6115 77066e6f73756368 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 5a 0003 770b 61403132372e302e302e31 000003ea 00035b21 9fb40001 f32d45d5 77066e6f70726f63",
            MonitorPExit {
                from: ProcessId::Name(atom("nosuch")),
                to: a(9),
                reference: a_ref([0x35b21, 0x9fb40001, 0xf32d45d5]),
            },
        );
    }
}
