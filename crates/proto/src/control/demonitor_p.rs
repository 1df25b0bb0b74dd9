//! `DEMONITOR_P`.

use peerl_term::{Pid, Reference};

use super::{ProcessId, control_message};

control_message! {
    /// A process stops monitoring another. `to` is the same as in the [`MonitorP`](super::MonitorP).
    ///
    /// `{20, FromPid, To, Ref}`. Erlang docs: *Distribution Protocol*, `DEMONITOR_P`.
    DemonitorP = 20, empty, needs DIST_MONITOR | DIST_MONITOR_NAME => Demonitor {
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
    use crate::test_support::{a, a_ref, assert_wire, atom};

    /// OTP 25 to OTP 25.
    #[test]
    fn wire() {
        assert_wire(
            "6804 6114 58 770b 61403132372e302e302e31 00000009 00000000 000003ea 770473696e6b 5a 0003 770b 61403132372e302e302e31 000003ea 00001e79 1fc40002 37228ae9",
            DemonitorP {
                from: a(9),
                to: ProcessId::Name(atom("sink")),
                reference: a_ref([0x1e79, 0x1fc40002, 0x37228ae9]),
            },
        );
    }
}
