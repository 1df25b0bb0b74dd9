//! Two kernels and the connection between them, in memory: no socket, no runtime, no task.

mod aliases;
mod cycles;
mod exits;
mod links;
mod membership;
mod monitors;
mod names;
mod pair;
mod shares;
