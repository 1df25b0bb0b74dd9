use crate::Atom;

/// The identifier of a process, on any node.
///
/// Two pids are of the same process only if all four parts are equal: another `creation` means another incarnation of
/// the node. (erl_ext_dist, `NEW_PID_EXT`.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pid {
    /// The name of the process's node, as `name@host`.
    pub node: Atom,
    /// The process's number.
    pub id: u32,
    /// Counts wrap-arounds of the numbers.
    pub serial: u32,
    /// The incarnation of the node.
    pub creation: u32,
}

impl Pid {
    /// A placeholder for [`Decoder::read_pid`](crate::Decoder::read_pid): a pid of no node.
    pub const VACANT: Self = Self { node: Atom::from_static(""), id: 0, serial: 0, creation: 0 };
}
