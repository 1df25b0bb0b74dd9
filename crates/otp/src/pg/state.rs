use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peerl_node::{Atom, Budget, Lease, NodeName, Pid, Share, Term};

use super::groups::{Groups, Members};
use super::message::{self, Change, Content, PeerMessage, Version};
use crate::lasting::{Lasting, LastingLease};
use crate::node_shares::NodeShares;
use crate::term_memory::term_memory;

/// What the scope process of one node knows: the groups of its own processes, and those of each other scope process.
///
/// It does nothing by itself: what happens goes in, what is to be done comes out as [`Action`]s, to be done in their order.
/// No step waits for a time, so that there is no clock in it.
///
/// How two scope processes get to know each other: when their nodes are connected, or one of them starts, it sends `discover`
/// to the name of the scope at the other node. Who is discovered answers with all its groups, and asks back if the peer is
/// new to it. From then on each tells the other of changes, and monitors it: its end, or the loss of the connection,
/// takes its groups away.
#[derive(Debug)]
pub(super) struct State {
    own: Pid,
    local: Groups,
    /// The groups that each process of this node has joined; one that it has joined several times is there as often.
    joined: BTreeMap<Pid, Vec<Joined>>,
    peers: BTreeMap<Pid, Peer>,
    /// How many of them each node has that has some.
    peers_of: BTreeMap<Atom, usize>,
    limits: Limits,
    /// What the scope processes and groups of each node take of the memory.
    shares: NodeShares,
    /// What the groups take that each has had processes of this node join.
    lasting: Lasting,
}

/// A group that a process of this node has joined.
#[derive(Debug)]
struct Joined {
    group: Arc<Term>,
    /// What it takes of the memory of the node that has had the process join.
    _lease: Option<LastingLease>,
}

/// The node that has had processes join has no memory left for that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// How much a scope takes of its peers, which could send without end.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// The most scope processes of one node. It has one, and for a moment those that have ended, of which this one learns later.
    pub(super) peers: usize,
    /// The memory for them and their groups.
    pub(super) memory: Arc<Budget>,
}

impl Limits {
    /// The usual number of scope processes of one node.
    pub(super) const PEERS: usize = 16;

    /// The bytes that a scope process takes, with its monitor, beside its groups.
    pub(super) const PEER: usize = 1024;

    /// Those of a scope of a node that has this memory for its peers.
    pub(super) fn new(memory: Arc<Budget>) -> Self {
        Self { peers: Self::PEERS, memory }
    }
}

/// The scope process of another node.
#[derive(Debug)]
struct Peer {
    /// The latest version that it has spoken.
    version: Version,
    groups: Groups,
    share: Arc<Share>,
    /// The bytes that its groups take of the share.
    bytes: usize,
    /// For itself.
    _lease: Lease,
}

impl Peer {
    /// Adds processes to a group, as many as there is memory for. Returns how many.
    fn join(&mut self, group: &Arc<Term>, pids: &[Pid]) -> usize {
        let of_group = self.cost(group);
        let cost = |count: usize| if count == 0 { 0 } else { of_group + count * Groups::MEMBER };
        let count = if self.share.take(cost(pids.len())) {
            pids.len()
        } else {
            (0..pids.len()).take_while(|count| self.share.take(cost(count + 1) - cost(*count))).count()
        };
        self.groups.extend(group, &pids[..count]);
        self.bytes += cost(count);
        count
    }

    /// Removes processes from a group, each as often as it is given. Returns how many were there.
    fn leave(&mut self, group: &Term, pids: &[Pid]) -> usize {
        let removed = self.groups.remove_all(group, pids);
        if removed > 0 {
            let cost = removed * Groups::MEMBER + self.cost(group);
            self.share.give_back(cost);
            self.bytes -= cost;
        }
        removed
    }

    /// Removes all groups.
    fn clear(&mut self) -> Groups {
        self.share.give_back(std::mem::take(&mut self.bytes));
        std::mem::take(&mut self.groups)
    }

