//! Supervisors: processes that start others, and start them again when they fail.

mod child;
mod intensity;
mod shutdown;

pub use child::Restart;
pub(crate) use child::is_failure;
pub use intensity::Intensity;
pub(crate) use intensity::Restarts;
pub use shutdown::Shutdown;
pub(crate) use shutdown::end_all;
