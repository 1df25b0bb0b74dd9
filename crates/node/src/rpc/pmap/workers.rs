//! The nodes of a fan-out, and how each of them does.

use std::collections::HashMap;
use std::time::Duration;

use peerl_proto::node_name::NodeName;
use tokio::sync::watch;
use tokio::time::Instant;

/// The nodes that take part in a fan-out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Workers {
    /// These.
    Fixed(Vec<NodeName>),
    /// Those that the value names at the moment: nodes may come and go while the work is done.
    Watched(watch::Receiver<Vec<NodeName>>),
}

impl From<Vec<NodeName>> for Workers {
    fn from(nodes: Vec<NodeName>) -> Self {
        Self::Fixed(nodes)
    }
}

impl From<&[NodeName]> for Workers {
    fn from(nodes: &[NodeName]) -> Self {
        Self::Fixed(nodes.to_vec())
    }
}

impl From<watch::Receiver<Vec<NodeName>>> for Workers {
    fn from(nodes: watch::Receiver<Vec<NodeName>>) -> Self {
        Self::Watched(nodes)
    }
}

/// The crew of a fan-out under way.
#[derive(Debug)]
pub(super) struct Crew {
    source: Workers,
    members: HashMap<NodeName, Member>,
    window: usize,
    /// Since when nobody has been able to work.
    down_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Member {
    /// Whether it is to be given work; one that has left finishes what it has.
    present: bool,
    in_flight: usize,
    /// How often it has failed in a row.
    failures: u32,
    /// When it may be tried again after a failure.
    rest_until: Option<Instant>,
}

impl Crew {
    const FIRST_REST: Duration = Duration::from_millis(100);
    const LONGEST_REST: Duration = Duration::from_secs(5);

    pub(super) fn new(source: Workers, window: usize) -> Self {
        let mut crew = Self { source, members: HashMap::new(), window, down_since: None };
        crew.refresh();
        crew
    }

    /// Takes in who is there now.
    pub(super) fn refresh(&mut self) {
        let nodes = match &mut self.source {
            Workers::Fixed(nodes) if self.members.is_empty() => nodes.clone(),
            Workers::Fixed(_) => return,
            Workers::Watched(nodes) => nodes.borrow_and_update().clone(),
        };
        for member in self.members.values_mut() {
            member.present = false;
        }
        for node in nodes {
            self.members.entry(node).or_default().present = true;
        }
        self.members.retain(|_, member| member.present || member.in_flight > 0);
    }

    /// Waits until nodes have come or gone; forever, if none will.
    pub(super) async fn changed(&mut self) {
        if let Workers::Watched(nodes) = &mut self.source
            && nodes.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// The member that has the least to do and may take more; rather not the one to avoid.
    pub(super) fn choose(&mut self, avoid: Option<&NodeName>, now: Instant) -> Option<NodeName> {
        let window = self.window;
        let free = self.members.iter().filter(|(_, member)| {
            // One that has failed gets one item, to see whether it is back.
            let window = if member.failures > 0 { 1 } else { window };
            let rested = member.rest_until.is_none_or(|until| until <= now);
            member.present && rested && member.in_flight < window
        });
        let (node, _) =
            free.min_by_key(|(node, member)| (Some(*node) == avoid, member.failures, member.in_flight, node.as_str()))?;
        Some(node.clone())
    }

    pub(super) fn started(&mut self, node: &NodeName) {
        if let Some(member) = self.members.get_mut(node) {
            member.in_flight += 1;
        }
    }

    /// The node has answered, whatever the answer.
    pub(super) fn answered(&mut self, node: &NodeName) {
        if let Some(member) = self.finished(node) {
            member.failures = 0;
            member.rest_until = None;
        }
    }

    /// The node could not be reached, died, or did not answer.
    pub(super) fn failed(&mut self, node: &NodeName, now: Instant) {
        if let Some(member) = self.finished(node) {
            // Calls that fail together are one failure.
            if member.rest_until.is_none_or(|until| until <= now) {
                let rest = Self::FIRST_REST * 2u32.saturating_pow(member.failures.min(16));
                member.failures += 1;
                member.rest_until = Some(now + rest.min(Self::LONGEST_REST));
            }
        }
    }

    fn finished(&mut self, node: &NodeName) -> Option<&mut Member> {
        let member = self.members.get_mut(node)?;
        member.in_flight -= 1;
        Some(member)
    }

    /// When the next member may be tried again that rests now.
    pub(super) fn next_rested(&self, now: Instant) -> Option<Instant> {
        self.members
            .values()
            .filter(|member| member.present)
            .filter_map(|member| member.rest_until)
            .filter(|until| *until > now)
            .min()
    }

    /// Since when nobody has been able to work: all are down, or there are none. `None` if somebody is.
    pub(super) fn idle_since(&mut self, now: Instant) -> Option<Instant> {
        let able = self.members.values().any(|member| member.present && member.failures == 0);
        self.down_since = if able { None } else { self.down_since.or(Some(now)) };
        self.down_since
    }
}
