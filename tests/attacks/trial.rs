//! An attack on a worker that has other peers.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use peerl_test_support::{Beam, Epmd, Otp};

use super::{Attack, Attacker, Fate, MIB, Neighbours, Seen, Victim};

/// A worker, and the BEAM beside the attacker.
pub struct Trial {
    pub victim: Victim,
    pub beam: Beam,
    /// What is resident before all attacks.
    before: u64,
    /// What the neighbours see without an attack.
    pub quiet: Seen,
}

/// What an attack has done.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub attack: String,
    pub is_running: bool,
    pub fate: Fate,
    /// Why the worker has ended connections of the attackers.
    pub reasons: Vec<String>,
    /// What the neighbours have seen, and what they see without an attack.
    pub seen: Seen,
    pub quiet: Seen,
    /// Resident memory, in bytes: before, at most, and at the end.
    pub before: u64,
    pub peak: u64,
    pub after: u64,
    /// How many descriptors are open after it.
    pub descriptors: usize,
    /// How long it took after the attack until no more than [`Trial::REMAINS`] remained.
    pub settled: Option<Duration>,
}

impl Trial {
    /// How much more memory may be resident after an attack than before.
    pub const REMAINS: u64 = 50 * MIB;
    /// When.
    const WITHIN: Duration = Duration::from_secs(60);

    pub fn start(epmd: &Epmd, peerl: &Command) -> Self {
        Self::of(Victim::start(epmd, peerl), epmd)
    }

    /// One with this worker.
    pub fn of(victim: Victim, epmd: &Epmd) -> Self {
        let beam = Beam::erlang(Otp::V25).epmd(epmd).start();
        assert!(beam.ping(victim.target().name.as_str()));
        let quiet = Neighbours::start(victim.target(), &beam);
        std::thread::sleep(Duration::from_millis(500));
        let quiet = quiet.stop();
        let before = victim.resident();
        Self { victim, beam, before, quiet }
    }

    pub fn run(&self, attack: &Attack, time: Duration) -> Outcome {
        self.victim.reset();
        let neighbours = Neighbours::start(self.victim.target(), &self.beam);
        let fate = attack.run(self.victim.target(), time);
        let descriptors = self.victim.descriptors();
        // The worker may still be busy with what it has read.
        std::thread::sleep(Duration::from_millis(500));
        let settled = self.victim.settles(self.before + Self::REMAINS, Self::WITHIN);
        let seen = neighbours.stop();
        let (after, peak) = (self.victim.resident(), self.victim.peak());
        Outcome {
            attack: attack.name.clone(),
            // One that is being killed has no memory.
            is_running: after > 0 && self.victim.is_running(),
            reasons: if fate.closed > 0 { self.victim.reasons(Attacker::STEM) } else { Vec::new() },
            fate,
            seen,
            quiet: self.quiet,
            before: self.before,
            peak,
            after,
            descriptors,
            settled,
        }
    }
}

impl Outcome {
    pub const HEADER: &str = "| attack | longest wait: caller, asker of `global`, BEAM (quiet) | failed calls | peak RSS | RSS after | descriptors | the attacker |\n\
                              |---|--:|--:|--:|--:|--:|---|";
}

/// A row of the table.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes / MIB;
        let ms = |seen: &Seen| seen.all().map(|waits| waits.longest.as_millis().to_string()).join(", ");
        let Self { fate, seen, quiet, .. } = self;
        let life = if self.is_running { "" } else { "**the worker has died**; " };
        let settled = match self.settled {
            Some(time) => format!("{} MiB in {:.1} s", mib(self.after), time.as_secs_f64()),
            None => format!("**{} MiB**", mib(self.after)),
        };
        write!(
            f,
            "| {} | {} ms ({}) | {} of {} | {} MiB | {settled} | {} | {life}{} sent, {} answers, {} refused, {} of {} connections ended {:?} |",
            self.attack,
            ms(seen),
            ms(quiet),
            seen.failures(),
            seen.all().iter().map(|waits| waits.calls).sum::<u64>(),
            mib(self.peak),
            self.descriptors,
            fate.sent,
            fate.answers,
            fate.refusals,
            fate.closed,
            fate.connections,
            self.reasons,
        )
    }
}
