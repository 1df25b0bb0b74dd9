//! The common parts of the tests and benchmarks of AWS: clients of a simulation of AWS, and its instances and tasks.
#![allow(missing_docs, reason = "fixtures of tests, whose names say what they are")]

pub mod ask;
pub mod failures;
pub mod fleet;
pub mod tasks;
