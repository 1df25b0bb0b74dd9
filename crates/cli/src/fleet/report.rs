//! The state of a fleet at one moment.

use std::collections::BTreeSet;

use peerl_node::NodeName;
use serde::Serialize;

use super::event::{parts_as_text, words};
use super::{FleetEvent, Gap, Healer, NodeProfile, as_text};
use crate::output::{Lines, table};

/// The connections, the actions and the failures.
#[derive(Debug, Serialize)]
pub struct Report {
    whole: bool,
    nodes: Vec<Row>,
    #[serde(serialize_with = "parts_as_text")]
    partitions: Vec<BTreeSet<NodeName>>,
    missing: Vec<Missing>,
    connected: Vec<Link>,
    would_connect: Vec<Link>,
    /// The strategies that failed or found no nodes; nodes may be missing.
    failed_strategies: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(serialize_with = "as_text")]
    node: NodeName,
    #[serde(flatten)]
    profile: Option<NodeProfile>,
    /// Its connected nodes within the fleet; `null` if it does not answer.
    #[serde(serialize_with = "maybe_as_text")]
    connected: Option<BTreeSet<NodeName>>,
    /// Its other connected nodes, including hidden guests.
    #[serde(serialize_with = "all_as_text")]
    others: BTreeSet<NodeName>,
    /// Why it does not answer.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Missing {
    #[serde(flatten)]
    gap: Gap,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Link {
    #[serde(serialize_with = "as_text")]
    node: NodeName,
    #[serde(serialize_with = "as_text")]
    peer: NodeName,
}

impl Report {
    /// The largest matrix that is shown; beyond it, only missing connections are.
    const WIDEST: usize = 32;

    /// Makes a report of a healer's state and its actions.
    pub fn new(healer: &Healer, done: &[FleetEvent], failed_strategies: Vec<String>) -> Self {
        let connectivity = healer.connectivity();
        let members = healer.members();
        let rows = members.iter().map(|(name, member)| {
            let (connected, others) = match &member.connected {
                Some(all) => {
                    let (connected, others): (BTreeSet<_>, BTreeSet<_>) =
                        all.iter().cloned().partition(|peer| members.contains_key(peer));
                    (Some(connected), others)
                }
                None => (None, BTreeSet::new()),
            };
            let error = member.trouble.as_ref().map(ToString::to_string);
            Row { node: name.clone(), profile: member.profile.clone(), connected, others, error }
        });
        let gaps = connectivity.gaps();
        let missing = gaps.into_iter().map(|gap| Missing { error: healer.error(&gap).map(str::to_owned), gap });
        let link = |node: &NodeName, peer: &NodeName| Link { node: node.clone(), peer: peer.clone() };
        let mut report = Self {
            whole: false,
            nodes: rows.collect(),
            partitions: connectivity.partitions(),
            missing: missing.collect(),
            connected: Vec::new(),
            would_connect: Vec::new(),
            failed_strategies,
        };
        for event in done {
            match event {
                FleetEvent::Connected { node, peer } => report.connected.push(link(node, peer)),
                FleetEvent::WouldConnect { node, peer } => report.would_connect.push(link(node, peer)),
                _ => {}
            }
        }
        report.whole =
            report.missing.is_empty() && report.unreachable().next().is_none() && report.failed_strategies.is_empty();
        report
    }

    /// Whether all nodes answer, and all of the mesh are connected to all others.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether any node answers.
    pub fn has_reached_any(&self) -> bool {
        self.nodes.iter().any(|row| row.connected.is_some())
    }

