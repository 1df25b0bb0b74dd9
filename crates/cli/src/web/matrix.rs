//! The connections of the cluster as a picture.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::cluster::{Cluster, ClusterNode};

/// With more nodes than this, adjacent equal cells are merged, so that the picture stays small.
const SINGLE: usize = 24;

/// The most nodes in a picture, which has a cell for each two of them.
const MOST: usize = 128;

/// The margin for numbers on the left and at the top.
const MARGIN: usize = 26;

/// The margin on the right, for half of the last number.
const RIGHT: usize = 8;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Itself,
    Sees,
    SeesNot,
    Silent,
}

impl Cell {
    fn of(node: &ClusterNode, other: &ClusterNode) -> Self {
        match &node.sees {
            _ if node.name == other.name => Self::Itself,
            None => Self::Silent,
            Some(seen) if seen.contains(&other.name) => Self::Sees,
            Some(_) => Self::SeesNot,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Sees => "sees",
            Self::SeesNot => "sees-not",
            Self::Silent => "silent",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Itself => "is",
            Self::Sees => "sees",
            Self::SeesNot => "does not see",
            Self::Silent => "does not say whether it sees",
        }
    }
}

/// A row and a column for each node of the mesh; their numbers are those of the table of nodes.
pub(crate) fn matrix(cluster: &Cluster) -> Markup {
    let nodes: Vec<&ClusterNode> = cluster.members().collect();
    let count = nodes.len();
    if count == 0 {
        return html! {};
    }
    if count > MOST {
        return html! { p .empty { "There is no picture of more than " (MOST) " nodes." } };
    }
    let cell = (420 / count).clamp(6, 40);
    let (width, height) = (MARGIN + cell * count + RIGHT, MARGIN + cell * count + 1);
    html! {
        svg #matrix xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            role="img" aria-labelledby="matrix-title" {
            title #matrix-title { (cluster.summary()) }
            defs {
                // A missing connection must differ by more than its colour.
                pattern #hole width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect .hole-ground width="6" height="6" {}
                    rect .hole-line width="2" height="6" {}
                }
                pattern #unknown width="5" height="5" patternUnits="userSpaceOnUse" {
                    rect .unknown-ground width="5" height="5" {}
                    circle .unknown-dot cx="2.5" cy="2.5" r="1" {}
                }
            }
            (labels(count, cell))
            @for (row, node) in nodes.iter().enumerate() { (line(&nodes, node, row, cell)) }
            path .grid d=(grid(count, cell)) {}
        }
    }
}

fn labels(count: usize, cell: usize) -> Markup {
    // Numbers that would touch are left out.
    let every = match cell {
        14.. => 1,
        8..14 => 5,
        _ => 10,
    };
    let numbers = (1..=count).filter(|number| *number == 1 || number % every == 0);
    html! {
        @for number in numbers {
            @let middle = MARGIN + (number - 1) * cell + cell / 2;
            text .label x=(MARGIN - 6) y=(middle + 4) text-anchor="end" { (number) }
            text .label x=(middle) y=(MARGIN - 8) text-anchor="middle" { (number) }
        }
    }
}

fn line(nodes: &[&ClusterNode], node: &ClusterNode, row: usize, cell: usize) -> Markup {
    let sights: Vec<Cell> = nodes.iter().map(|other| Cell::of(node, other)).collect();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for column in 0..sights.len() {
        match runs.last_mut() {
            Some((first, length)) if nodes.len() > SINGLE && sights[*first] == sights[column] => *length += 1,
            _ => runs.push((column, 1)),
        }
    }
    html! {
        @for (first, length) in runs {
            @let (sight, last) = (sights[first], first + length - 1);
            rect class=(sight.class()) x=(MARGIN + first * cell) y=(MARGIN + row * cell) width=(cell * length) height=(cell) {
                title {
                    @match (sight, length) {
                        (Cell::Itself, _) => (node.name),
                        (_, 1) => { (node.name) " " (sight.words()) " " (nodes[first].name) },
                        _ => { (node.name) " " (sight.words()) " " (length) " nodes, from " (nodes[first].name) " to "
                            (nodes[last].name) },
                    }
                }
            }
        }
    }
}

/// The lines between the cells.
fn grid(count: usize, cell: usize) -> PreEscaped<String> {
    let (end, mut path) = (MARGIN + count * cell, String::new());
    for index in 0..=count {
        let at = MARGIN + index * cell;
        // Writing to a string cannot fail.
        let _ = write!(path, "M{MARGIN} {at}H{end}M{at} {MARGIN}V{end}");
    }
    PreEscaped(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn node(name: String, sees: Option<BTreeSet<String>>) -> ClusterNode {
        ClusterNode {
            name,
            kind: Some("peerl"),
            hidden: false,
            release: None,
            connected_since_ms: None,
            sees,
            role: None,
            error: None,
        }
    }

    fn cluster(count: usize, sees: impl Fn(usize, usize) -> bool) -> Cluster {
        let name = |number: usize| format!("n{number:02}@h");
        let nodes = (0..count).map(|one| {
            let seen = (0..count).filter(|other| *other != one && sees(one, *other)).map(name);
            node(name(one), Some(seen.collect()))
        });
        Cluster { nodes: nodes.collect(), ..Cluster::default() }
    }

    #[test]
    fn each_cell_of_a_few_nodes_says_who_sees_whom() {
        let mut three = cluster(3, |one, other| one + other != 1);
        three.nodes[2].sees = None;
        let picture = matrix(&three).into_string();
        assert_eq!(picture.matches("<rect class=").count(), 9 + 3, "with those of the patterns");
        assert!(picture.contains("<title>n00@h does not see n01@h</title>"), "{picture}");
        assert!(picture.contains("<title>n00@h sees n02@h</title>"));
        assert!(picture.contains("<title>n02@h does not say whether it sees n00@h</title>"));
        assert!(matrix(&Cluster::default()).into_string().is_empty());
    }

    #[test]
    fn a_picture_of_sixty_is_no_larger_than_it_must_be() {
        let whole = matrix(&cluster(60, |_, _| true)).into_string();
        assert!(whole.len() < 40_000, "{}", whole.len());
        let parted = matrix(&cluster(60, |one, other| (one < 30) == (other < 30))).into_string();
        assert!(parted.len() < 60_000, "{}", parted.len());
        assert!(parted.contains("does not see 30 nodes, from n30@h to n59@h"));
    }

    #[test]
    fn a_picture_has_a_bound_however_the_nodes_see_each_other() {
        assert!(matrix(&cluster(128, |one, other| (one + other) % 2 == 0)).into_string().len() < 3 << 20);
        assert!(matrix(&cluster(129, |_, _| true)).into_string().len() < 100);
    }

    #[test]
    fn names_are_escaped() {
        let mut evil = cluster(2, |_, _| true);
        evil.nodes[0].name = "<script>@h".to_owned();
        assert!(!matrix(&evil).into_string().contains("<script>"));
    }
}
