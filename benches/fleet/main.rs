//! A fleet at work: the time until a new member is connected, the gain from more workers, and the cost of a death.
//! `cargo bench -p peerl-aws-tests --bench fleet`, or a part: `-- --only join`, `-- --only workers`, `-- --only
//! killed`
//!
//! Workers of peerl are `peerl worker`; those of Elixir are BEAM nodes with the fetch of the Elixir program that
//! peerl's workers can replace (`:httpc` and `:crypto`). All give the same answers to the same call.

#![allow(missing_docs)]

#[path = "../harness/mod.rs"]
mod harness;

mod elixir;
mod join;
mod killed;
mod pages;
mod peerl;
mod workers;

use harness::{Settings, describe};

fn main() {
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    let runtime = settings.runtime();
    if settings.wants("join") {
        join::run(&settings, &runtime);
    }
    if settings.wants("workers") {
        workers::run(&settings, &runtime);
    }
    if settings.wants("killed") {
        killed::run(&settings, &runtime);
    }
}

/// The value in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
