use std::collections::HashMap;
use std::sync::Arc;

use peerl_node::{Atom, Caller, Message, Node, NodeName, Peer, Pid, Reference, Repeats, Term, Visibility, long_work};
use serde::{Deserialize, Serialize};

use super::message::PeerMessage;
use super::scopes::Shows;
use super::shared::Shared;
use super::state::{Action, Limits, NoRoom, Refusal, State, Watched};
use crate::{Context, Outcome, Server, Stop, reply};

/// The scope process: what happens at the node and its peers goes to the state, and what the state wants is done.
pub(super) struct ScopeServer {
    name: Atom,
    shared: Arc<Shared>,
    /// There from the start of the process on.
    state: Option<State>,
    /// From the start of the process on.
    shows: Option<Shows>,
    watched: HashMap<Reference, Watched>,
    references: HashMap<Watched, Reference>,
    refused_peers: Arc<Repeats>,
    refused_groups: Arc<Repeats>,
}

/// What is asked of a scope process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    Join(Term, Vec<Pid>),
    /// A function that was called has the processes join for this node, which pays for it. If another node itself asks, that one does.
    JoinFor(Atom, Term, Vec<Pid>),
    Leave(Term, Vec<Pid>),
    Discover(Atom),
}

impl Request {
    /// A process of another node that is to join or leave.
    fn pid_elsewhere(&self, node: &Node) -> Option<&Pid> {
        match self {
            Self::Join(_, pids) | Self::JoinFor(_, _, pids) | Self::Leave(_, pids) => {
                pids.iter().find(|pid| pid.node != *node.name().as_atom())
            }
            _ => None,
        }
    }
}

impl ScopeServer {
    pub(super) fn new(name: Atom, shared: Arc<Shared>) -> Self {
        Self {
            name,
            shared,
            state: None,
            shows: None,
            watched: HashMap::new(),
            references: HashMap::new(),
            refused_peers: Arc::default(),
            refused_groups: Arc::default(),
        }
    }

    /// Does what the state wants. Nothing here waits or connects: a slow or lost node does not delay the others.
    fn perform(&mut self, actions: Vec<Action>, context: &Context) {
        let process = context.process();
        for action in actions {
            match action {
                // If a peer cannot be reached, its monitor fires, and it is removed.
                Action::SendToScope(node, message) => {
                    let _ = process.send_connected((self.name.clone(), node), &message);
                }
                Action::Send(to, message) => {
                    for pid in to {
                        let _ = process.send_connected(pid, &message);
                    }
                }
                Action::Monitor(watched) => {
                    let (Watched::Peer(pid) | Watched::Member(pid)) = &watched;
                    let reference = process.monitor_connected(pid);
                    self.watched.insert(reference.clone(), watched.clone());
                    self.references.insert(watched, reference);
                }
                Action::Demonitor(watched) => {
                    if let Some(reference) = self.references.remove(&watched) {
                        self.watched.remove(&reference);
                        process.demonitor(&reference);
                    }
                }
                Action::Changed(origin, change) => self.shared.apply(origin, change),
                Action::Refused(refusal, peer) => self.warn(refusal, &peer),
            }
        }
    }

    fn warn(&self, refusal: Refusal, peer: &Pid) {
        let (repeats, what) = match refusal {
            Refusal::Peer => (&self.refused_peers, "a node has more scope processes than are taken"),
            Refusal::Groups => (&self.refused_groups, "a peer has more groups and members than are taken"),
        };
        let warning = format!("the scope {}: {what}", self.name);
        repeats.warn(&warning, || format!("{warning}: {peer:?}"));
    }

    fn joined(&mut self, joined: Result<Vec<Action>, NoRoom>, context: &Context) -> Term {
        match joined {
            Ok(actions) => {
                self.perform(actions, context);
                Term::atom("ok")
            }
            Err(NoRoom) => Term::tuple([Term::atom("error"), Term::atom("system_limit")]),
        }
    }

