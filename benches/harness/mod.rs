//! What all benchmarks of the network share: settings, the machine's description, and contests with interleaved
//! rounds.
#![allow(dead_code, unused_imports, reason = "each benchmark uses a part")]

mod contest;
mod machine;
mod processor;
mod settings;

pub(crate) use contest::{Bound, Contest, Measure};
pub(crate) use machine::describe;
pub(crate) use processor::Processor;
pub(crate) use settings::Settings;