    /// What the group takes beside its members, if it is not there.
    fn cost(&self, group: &Term) -> usize {
        if self.groups.get(group).is_none() { Groups::GROUP + 2 * term_memory(group) } else { 0 }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// To be sent to the process at this node that has the scope's name.
    SendToScope(NodeName, Term),
    /// To be sent to these processes.
    Send(Vec<Pid>, Term),
    /// The end of this process is to be told to the state.
    Monitor(Watched),
    /// That is no longer so.
    Demonitor(Watched),
    /// The members of a group have changed.
    Changed(Origin, Change),
    /// This peer has more than this scope takes.
    Refused(Refusal, Pid),
}

/// What is not taken of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The scope process: its node has too many.
    Peer,
    /// Some of its groups and members.
    Groups,
}

/// A process that the scope process monitors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Watched {
    /// The scope process of another node.
    Peer(Pid),
    /// A process of this node that has joined a group.
    Member(Pid),
}

/// Where the members of a change are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// At this node.
    Local,
    /// At another one.
    Remote,
}

impl State {
    /// The state of a scope process that starts.
    pub(super) fn new(own: Pid, limits: Limits) -> Self {
        Self {
            own,
            local: Groups::default(),
            joined: BTreeMap::new(),
            peers: BTreeMap::new(),
            peers_of: BTreeMap::new(),
            shares: NodeShares::new(limits.memory.clone()),
            lasting: Lasting::new(limits.memory.clone()),
            limits,
        }
    }

    /// A visible node has been connected, or is so when the scope process starts.
    pub(super) fn node_up(&self, node: &NodeName) -> Action {
        // In the form that every release takes.
        Action::SendToScope(node.clone(), message::discover(&self.own, Version::V0))
    }

    /// About how many steps it takes to deal with a message, beside those for what the message brings.
    pub(super) fn steps(&self, message: &PeerMessage) -> usize {
        let known = self.peers.get(&message.peer);
        match message.content {
            Content::Discover(_) => self.local.steps(),
            Content::Data(..) => known.map_or_else(|| self.local.steps(), |known| 2 * known.groups.steps()),
            Content::Update(_) | Content::Leave(..) => 0,
        }
    }

    /// About how many steps it takes to deal with the end of a process.
    pub(super) fn steps_of_end(&self, watched: &Watched) -> usize {
        match watched {
            Watched::Peer(pid) => self.peers.get(pid).map_or(0, |peer| 2 * peer.groups.steps()),
            Watched::Member(pid) => self.joined.get(pid).map_or(0, Vec::len) * (2 + self.peers.len()),
        }
    }

    /// About how many steps it takes to forget everything.
    pub(super) fn all_steps(&self) -> usize {
        self.local.steps() + self.peers.values().map(|peer| peer.groups.steps()).sum::<usize>()
    }

    /// A message of another scope process has come from this node. One that names a process of another node is ignored: nobody
    /// introduces others, to whom all groups would be sent.
    pub(super) fn received(&mut self, from: &Atom, message: PeerMessage) -> Vec<Action> {
        let PeerMessage { peer, content } = message;
        if peer.node != *from || peer.node == self.own.node {
            return Vec::new();
        }
        match content {
            Content::Discover(version) => self.discovered(peer, version),
            Content::Data(version, groups) => self.replaced(peer, version, groups),
            Content::Update(changes) => self.updated(&peer, changes),
            Content::Leave(pids, groups) => self.left(&peer, &pids, &groups),
        }
    }

    /// A monitored process has ended, or its node is connected no longer.
    pub(super) fn down(&mut self, watched: &Watched) -> Vec<Action> {
        match watched {
            Watched::Peer(pid) => self.peer_down(pid),
            Watched::Member(pid) => self.member_down(pid),
        }
    }

    /// Processes of this node join a group, because another node wants it or this one itself. What another node has joined takes
    /// of its memory until the process leaves.
    ///
    /// # Errors
    /// If that node has no memory left: none of them joins.
    pub(super) fn join(&mut self, group: &Term, pids: &[Pid], for_node: Option<&Atom>) -> Result<Vec<Action>, NoRoom> {
        // Each member pays for the name of the group: any of them may be the last one.
        let cost = || Groups::GROUP + Groups::MEMBER + 2 * term_memory(group);
        let mut lease = match for_node {
            Some(node) => {
                let cost = cost();
                Some((cost, self.lasting.lease(node, cost.saturating_mul(pids.len())).ok_or(NoRoom)?))
            }
            None => None,
        };
        let group = self.local.name(group);
        let mut actions = Vec::new();
        for pid in pids {
            let groups = self.joined.entry(pid.clone()).or_default();
            if groups.is_empty() {
                actions.push(Action::Monitor(Watched::Member(pid.clone())));
            }
            let lease = lease.as_mut().map(|(cost, lease)| lease.split(*cost));
            groups.push(Joined { group: group.clone(), _lease: lease });
            self.local.add(&group, pid);
        }
        if !pids.is_empty() {
            self.tell(&mut actions, |own, version| message::joined(own, version, &group, pids));
            let change = Change { group, joined: pids.to_vec(), left: Vec::new() };
            actions.push(Action::Changed(Origin::Local, change));
        }
        Ok(actions)
    }

