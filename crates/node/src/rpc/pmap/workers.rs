//! The nodes of a fan-out, and how each of them does.

use std::collections::BTreeMap;
use std::time::Duration;

use peerl_proto::node_name::NodeName;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::rpc::CallError;

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

/// The workers of a fan-out under way.
#[derive(Debug)]
pub(super) struct WorkerPool {
    source: Workers,
    members: BTreeMap<NodeName, Member>,
    window: usize,
    /// Since when no worker has been available.
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
    /// Why it can make none of the calls, now or later.
    unfit: Option<CallError>,
}

impl Member {
    fn is_able(&self) -> bool {
        self.present && self.failures == 0 && self.unfit.is_none()
    }
}

impl WorkerPool {
    const FIRST_REST: Duration = Duration::from_millis(100);
    const LONGEST_REST: Duration = Duration::from_secs(5);

    /// How many times its own window a node takes at most. One node that survives many would be overloaded by the work
    /// of all of them, and end too.
    const MOST_SHARES: usize = 4;

    pub(super) fn new(source: Workers, window: usize) -> Self {
        let mut pool = Self { source, members: BTreeMap::new(), window, down_since: None };
        pool.refresh();
        pool
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
        let window = self.share();
        let free = self.members.iter().filter(|(_, member)| {
            // One that has failed gets one item, to see whether it is back.
            let window = if member.failures > 0 { 1 } else { window };
            let rested = member.rest_until.is_none_or(|until| until <= now);
            member.present && member.unfit.is_none() && rested && member.in_flight < window
        });
        let (node, _) =
            free.min_by_key(|(node, member)| (Some(*node) == avoid, member.failures, member.in_flight, node.as_str()))?;
        Some(node.clone())
    }

    /// How many calls each able member has under way: its own window, and its part of the windows of the others.
    fn share(&self) -> usize {
        let present = self.members.values().filter(|member| member.present).count();
        let able = self.members.values().filter(|member| member.is_able()).count().max(1);
        let most = self.window.saturating_mul(Self::MOST_SHARES);
        self.window.saturating_mul(present).div_ceil(able).clamp(self.window, most)
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

    /// The node can make none of the calls.
    pub(super) fn refused(&mut self, node: &NodeName, why: CallError) {
        if let Some(member) = self.finished(node) {
            member.unfit = Some(why);
        }
    }

    fn finished(&mut self, node: &NodeName) -> Option<&mut Member> {
        let member = self.members.get_mut(node)?;
        member.in_flight -= 1;
        Some(member)
    }

    /// Why none of the members can make the calls, if that is so and no wait can help.
    pub(super) fn unfit(&self) -> Option<&CallError> {
        let mut present = self.members.values().filter(|member| member.present).map(|member| member.unfit.as_ref());
        let first = present.next()??;
        present.all(|unfit| unfit.is_some()).then_some(first)
    }

    /// When the next member may be tried again that rests now.
    pub(super) fn next_rested(&self, now: Instant) -> Option<Instant> {
        self.members
            .values()
            .filter(|member| member.present && member.unfit.is_none())
            .filter_map(|member| member.rest_until)
            .filter(|until| *until > now)
            .min()
    }

    /// Since when no worker has been available: all are down, or there are none. `None` if one is available.
    pub(super) fn idle_since(&mut self, now: Instant) -> Option<Instant> {
        let able = self.members.values().any(Member::is_able);
        self.down_since = if able { None } else { self.down_since.or(Some(now)) };
        self.down_since
    }
}
