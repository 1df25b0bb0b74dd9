use peerl_node::NodeBuilder;

use crate::System;

/// Begins to set up a node with this name, as `name@host`. The host is the one under which peers reach this node.
///
/// It has what peers, shells and tools of the BEAM expect of every node: the processes of [`System`], the
/// [functions](crate::functions), and [`global`](crate::global), by which a visible node is a full member of its mesh. A node
/// without them is [`NodeBuilder::new`].
pub fn node(name: impl Into<String>) -> NodeBuilder {
    System::new().node(name)
}

/// Begins to set up a [guest](NodeBuilder::guest), a hidden node that calls its peers and is called by none, with the same
/// processes and functions.
pub fn guest() -> NodeBuilder {
    System::new().guest()
}
