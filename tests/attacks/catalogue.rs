//! All attacks.

use super::Attack;
use super::fragments::Rest;
use super::tables::Entry;
use super::terms::{Delivery, Part, Shape};
use super::{calls, floods, fragments, tables, terms};

/// Every shape as an argument, and the deepest term in every place and in every way.
pub fn terms() -> Vec<Attack> {
    const PARTS: [Part; 4] = [Part::Message("rex"), Part::Message("net_kernel"), Part::ExitReason, Part::DownReason];
    const WAYS: [Delivery; 2] = [Delivery::Fragments, Delivery::Turns(10)];
    let mut all: Vec<_> =
        Shape::ALL.iter().map(|&shape| terms::attack(shape, Part::Argument, Delivery::Frames)).collect();
    all.extend(PARTS.map(|part| terms::attack(Shape::Tuples, part, Delivery::Frames)));
    all.extend(WAYS.map(|way| terms::attack(Shape::Tuples, Part::Argument, way)));
    all.push(terms::attack(Shape::SmallTuples, Part::Message("rex"), Delivery::Turns(10)));
    all
}

pub fn fragments() -> Vec<Attack> {
    vec![fragments::unfinished(4), fragments::announced(Rest::Stops, 8), fragments::announced(Rest::Drips, 64)]
}

pub fn tables() -> Vec<Attack> {
    let mut all: Vec<_> = Entry::ALL.iter().map(|&entry| tables::entries(entry, 1_000_000)).collect();
    all.push(tables::linked_calls(1_000_000));
    all
}

pub fn calls() -> Vec<Attack> {
    vec![
        calls::sleeping(1_000_000),
        calls::sleeping_with_arguments(100_000),
        calls::unread(4),
        calls::unread_amplified(4),
    ]
}

pub fn floods() -> Vec<Attack> {
    [10, 2 << 10, 60 << 10].map(|size| floods::messages(size, 2)).into()
}
