//! Which connections may wait at a port that is open to anyone, and how rejected ones are logged.

mod pending;
mod rejections;

pub use pending::{Displaced, Origin, PendingConnections};
pub use rejections::{Rejections, Summary};
