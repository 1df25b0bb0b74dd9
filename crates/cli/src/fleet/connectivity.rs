//! The connections of a fleet, and the missing ones.

use std::collections::{BTreeMap, BTreeSet};

use peerl_node::NodeName;
use serde::Serialize;

use super::as_text;

/// Each member's report of its connections to the others.
#[derive(Clone, Debug, Default)]
pub struct Connectivity {
    seen: BTreeMap<NodeName, BTreeSet<NodeName>>,
}

impl Connectivity {
    /// Records a member's report; connections to non-members are ignored.
    pub fn insert(&mut self, member: NodeName, connected: BTreeSet<NodeName>) {
        self.seen.insert(member, connected);
    }

    /// Records the observing member, which the others do not report: it counts as seen by the members that it is
    /// connected to.
    pub fn insert_observer(&mut self, observer: NodeName, connected: BTreeSet<NodeName>) {
        for member in &connected {
            if let Some(seen) = self.seen.get_mut(member) {
                seen.insert(observer.clone());
            }
        }
        self.seen.insert(observer, connected);
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Whether a member reports a connection to another node.
    pub fn sees(&self, member: &NodeName, other: &NodeName) -> bool {
        self.seen.get(member).is_some_and(|seen| seen.contains(other))
    }

    /// The pairs of members that are not connected in both directions.
    pub fn gaps(&self) -> Vec<Gap> {
        let members: Vec<&NodeName> = self.seen.keys().collect();
        let mut gaps = Vec::new();
        for (index, one) in members.iter().copied().enumerate() {
            for (distance, other) in members[index + 1..].iter().copied().enumerate() {
                let (node, peer, one_way) = match (self.sees(one, other), self.sees(other, one)) {
                    (true, true) => continue,
                    (true, false) => (other, one, true),
                    (false, true) => (one, other, true),
                    // Alternating sides, so each member has about the same number of connections to make.
                    (false, false) if distance % 2 == 0 => (one, other, false),
                    (false, false) => (other, one, false),
                };
                gaps.push(Gap { node: node.clone(), peer: peer.clone(), one_way });
            }
        }
        gaps
    }

    /// The partitions of the fleet, largest first: within one, every member can reach every other over connections.
    pub fn partitions(&self) -> Vec<BTreeSet<NodeName>> {
        let mut left: BTreeSet<&NodeName> = self.seen.keys().collect();
        let mut parts = Vec::new();
        while let Some(first) = left.pop_first() {
            let (mut part, mut edge) = (BTreeSet::from([first.clone()]), vec![first]);
            while let Some(member) = edge.pop() {
                let both = |other: &&NodeName| self.sees(member, other) && self.sees(other, member);
                let next: Vec<&NodeName> = left.iter().copied().filter(both).collect();
                for other in next {
                    left.remove(other);
                    part.insert(other.clone());
                    edge.push(other);
                }
            }
            parts.push(part);
        }
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts
    }
}

/// A missing connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gap {
    /// A node that does not report the connection.
    #[serde(serialize_with = "as_text")]
    pub node: NodeName,
    /// The other node.
    #[serde(serialize_with = "as_text")]
    pub peer: NodeName,
    /// Whether the other node reports the connection.
    pub one_way: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> NodeName {
        NodeName::new(&format!("{name}@h")).unwrap()
    }

    /// Parses lines such as `a: b c`.
    fn connectivity(lines: &[&str]) -> Connectivity {
        let mut connectivity = Connectivity::default();
        for line in lines {
            let (member, seen) = line.split_once(':').unwrap();
            connectivity.insert(name(member), seen.split_whitespace().map(name).collect());
        }
        connectivity
    }

    fn gaps(connectivity: &Connectivity) -> Vec<(String, String, bool)> {
        let gaps = connectivity.gaps().into_iter();
        gaps.map(|gap| (gap.node.name().to_owned(), gap.peer.name().to_owned(), gap.one_way)).collect()
    }

    fn parts(connectivity: &Connectivity) -> Vec<String> {
        let names = |part: BTreeSet<NodeName>| part.iter().map(NodeName::name).collect::<Vec<_>>().join(" ");
        connectivity.partitions().into_iter().map(names).collect()
    }

    #[test]
    fn a_whole_mesh() {
        let whole = connectivity(&["a: b c x", "b: a c", "c: a b y"]);
        assert!(gaps(&whole).is_empty());
        assert_eq!(parts(&whole), ["a b c"]);
        assert!(connectivity(&["a:"]).gaps().is_empty());
        assert!(Connectivity::default().partitions().is_empty());
    }

    #[test]
    fn partitions_come_largest_first() {
        let apart = connectivity(&["a: b", "b: a", "c: d", "d: c e", "e: d", "f:"]);
        assert_eq!(parts(&apart), ["c d e", "a b", "f"]);
        assert_eq!(gaps(&apart).len(), 15 - 3);
    }

    #[test]
    fn a_mesh_with_holes() {
        let chain = connectivity(&["a: b", "b: a c", "c: b"]);
        assert_eq!(parts(&chain), ["a b c"]);
        assert_eq!(gaps(&chain), [("c".into(), "a".into(), false)]);
        // The node that does not see the other must act.
        for (lines, node, peer) in [(["a: b", "b:"], "b", "a"), (["a:", "b: a"], "a", "b")] {
            let one_way = connectivity(&lines);
            assert_eq!(gaps(&one_way), [(node.to_owned(), peer.to_owned(), true)]);
            assert_eq!(parts(&one_way), ["a", "b"]);
        }
    }

    #[test]
    fn the_work_is_shared() {
        let apart = connectivity(&["a:", "b:", "c:", "d:", "e:"]);
        for member in ["a", "b", "c", "d", "e"] {
            let to_do = gaps(&apart).iter().filter(|(node, ..)| node == member).count();
            assert!((1..=3).contains(&to_do), "{member}: {to_do}");
        }
    }
}