    /// Processes of this node leave a group, each as often as it is given. Nothing, if none of them has joined it.
    pub(super) fn leave(&mut self, group: &Term, pids: &[Pid]) -> Option<Vec<Action>> {
        let mut actions = Vec::new();
        let group = &self.local.name(group);
        let left: Vec<Pid> = pids.iter().filter(|pid| self.local.remove(group, pid)).cloned().collect();
        if left.is_empty() {
            return None;
        }
        for pid in &left {
            let Some(groups) = self.joined.get_mut(pid) else { continue };
            if let Some(place) = groups.iter().rposition(|joined| joined.group == *group) {
                groups.remove(place);
            }
            if groups.is_empty() {
                self.joined.remove(pid);
                actions.push(Action::Demonitor(Watched::Member(pid.clone())));
            }
        }
        let change = Change { group: group.clone(), joined: Vec::new(), left: left.clone() };
        actions.push(Action::Changed(Origin::Local, change));
        self.tell(&mut actions, |own, version| message::left(own, version, std::slice::from_ref(group), &left));
        Some(actions)
    }

    /// The scope processes of other nodes that are known.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Pid> {
        self.peers.keys()
    }

    fn discovered(&mut self, peer: Pid, version: Version) -> Vec<Action> {
        let mut actions = Vec::new();
        let is_new = !self.peers.contains_key(&peer);
        if is_new && !self.meet(&peer, version, &mut actions) {
            return actions;
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.version = known.version.max(version);
        }
        actions.push(Action::Send(vec![peer.clone()], message::data(&self.own, version, &self.local)));
        if is_new {
            actions.push(Action::Send(vec![peer], message::discover(&self.own, version)));
        }
        actions
    }

    /// Takes a scope process for a peer, if there is room for it.
    fn meet(&mut self, peer: &Pid, version: Version, actions: &mut Vec<Action>) -> bool {
        let of_node = self.peers_of.get(&peer.node).copied().unwrap_or(0);
        let share = self.shares.of(&peer.node);
        let Some(lease) = (of_node < self.limits.peers).then(|| share.lease(Limits::PEER)).flatten() else {
            actions.push(Action::Refused(Refusal::Peer, peer.clone()));
            return false;
        };
        self.peers_of.insert(peer.node.clone(), of_node + 1);
        self.peers.insert(peer.clone(), Peer { version, groups: Groups::default(), share, bytes: 0, _lease: lease });
        actions.push(Action::Monitor(Watched::Peer(peer.clone())));
        true
    }

    fn replaced(&mut self, peer: Pid, version: Version, groups: Vec<(Arc<Term>, Vec<Pid>)>) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.peers.contains_key(&peer) {
            if !self.meet(&peer, version, &mut actions) {
                return actions;
            }
            // It has not been told yet what is here, and the scope process of OTP 25 ends if a process leaves a group of
            // which it has not heard.
            let data = message::data(&self.own, version, &self.local);
            actions.push(Action::Send(vec![peer.clone()], data));
        }
        let Some(known) = self.peers.get_mut(&peer) else { return actions };
        known.version = known.version.max(version);
        let old = known.clear();
        let mut is_refused = false;
        for (group, pids) in groups {
            is_refused |= known.join(&group, &pids) < pids.len();
        }
        let names: BTreeSet<&Arc<Term>> = old.iter().chain(known.groups.iter()).map(|(group, _)| group).collect();
        for group in names {
            let (before, after) = (old.get(group), known.groups.get(group));
            let joined = after.map_or_else(Vec::new, |after| after.without(before));
            let left = before.map_or_else(Vec::new, |before| before.without(after));
            if !joined.is_empty() || !left.is_empty() {
                actions.push(Action::Changed(Origin::Remote, Change { group: group.clone(), joined, left }));
            }
        }
        if is_refused {
            actions.push(Action::Refused(Refusal::Groups, peer));
        }
        actions
    }

    fn updated(&mut self, peer: &Pid, changes: Vec<Change>) -> Vec<Action> {
        // What an unknown one tells is incomplete: when it is known, all its groups come.
        let Some(known) = self.peers.get_mut(peer) else { return Vec::new() };
        let mut actions = Vec::new();
        let mut is_refused = false;
        for Change { group, mut joined, mut left } in changes {
            let fitting = known.join(&group, &joined);
            is_refused |= joined.len() > fitting;
            joined.truncate(fitting);
            left = known.groups.get(&group).map_or_else(Vec::new, |members| members.of(&counts(&left), 1));
            known.leave(&group, &left);
            if !joined.is_empty() || !left.is_empty() {
                actions.push(Action::Changed(Origin::Remote, Change { group, joined, left }));
            }
        }
        if is_refused {
            actions.push(Action::Refused(Refusal::Groups, peer.clone()));
        }
        actions
    }

    /// Processes of a peer have left groups. A short message may name many of both: it takes no more work than there are members.
    fn left(&mut self, peer: &Pid, pids: &[Pid], groups: &[Term]) -> Vec<Action> {
        let Some(known) = self.peers.get_mut(peer) else { return Vec::new() };
        let pids = counts(pids);
        let mut actions = Vec::new();
        for (group, times) in counts(groups) {
            let Some((group, members)) = known.groups.get_key_value(group) else { continue };
            let (group, left) = (group.clone(), members.of(&pids, times));
            known.leave(&group, &left);
            if !left.is_empty() {
                actions.push(Action::Changed(Origin::Remote, Change { group, joined: Vec::new(), left }));
            }
        }
        actions
    }

    fn peer_down(&mut self, pid: &Pid) -> Vec<Action> {
        let Some(mut peer) = self.peers.remove(pid) else { return Vec::new() };
        if let Entry::Occupied(mut of_node) = self.peers_of.entry(pid.node.clone()) {
            *of_node.get_mut() -= 1;
            if *of_node.get() == 0 {
                of_node.remove();
            }
        }
        let groups = peer.clear();
        let left = |(group, members): (&Arc<Term>, &Members)| {
            let change = Change { group: group.clone(), joined: Vec::new(), left: members.without(None) };
            Action::Changed(Origin::Remote, change)
        };
        groups.iter().map(left).collect()
    }

    fn member_down(&mut self, pid: &Pid) -> Vec<Action> {
        let Some(joined) = self.joined.remove(pid) else { return Vec::new() };
        let groups: Vec<_> = joined.iter().map(|joined| joined.group.clone()).collect();
        let mut actions = Vec::new();
        for group in &groups {
            self.local.remove(group, pid);
            let change = Change { group: group.clone(), joined: Vec::new(), left: vec![pid.clone()] };
            actions.push(Action::Changed(Origin::Local, change));
        }
        self.tell(&mut actions, |own, version| message::left(own, version, &groups, std::slice::from_ref(pid)));
        actions
    }

    /// Sends a message to all peers, to each in the version that it speaks.
    fn tell(&self, actions: &mut Vec<Action>, message: impl Fn(&Pid, Version) -> Term) {
        for version in [Version::V0, Version::V1] {
            let to: Vec<Pid> =
                self.peers.iter().filter(|(_, peer)| peer.version == version).map(|(pid, _)| pid.clone()).collect();
            if !to.is_empty() {
                actions.push(Action::Send(to, message(&self.own, version)));
            }
        }
    }
}

/// How often each is there.
fn counts<T: Ord>(all: &[T]) -> BTreeMap<&T, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
impl State {
    pub(super) fn own(&self) -> &Pid {
        &self.own
    }

    pub(super) fn local(&self) -> &Groups {
        &self.local
    }

    pub(super) fn watched(&self) -> BTreeSet<Watched> {
        let peers = self.peers.keys().cloned().map(Watched::Peer);
        peers.chain(self.joined.keys().cloned().map(Watched::Member)).collect()
    }
}
