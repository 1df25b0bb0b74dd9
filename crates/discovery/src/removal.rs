//! Detects removed members: conclusions from the answers of all strategies, for the peers and for the node itself.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use peerl_proto::node_name::NodeName;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Peers;
use crate::strategy::{Answer, Coverage};

/// When a node leaves the mesh because no strategy lists it any more.
///
/// A node never ends connections of others: a peer that is no longer listed but alive is reported and stays
/// connected.
///
/// The time counts only while every strategy gives non-empty answers: a failed or empty poll stops the clock until
/// the next good one. So a failing strategy never causes a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Removal {
    /// Never. Written `never`.
    #[default]
    Never,
    /// When the node was listed once, and then not for this time. Written `when-gone-for=10m`.
    WhenGoneFor(Duration),
}

impl Removal {
    /// How long a peer that is missing from samples counts as a member: the time of the policy, or ten minutes.
    fn sample_patience(self) -> Duration {
        match self {
            Self::Never => Duration::from_secs(600),
            Self::WhenGoneFor(time) => time,
        }
    }
}

impl FromStr for Removal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "never" {
            return Ok(Self::Never);
        }
        let time = text.strip_prefix("when-gone-for").and_then(|rest| rest.strip_prefix(['=', ' ', ':']));
        let time = time.ok_or_else(|| format!("{text:?} is not a removal policy: never, or when-gone-for=TIME"))?;
        match humantime::parse_duration(time.trim()) {
            Ok(time) if time.is_zero() => Err("the time of when-gone-for must be longer than nothing".to_owned()),
            Ok(time) => Ok(Self::WhenGoneFor(time)),
            Err(error) => Err(format!("{time:?} is not a time, as 10m or 90s: {error}")),
        }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::WhenGoneFor(time) => {
                write!(f, "when-gone-for={}", humantime::format_duration(*time).to_string().replace(' ', ""))
            }
        }
    }
}

impl TryFrom<String> for Removal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Removal> for String {
    fn from(removal: Removal) -> Self {
        removal.to_string()
    }
}

/// A node's standing in the lists of its strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No strategy has ever listed it. Its absence means nothing: the lists may contain only other nodes.
    #[default]
    NeverListed,
    /// A strategy has listed it.
    Member,
    /// It has left the mesh, and waits to be listed again.
    Out,
}

/// Consecutive polls by which a complete answer must miss a node: an eventually consistent API misses it once or
/// twice.
const WHOLE_POLLS: u32 = 3;

/// Consecutive polls by which a sample must miss a node. A name server that returns a random third of the records
/// misses a node thirty times in a row once in 190,000 times.
const SAMPLE_POLLS: u32 = 30;

/// Draws conclusions from the answers of strategies. It has no side effects and no clock.
///
/// The reconciler asks for its [`verdicts`](Self::verdicts) on known peers.
#[derive(Debug)]
pub(crate) struct RemovalPolicy {
    removal: Removal,
    own_name: NodeName,
    sources: Vec<Source>,
    /// The nodes that the answers in force list, except the node itself.
    listed: Peers,
    standing: Standing,
    own_absence: Option<Absence>,
    /// The absences of known peers that are not listed.
    absences: HashMap<NodeName, Absence>,
}

/// A strategy's answer in force, and the time for which it has answered.
#[derive(Debug, Default)]
struct Source {
    answer: Answer,
    evidence: Evidence,
}

/// A conclusion from the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A connected peer is no longer listed. It stays connected. Reported once.
    Unlisted { peer: NodeName, gone: Gone },
    /// A peer that was reported as unlisted is listed again.
    Relisted { peer: NodeName },
    /// A peer is neither listed nor connected. It is no longer dialled.
    Forget { peer: NodeName, gone: Gone },
    /// The node itself must leave the mesh.
    Leave { gone: Gone },
    /// The node itself is listed again after it has left.
    Rejoin,
}

/// The extent of a node's absence from the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The time for which all strategies have answered without it.
    pub(crate) time: Duration,
    /// The fewest polls by which a strategy has missed it.
    polls: u32,
    /// Whether a strategy reports it as ended.
    pub(crate) ended: bool,
    coverage: Coverage,
}

impl RemovalPolicy {
    pub(crate) fn new(removal: Removal, own_name: NodeName, sources: usize, standing: Standing) -> Self {
        Self {
            removal,
            own_name,
            sources: (0..sources).map(|_| Source::default()).collect(),
            listed: Peers::new(),
            standing,
            own_absence: None,
            absences: HashMap::new(),
        }
    }

    /// Records a non-empty answer.
    pub(crate) fn answered(&mut self, source: usize, answer: Answer, now: Instant) {
        let source = &mut self.sources[source];
        if !answer.is_empty() {
            source.evidence.good(now);
        }
        source.answer = answer;
        self.listed = self.sources.iter().flat_map(|source| &source.answer.peers).cloned().collect();
        self.listed.remove(&self.own_name);
    }

    /// Records a failed or suddenly empty poll, which proves no absence.
    pub(crate) fn unanswered(&mut self, source: usize) {
        self.sources[source].evidence.none();
    }

    /// The answer of a strategy that is in force.
    pub(crate) fn in_force(&self, source: usize) -> &Answer {
        &self.sources[source].answer
    }

