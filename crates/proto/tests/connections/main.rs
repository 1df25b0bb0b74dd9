//! Two nodes in memory with simulated time: what happens on connections, and in which order.

mod hostile;
mod lanes;
mod pair;
mod races;
mod splits;
mod ticks;
