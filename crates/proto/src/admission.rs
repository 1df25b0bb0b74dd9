//! Which connections may wait at a port that strangers can reach, and what is logged of those that are turned away.

mod pending;
mod rejections;

pub use pending::{Displaced, Origin, PendingConnections};
pub use rejections::{Rejections, Summary};
