//! Supervisors: processes that start others, and start them again when they fail.
//!
//! Erlang docs: stdlib, [`supervisor`](https://www.erlang.org/doc/apps/stdlib/supervisor.html).

mod child;
mod children;
mod error;
mod handle;
mod intensity;
mod process;
mod request;
mod shutdown;

pub(crate) use child::is_failure;
pub use child::{ChildSpec, Parent, Restart};
pub use children::Strategy;
pub use error::ChildError;
pub use handle::Handle;
pub use intensity::Intensity;
pub(crate) use intensity::Restarts;
pub use process::Supervisor;
pub use shutdown::Shutdown;
pub(crate) use shutdown::end_all;
