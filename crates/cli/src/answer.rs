//! What comes of an item of a job.

use std::time::Duration;

use peerl_node::NodeName;

use crate::items::Item;

/// An answer for one item.
#[derive(Debug)]
pub struct Answer<T> {
    /// The item's place in the whole job.
    pub index: usize,
    /// The item.
    pub item: Item,
    /// The node that gave it.
    pub node: Option<NodeName>,
    /// How long it took.
    pub elapsed: Duration,
    /// The value, or why there is none.
    pub result: T,
}
