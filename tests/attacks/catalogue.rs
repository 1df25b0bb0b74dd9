//! All attacks.

use super::connections::{self, Frame};
use super::fragments::Rest;
use super::services::{self, Request};
use super::tables::Entry;
use super::terms::{Delivery, Part, Shape};
use super::visitors::{self, Unread};
use super::{Attack, Reading, calls, crowds, floods, fragments, pages, tables, terms};

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
    all.push(tables::exits(Entry::Monitor, 50_000, Reading::Read));
    all.push(tables::exits(Entry::Monitor, 50_000, Reading::Unread));
    all.push(tables::exits(Entry::Link, 50_000, Reading::Unread));
    all.push(tables::large_exit(8));
    all
}

pub fn calls() -> Vec<Attack> {
    vec![
        calls::sleeping(1_000_000),
        calls::sleeping_with_arguments(100_000),
        calls::waiting_behind_large_messages(40),
        calls::unread(4),
        calls::unread_amplified(4),
        calls::unread_introspection(4),
    ]
}

pub fn floods() -> Vec<Attack> {
    let mut all: Vec<_> = [10, 2 << 10, 60 << 10].map(|size| floods::messages(size, 2)).into();
    all.push(floods::in_large_reads(8000));
    all
}

pub fn services() -> Vec<Attack> {
    let mut all: Vec<_> = Request::ALL.iter().map(|&request| services::requests(request, 1)).collect();
    all.push(services::requests(Request::LogEvent, 2));
    all.push(services::vanishing_members(4));
    all
}

pub fn connections() -> Vec<Attack> {
    let mut all = vec![
        connections::full_atom_caches(2000),
        connections::begun_messages(6000),
        connections::frames_that_fill_a_read(64 << 10),
        connections::frames_that_fill_a_read(512),
    ];
    all.extend(Frame::ALL.map(|frame| connections::frames(frame, Reading::Unread)));
    all.push(connections::frames(Frame::LinkAndUnlink, Reading::Read));
    all
}

pub fn crowds() -> Vec<Attack> {
    vec![
        crowds::ends_at_once(3000),
        crowds::long_work_at_once(700),
        crowds::replaced_within_long_work(4),
        crowds::ends_beside_many_links(1_000_000),
    ]
}

pub fn pages() -> Vec<Attack> {
    vec![
        pages::long_address(100 << 20),
        pages::long_option(100 << 20),
        pages::hosts_that_keep_connections(4096),
        pages::rules(1000),
        pages::endless(1000),
    ]
}

/// Those of the visitors of a page.
pub fn visitors() -> Vec<Attack> {
    vec![visitors::bodies_that_stop(400), visitors::unread(Unread::Page, 100), visitors::unread(Unread::Events, 500)]
}
