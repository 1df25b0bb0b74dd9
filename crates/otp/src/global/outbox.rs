//! The actions that are to be done.

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
    waiting: BTreeMap<Atom, Vec<(MonitorId, Pid)>>,
    /// Calls of nodes that are not connected yet.
    waiting_calls: BTreeMap<Atom, Vec<(CallId, Arc<Request>)>>,
}

impl Outbox {
    pub(super) fn new(node: Atom) -> Self {
        Self {
            node,
            actions: VecDeque::new(),
            last_id: 0,
            connected: BTreeMap::new(),
            connecting: BTreeSet::new(),
            waiting: BTreeMap::new(),
            waiting_calls: BTreeMap::new(),
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
            self.waiting_calls.entry(node.clone()).or_default().push((call, request));
            self.connect(node);
        }
        call
    }

    /// Waits for the answer to a call no longer.
    pub(super) fn abandon(&mut self, call: CallId) {
        self.waiting_calls.values_mut().for_each(|calls| calls.retain(|(other, _)| *other != call));
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
            self.waiting.entry(pid.node.clone()).or_default().push((monitor, pid.clone()));
            self.connect(&pid.node);
        }
        monitor
    }

    pub(super) fn demonitor(&mut self, monitor: MonitorId) {
        let mut has_waited = false;
        self.waiting.retain(|_, monitors| {
            monitors.retain(|(other, _)| {
                has_waited |= *other == monitor;
                *other != monitor
            });
            !monitors.is_empty()
        });
        if !has_waited {
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
        for (monitor, pid) in self.waiting.remove(node).unwrap_or_default() {
            self.push(Action::Monitor(monitor, pid));
        }
        for (call, request) in self.waiting_calls.remove(node).unwrap_or_default() {
            self.push(Action::Call(call, node.clone(), request));
        }
    }

    /// A node is not connected; nothing waits for it any more. Gives the calls that did.
    pub(super) fn node_down(&mut self, node: &Atom) -> Vec<CallId> {
        self.connecting.remove(node);
        self.connected.remove(node);
        self.waiting.remove(node);
        let calls = self.waiting_calls.remove(node).unwrap_or_default();
        calls.into_iter().map(|(call, _)| call).collect()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
