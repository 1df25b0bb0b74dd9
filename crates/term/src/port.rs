use crate::Atom;

/// The identifier of a port, on any node. (erl_ext_dist, `V4_PORT_EXT` and `NEW_PORT_EXT`.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// The name of the node that owns the port, as `name@host`.
    pub node: Atom,
    /// The port's number.
    pub id: u64,
    /// The incarnation of the node.
    pub creation: u32,
}
