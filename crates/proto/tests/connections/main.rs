//! Two nodes in memory with simulated time: events of connections and their order.

mod hostile;
mod lanes;
mod pair;
mod races;
mod splits;
mod ticks;