    /// The report as text.
    pub fn text(&self) -> Lines {
        let mut lines = if self.nodes.len() <= Self::WIDEST { self.matrix() } else { self.counts() };
        lines.push("");
        for row in &self.nodes {
            match &row.profile {
                _ if row.error.is_some() => {
                    lines.push(format!("unreachable {}: {}", row.node, row.error.as_deref().unwrap_or_default()));
                }
                Some(profile) if profile.hidden => lines.push(format!("hidden {}: left as it is", row.node)),
                _ => {}
            }
            if !row.others.is_empty() && !self.is_hidden(row) {
                lines.push(format!("{} is also connected with {}", row.node, words(&row.others)));
            }
        }
        lines.extend(self.connected.iter().map(|Link { node, peer }| format!("connected {node} {peer}")));
        lines.extend(self.would_connect.iter().map(|Link { node, peer }| format!("would-connect {node} {peer}")));
        let failed = |Missing { gap, error }: &Missing| {
            let error = error.as_ref()?;
            Some(format!("cannot-connect {} {}: {error}", gap.node, gap.peer))
        };
        lines.extend(self.missing.iter().filter_map(failed));
        if self.partitions.len() > 1 {
            lines.extend(self.partitions.iter().map(|part| format!("part {}", words(part))));
        }
        lines.push(self.summary());
        lines
    }

    fn summary(&self) -> String {
        let members: usize = self.partitions.iter().map(BTreeSet::len).sum();
        let mut wrong = Vec::new();
        let mut count = |number: usize, one: &str, many: &str| match number {
            0 => {}
            1 => wrong.push(format!("1 {one}")),
            number => wrong.push(format!("{number} {many}")),
        };
        count(self.partitions.len().saturating_sub(1).min(1) * self.partitions.len(), "part", "parts");
        count(self.missing.len(), "connection missing", "connections missing");
        count(self.unreachable().count(), "node unreachable", "nodes unreachable");
        count(self.failed_strategies.len(), "strategy without nodes", "strategies without nodes");
        match wrong.is_empty() {
            true => format!("whole {members}"),
            false => format!("not whole: {}", wrong.join(", ")),
        }
    }

    fn unreachable(&self) -> impl Iterator<Item = &Row> {
        self.nodes.iter().filter(|row| row.connected.is_none())
    }

    fn is_hidden(&self, row: &Row) -> bool {
        row.profile.as_ref().is_some_and(|profile| profile.hidden)
    }

    /// A row and a column for each node: `+` reports a connection, `-` reports none, `?` does not answer.
    fn matrix(&self) -> Lines {
        let numbers: Vec<String> = (1..=self.nodes.len()).map(|number| number.to_string()).collect();
        let mut head = vec!["", "NODE", "KIND"];
        head.extend(numbers.iter().map(String::as_str));
        let rows = self.nodes.iter().enumerate().map(|(index, row)| {
            let mut cells = vec![numbers[index].clone(), row.node.to_string(), kind(row)];
            cells.extend(self.nodes.iter().map(|other| {
                let cell = match &row.connected {
                    _ if row.node == other.node => ".",
                    None => "?",
                    Some(connected) if connected.contains(&other.node) => "+",
                    Some(_) => "-",
                };
                cell.to_owned()
            }));
            cells
        });
        table(&head, rows)
    }

    fn counts(&self) -> Lines {
        let rows = self.nodes.iter().map(|row| {
            let missing =
                self.missing.iter().filter(|Missing { gap, .. }| gap.node == row.node || gap.peer == row.node);
            let connected = row.connected.as_ref().map_or_else(|| "?".to_owned(), |nodes| nodes.len().to_string());
            vec![row.node.to_string(), kind(row), connected, missing.count().to_string()]
        });
        table(&["NODE", "KIND", "CONNECTED", "MISSING"], rows)
    }
}

fn kind(row: &Row) -> String {
    match &row.profile {
        None => "?".to_owned(),
        Some(profile) if profile.hidden => format!("{}, hidden", profile.kind.as_str()),
        Some(profile) => profile.kind.as_str().to_owned(),
    }
}

fn all_as_text<S: serde::Serializer>(nodes: &BTreeSet<NodeName>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(nodes.iter().map(NodeName::as_str))
}

fn maybe_as_text<S: serde::Serializer>(nodes: &Option<BTreeSet<NodeName>>, serializer: S) -> Result<S::Ok, S::Error> {
    match nodes {
        Some(nodes) => all_as_text(nodes, serializer),
        None => serializer.serialize_none(),
    }
}