    fn received(&mut self, term: &Term, context: &Context) {
        let Some(message) = PeerMessage::read(term) else {
            return tracing::debug!(scope = %self.name, "dropped a message that is none of process groups");
        };
        let Some(from) = context.received_from().and_then(Peer::node) else { return };
        let steps = self.state.as_ref().map_or(0, |state| state.steps(&message));
        long_work(steps, || {
            let actions = self.state.as_mut().map(|state| state.received(from, message));
            self.perform(actions.unwrap_or_default(), context);
        });
    }

    fn ended(&mut self, watched: &Watched, context: &Context) {
        let steps = self.state.as_ref().map_or(0, |state| state.steps_of_end(watched));
        long_work(steps, || {
            let actions = self.state.as_mut().map(|state| state.down(watched));
            self.perform(actions.unwrap_or_default(), context);
        });
    }

    fn node_up(&mut self, node: peerl_node::NodeUp, context: &Context) {
        // As in OTP: a hidden node takes part if it makes itself known.
        if node.visibility == Visibility::Visible
            && let Some(state) = &self.state
        {
            let action = state.node_up(&node.node);
            self.perform(vec![action], context);
        }
    }
}

impl Server for ScopeServer {
    type Call = Request;
    type Reply = Term;
    type Cast = Term;

    async fn init(&mut self, context: &mut Context) -> Result<(), Stop> {
        let limits = Limits::new(context.node()?.memory().clone());
        self.state = Some(State::new(context.pid().clone(), limits));
        self.shows = Some(Shows::begin(context.pid(), &self.shared));
        for node in context.process().monitor_nodes() {
            self.node_up(node, context);
        }
        Ok(())
    }

    async fn handle_call(&mut self, request: Request, _: Caller, context: &mut Context) -> Outcome<Term> {
        let Some(state) = &mut self.state else { return reply(Term::nil()) };
        if let Some(pid) = request.pid_elsewhere(&context.node()?) {
            return reply(Term::tuple([Term::atom("nolocal"), pid.clone().into()]));
        }
        let sender = context.received_from().and_then(Peer::node);
        match request {
            Request::Join(group, pids) => {
                let joined = state.join(&group, &pids, sender);
                reply(self.joined(joined, context))
            }
            Request::JoinFor(node, group, pids) => {
                let joined = state.join(&group, &pids, sender.or(Some(&node)));
                reply(self.joined(joined, context))
            }
            Request::Leave(group, pids) => match state.leave(&group, &pids) {
                Some(actions) => {
                    self.perform(actions, context);
                    reply(Term::atom("ok"))
                }
                None => reply(Term::atom("not_joined")),
            },
            Request::Discover(node) => {
                if let Ok(node) = NodeName::new(node.as_str()) {
                    let action = state.node_up(&node);
                    self.perform(vec![action], context);
                }
                reply(Term::atom("ok"))
            }
        }
    }

    async fn handle_cast(&mut self, cast: Term, context: &mut Context) -> Result<(), Stop> {
        self.received(&cast, context);
        Ok(())
    }

    async fn handle_info(&mut self, message: Message, context: &mut Context) -> Result<(), Stop> {
        match message {
            Message::User(payload) => {
                payload.work(|| payload.decode().map(|term| self.received(&term, context)))?;
            }
            Message::NodeUp(node) => self.node_up(*node, context),
            Message::Down(down) => {
                if let Some(watched) = self.watched.remove(&down.reference) {
                    self.references.remove(&watched);
                    self.ended(&watched, context);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn state(&self) -> Term {
        let peers = self.state.iter().flat_map(State::peers);
        let peers = Term::list(peers.cloned().map(Term::from));
        Term::tuple([Term::atom("scope"), self.name.clone().into(), Term::tuple([Term::atom("peers"), peers])])
    }
}

impl Drop for ScopeServer {
    fn drop(&mut self) {
        let steps = self.state.as_ref().map_or(0, State::all_steps);
        long_work(steps, || {
            self.shared.end();
            self.state = None;
        });
    }
}