    /// The nodes that the answers in force list, except the node itself.
    pub(crate) fn listed(&self) -> &Peers {
        &self.listed
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether a disconnected peer should be dialled.
    pub(crate) fn wants(&self, peer: &NodeName) -> bool {
        // A peer that recent samples do not list is most likely still a member.
        let may_be_listed = || self.absences.contains_key(peer) && self.coverage_of(peer) == Coverage::Sample;
        self.standing != Standing::Out && (self.listed.contains(peer) || may_be_listed())
    }

    /// The verdicts on the node itself and on these peers; those in `connected` are alive.
    pub(crate) fn verdicts<'a>(
        &mut self,
        known: impl IntoIterator<Item = &'a NodeName>,
        connected: &BTreeSet<NodeName>,
    ) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = self.verdict_on_own().into_iter().collect();
        for peer in known {
            verdicts.extend(self.verdict_on(peer, connected));
        }
        verdicts
    }

    fn verdict_on(&mut self, peer: &NodeName, connected: &BTreeSet<NodeName>) -> Option<Verdict> {
        if self.listed.contains(peer) {
            let absence = self.absences.remove(peer)?;
            return absence.is_told.then(|| Verdict::Relisted { peer: peer.clone() });
        }
        let mut absence = self.absences.remove(peer).unwrap_or_default();
        let gone = self.gone(peer, &mut absence);
        let is_gone = gone.ended
            || match gone.coverage {
                Coverage::Whole => gone.polls >= WHOLE_POLLS,
                Coverage::Sample => gone.polls >= SAMPLE_POLLS && gone.time >= self.removal.sample_patience(),
            };
        if is_gone && !connected.contains(peer) {
            return Some(Verdict::Forget { peer: peer.clone(), gone });
        }
        let is_news = is_gone && !absence.is_told;
        absence.is_told |= is_gone;
        self.absences.insert(peer.clone(), absence);
        is_news.then(|| Verdict::Unlisted { peer: peer.clone(), gone })
    }

    fn verdict_on_own(&mut self) -> Option<Verdict> {
        if self.sources.iter().any(|source| source.answer.contains(&self.own_name)) {
            self.own_absence = None;
            let before = std::mem::replace(&mut self.standing, Standing::Member);
            return (before == Standing::Out).then_some(Verdict::Rejoin);
        }
        let Removal::WhenGoneFor(limit) = self.removal else { return None };
        let mut absence = self.own_absence.take().unwrap_or_default();
        let gone = self.gone(&self.own_name, &mut absence);
        self.own_absence = Some(absence);
        let is_gone = match self.standing {
            Standing::Out => return None,
            Standing::NeverListed => gone.ended,
            Standing::Member => gone.ended || gone.coverage == Coverage::Whole && gone.polls >= WHOLE_POLLS,
        };
        if !is_gone || gone.time < limit {
            return None;
        }
        self.standing = Standing::Out;
        Some(Verdict::Leave { gone })
    }

    /// The absence of a node that no answer in force lists.
    fn gone(&self, node: &NodeName, absence: &mut Absence) -> Gone {
        let (time, polls) = absence.gone_for(self.sources.iter().map(|source| &source.evidence));
        let ended = self.sources.iter().any(|source| source.answer.ended.contains(node));
        Gone { time, polls, ended, coverage: self.coverage_of(node) }
    }

    /// What the absence of a node from all answers in force means.
    fn coverage_of(&self, node: &NodeName) -> Coverage {
        let is_whole = |Source { answer, .. }: &Source| {
            answer.coverage == Coverage::Whole && !answer.silent_hosts.contains(node.host())
        };
        if self.sources.iter().all(is_whole) { Coverage::Whole } else { Coverage::Sample }
    }
}

/// The time for which a strategy has answered, excluding the times in which it did not.
#[derive(Debug, Default)]
struct Evidence {
    total: Duration,
    polls: u32,
    last_good: Option<Instant>,
}

impl Evidence {
    /// Records a non-empty answer.
    fn good(&mut self, now: Instant) {
        self.polls = self.polls.saturating_add(1);
        if let Some(before) = self.last_good.replace(now) {
            self.total += now - before;
        }
    }

    /// Records a poll that proves no absence.
    fn none(&mut self) {
        self.last_good = None;
    }
}

/// How long a node has been missing: the evidence of each strategy when it first missed the node.
#[derive(Debug, Default)]
struct Absence {
    missed_at: Vec<Option<(Duration, u32)>>,
    /// Whether it was reported.
    is_told: bool,
}

impl Absence {
    /// Updates the absence with the evidence of all strategies; returns the time for which all of them have missed
    /// the node, and the fewest polls by which one has.
    fn gone_for<'a>(&mut self, evidence: impl ExactSizeIterator<Item = &'a Evidence>) -> (Duration, u32) {
        self.missed_at.resize(evidence.len(), None);
        let missed = self.missed_at.iter_mut().zip(evidence).map(|(missed_at, evidence)| {
            // A strategy that does not answer proves nothing.
            if evidence.last_good.is_none() && missed_at.is_none() {
                return (Duration::ZERO, 0);
            }
            let (total, polls) = *missed_at.get_or_insert((evidence.total, evidence.polls));
            (evidence.total - total, evidence.polls - polls + 1)
        });
        missed.reduce(|one, other| (one.0.min(other.0), one.1.min(other.1))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
