//! The result of an item.

use std::time::Duration;

use peerl_node::NodeName;

use crate::items::Item;

/// The answer for one item.
#[derive(Debug)]
pub struct Answer<T> {
    /// The item's index.
    pub index: usize,
    /// The item.
    pub item: Item,
    /// The node that answered, if any.
    pub node: Option<NodeName>,
    /// The duration.
    pub elapsed: Duration,
    /// The value, or the error.
    pub result: T,
}
