//! What a hostile peer that knows the cookie can do to a worker, and what the worker's other peers notice. The tests assert
//! it, and a benchmark prints its figures.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod attacker;
pub mod calls;
pub mod catalogue;
pub mod connections;
pub mod crowds;
pub mod floods;
pub mod fragments;
mod neighbours;
pub mod pages;
pub mod services;
pub mod tables;
pub mod terms;
mod trial;
mod victim;
pub mod visitors;

pub use attacker::{Attacker, Fate, Reading, Written};
pub use neighbours::{Neighbours, Seen};
pub use trial::{Outcome, Trial};
pub use victim::{MIB, Target, Victim};

use std::time::{Duration, Instant};

/// What an attack does: the outcome of its connections.
type Run = dyn Fn(&Target, Instant) -> Fate + Send + Sync;

/// An attack: it ends by itself at about the instant that it is told, and drops its connections.
pub struct Attack {
    pub name: String,
    run: Box<Run>,
}

impl Attack {
    pub fn new(name: impl Into<String>, run: impl Fn(&Target, Instant) -> Fate + Send + Sync + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// One with several connections, each from a thread of its own.
    pub fn together(
        name: impl Into<String>,
        connections: usize,
        run: impl Fn(&mut Attacker, Instant) + Send + Sync + 'static,
    ) -> Self {
        Self::side_by_side(name, connections, Reading::Read, run)
    }

    /// The same with connections that read nothing.
    pub fn deaf(
        name: impl Into<String>,
        connections: usize,
        run: impl Fn(&mut Attacker, Instant) + Send + Sync + 'static,
    ) -> Self {
        Self::side_by_side(name, connections, Reading::Unread, run)
    }

    /// Either of them.
    pub fn side_by_side(
        name: impl Into<String>,
        connections: usize,
        reading: Reading,
        run: impl Fn(&mut Attacker, Instant) + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |target, end| {
            std::thread::scope(|scope| {
                let attackers: Vec<_> = (0..connections)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut attacker = reading.connect(target);
                            run(&mut attacker, end);
                            attacker.fate()
                        })
                    })
                    .collect();
                attackers.into_iter().map(|attacker| attacker.join().expect("an attacker does not fail")).sum()
            })
        })
    }

    pub fn run(&self, target: &Target, time: Duration) -> Fate {
        (self.run)(target, Instant::now() + time)
    }
}
