use std::time::{Duration, Instant};

use super::{Processor, Settings};

/// The unit of a contestant's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Microseconds; less is better.
    Micros,
    /// Calls a second.
    Calls,
    /// Signals a second.
    Signals,
    /// Messages a second.
    Messages,
    /// Megabytes (10^6) a second.
    Megabytes,
}

/// The required bound of a ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Several programs with the same task. They take turns, so that other load of the machine affects them equally, and
/// the turns of the same round are compared.
pub(crate) struct Contest<'a> {
    title: &'static str,
    measure: Measure,
    contestants: Vec<Contestant<'a>>,
    absent: Vec<(&'static str, String)>,
    targets: Vec<(Bound, &'static str)>,
}

struct Contestant<'a> {
    name: &'static str,
    turn: Box<dyn FnMut(Duration) -> f64 + 'a>,
    results: Vec<f64>,
    /// The microseconds for which all processes have run on a processor, for each call, message or megabyte.
    processor: Vec<f64>,
}

/// The contestant to which all others are compared.
const OURS: &str = "peerl";

impl<'a> Contest<'a> {
    pub(crate) fn new(title: &'static str, measure: Measure) -> Self {
        Self { title, measure, contestants: Vec::new(), absent: Vec::new(), targets: Vec::new() }
    }

    /// Adds a contestant: a turn lasts about as long as requested, and returns the result.
    pub(crate) fn add(&mut self, name: &'static str, turn: impl FnMut(Duration) -> f64 + 'a) {
        self.contestants.push(Contestant { name, turn: Box::new(turn), results: Vec::new(), processor: Vec::new() });
    }

    /// Notes that a contestant is missing, and why.
    pub(crate) fn absent(&mut self, name: &'static str, why: impl Into<String>) {
        self.absent.push((name, why.into()));
    }

    /// The target of peerl's ratio to another contestant.
    pub(crate) fn target(&mut self, bound: Bound, other: &'static str) {
        self.targets.push((bound, other));
    }

    /// Runs one round to warm up and then the others, and prints the table.
    pub(crate) fn run(mut self, settings: &Settings) {
        let processor = Processor::of_all();
        for round in 0..=settings.rounds {
            for contestant in &mut self.contestants {
                let (before, start) = (processor.time(), Instant::now());
                let result = (contestant.turn)(settings.slice);
                let (time, spent) = (start.elapsed(), processor.time() - before);
                if round > 0 {
                    contestant.results.push(result);
                    contestant.processor.push(spent.as_secs_f64() * 1e6 / self.measure.count(result, time));
                }
            }
        }
        self.print();
    }

    fn print(&self) {
        let unit = match self.measure {
            Measure::Micros => "µs each",
            Measure::Calls => "calls/s",
            Measure::Signals => "signals/s",
            Measure::Messages => "messages/s",
            Measure::Megabytes => "MB/s",
        };
        println!("\n| {} | {unit} (lowest – highest) | processor µs each | peerl / this |", self.title);
        println!("|---|---:|---:|---:|");
        for contestant in &self.contestants {
            let (sorted, processor) = (sorted(&contestant.results), sorted(&contestant.processor));
            let ratio = match self.ratio(contestant.name) {
                Some(ratio) if contestant.name != OURS => format!("{ratio:.2}"),
                _ => String::new(),
            };
            let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
            println!(
                "| {} | {} ({} – {}) | {:.2} | {ratio} |",
                contestant.name,
                self.number(median(&sorted)),
                self.number(low),
                self.number(high),
                median(&processor)
            );
        }
        for (name, why) in &self.absent {
            println!("| {name} | {why} | | |");
        }
        for &(bound, other) in &self.targets {
            let Some(ratio) = self.ratio(other) else { continue };
            let (sign, wanted, met) = match bound {
                Bound::AtMost(wanted) => ("at most", wanted, ratio <= wanted),
                Bound::AtLeast(wanted) => ("at least", wanted, ratio >= wanted),
            };
            let met = if met { "met" } else { "MISSED" };
            println!("| *target: {sign} {wanted} of {other}* | {met} | | {ratio:.2} |");
        }
    }

    /// The median over the rounds of peerl's result divided by the other's.
    fn ratio(&self, other: &str) -> Option<f64> {
        let results = |name: &str| self.contestants.iter().find(|c| c.name == name).map(|c| &c.results);
        let ratios: Vec<f64> = results(OURS)?.iter().zip(results(other)?).map(|(ours, other)| ours / other).collect();
        Some(median(&sorted(&ratios)))
    }

    fn number(&self, value: f64) -> String {
        match self.measure {
            Measure::Micros => format!("{value:.1}"),
            Measure::Calls | Measure::Signals | Measure::Messages | Measure::Megabytes => {
                let digits = format!("{value:.0}");
                let groups: Vec<&str> =
                    digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
                groups.join(",")
            }
        }
    }
}

impl Measure {
    /// How many calls, messages or megabytes a turn of this time had, by its result.
    fn count(self, result: f64, time: Duration) -> f64 {
        match self {
            Self::Micros => time.as_secs_f64() * 1e6 / result,
            Self::Calls | Self::Signals | Self::Messages | Self::Megabytes => time.as_secs_f64() * result,
        }
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
