//! The actions that are to be done.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use peerl_node::Visibility;
use peerl_term::{Atom, Pid};

use super::action::Action;
use super::ids::{CallId, MonitorId, ResolutionId};
use super::message::{Message, Request};

/// The actions, and what has to be known of connections to choose them.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) node: Atom,
    actions: VecDeque<Action>,
    last_id: u64,
    connected: BTreeMap<Atom, Visibility>,
    connecting: BTreeSet<Atom>,
    /// Monitors of processes of nodes that are not connected yet.
    waiting: Waiting<MonitorId, Pid>,
    /// Calls of nodes that are not connected yet.
    waiting_calls: Waiting<CallId, Arc<Request>>,
}

/// What waits for nodes to be connected. There may be very much, of which each is given up without a look at the others.
#[derive(Debug)]
struct Waiting<K, V> {
    of_nodes: BTreeMap<Atom, BTreeMap<K, V>>,
    nodes: BTreeMap<K, Atom>,
}

impl<K: Copy + Ord, V> Waiting<K, V> {
    fn add(&mut self, node: &Atom, id: K, what: V) {
        self.of_nodes.entry(node.clone()).or_default().insert(id, what);
        self.nodes.insert(id, node.clone());
    }

    /// Returns whether it was there.
    fn remove(&mut self, id: K) -> bool {
        let Some(node) = self.nodes.remove(&id) else { return false };
        if let Entry::Occupied(mut of_node) = self.of_nodes.entry(node) {
            of_node.get_mut().remove(&id);
            if of_node.get().is_empty() {
                of_node.remove();
            }
        }
        true
    }

    /// What waits for a node, the first of it first, waits no longer.
    fn take(&mut self, node: &Atom) -> BTreeMap<K, V> {
        let taken = self.of_nodes.remove(node).unwrap_or_default();
        taken.keys().for_each(|id| drop(self.nodes.remove(id)));
        taken
    }
}

/// Nothing waits.
impl<K, V> Default for Waiting<K, V> {
    fn default() -> Self {
        Self { of_nodes: BTreeMap::new(), nodes: BTreeMap::new() }
    }
}

impl Outbox {
    pub(super) fn new(node: Atom) -> Self {
        Self {
            node,
            actions: VecDeque::new(),
            last_id: 0,
            connected: BTreeMap::new(),
            connecting: BTreeSet::new(),
            waiting: Waiting::default(),
            waiting_calls: Waiting::default(),
        }
    }

    pub(super) fn take(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn send(&mut self, node: &Atom, message: Message) {
        self.push(Action::Send(node.clone(), message));
    }

    /// Calls a node, once it is connected. Calls of many nodes share one request.
    pub(super) fn call(&mut self, node: &Atom, request: impl Into<Arc<Request>>) -> CallId {
        let request = request.into();
        let call = CallId(self.next_id());
        if self.is_connected(node) {
            self.push(Action::Call(call, node.clone(), request));
        } else {
            self.waiting_calls.add(node, call, request);
            self.connect(node);
        }
        call
    }

    /// Waits for the answer to a call no longer.
    pub(super) fn abandon(&mut self, call: CallId) {
        self.waiting_calls.remove(call);
        self.push(Action::AbandonCall(call));
    }

    pub(super) fn next_resolution(&mut self) -> ResolutionId {
        ResolutionId(self.next_id())
    }

    /// Monitors a process, once its node is connected.
    pub(super) fn monitor(&mut self, pid: &Pid) -> MonitorId {
        let monitor = MonitorId(self.next_id());
        if self.is_connected(&pid.node) || pid.node == self.node {
            self.push(Action::Monitor(monitor, pid.clone()));
        } else {
            self.waiting.add(&pid.node, monitor, pid.clone());
            self.connect(&pid.node);
        }
        monitor
    }

    pub(super) fn demonitor(&mut self, monitor: MonitorId) {
        if !self.waiting.remove(monitor) {
            self.push(Action::Demonitor(monitor));
        }
    }

    pub(super) fn connect(&mut self, node: &Atom) {
        if !self.is_connected(node) && self.connecting.insert(node.clone()) {
            self.push(Action::Connect(node.clone()));
        }
    }

    pub(super) fn is_connected(&self, node: &Atom) -> bool {
        self.connected.contains_key(node)
    }

    pub(super) fn is_visible(&self, node: &Atom) -> bool {
        self.connected.get(node) == Some(&Visibility::Visible)
    }

    /// The nodes that are connected and visible.
    pub(super) fn visible(&self) -> Vec<Atom> {
        let visible = self.connected.iter().filter(|(_, visibility)| **visibility == Visibility::Visible);
        visible.map(|(node, _)| node.clone()).collect()
    }

    pub(super) fn node_up(&mut self, node: &Atom, visibility: Visibility) {
        self.connecting.remove(node);
        self.connected.insert(node.clone(), visibility);
        for (monitor, pid) in self.waiting.take(node) {
            self.push(Action::Monitor(monitor, pid));
        }
        for (call, request) in self.waiting_calls.take(node) {
            self.push(Action::Call(call, node.clone(), request));
        }
    }

    /// A node is not connected; nothing waits for it any more. Gives the calls that did.
    pub(super) fn node_down(&mut self, node: &Atom) -> Vec<CallId> {
        self.connecting.remove(node);
        self.connected.remove(node);
        self.waiting.take(node);
        self.waiting_calls.take(node).into_keys().collect()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that is a member can have as many names wait for a node as there is memory for, and have each given up by a message.
    #[test]
    fn what_waits_is_given_up_without_a_look_at_the_rest() {
        const MANY: u32 = 200_000;
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        let pid = |id| Pid { node: Atom::from_static("b@h"), id, serial: 0, creation: 1 };
        let monitors: Vec<_> = (0..MANY).map(|id| outbox.monitor(&pid(id))).collect();
        let (last, others) = monitors.split_last().unwrap();
        others.iter().for_each(|monitor| outbox.demonitor(*monitor));
        let call = outbox.call(&pid(0).node, Request::Known);
        let abandoned = outbox.call(&pid(0).node, Request::Known);
        outbox.abandon(abandoned);
        assert!(matches!(outbox.take(), Some(Action::Connect(_))));
        assert!(matches!(outbox.take(), Some(Action::AbandonCall(_))));
        outbox.node_up(&pid(0).node, Visibility::Visible);
        assert!(matches!(outbox.take(), Some(Action::Monitor(monitor, _)) if monitor == *last));
        assert!(matches!(outbox.take(), Some(Action::Call(made, ..)) if made == call));
        assert!(outbox.take().is_none() && outbox.waiting.nodes.is_empty() && outbox.waiting_calls.nodes.is_empty());
    }
}
