//! What the tests and benchmarks of AWS have in common: ways to ask a stand-in for AWS, instances and tasks in it.
#![allow(missing_docs, reason = "fixtures of tests, whose names say what they are")]

pub mod ask;
pub mod failures;
pub mod fleet;
pub mod tasks;
