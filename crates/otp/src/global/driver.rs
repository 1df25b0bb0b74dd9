use std::collections::HashMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use peerl_node::{
    Atom, Down, MailboxPolicy, Message, Mfa, Node, NodeDown, NodeDownReason, NodeName, Overflow, Peer, Pid, Process,
    Reference, RegisterError, Term, WeakNode, long_work,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::SERVER;
use super::action::Action;
use super::ask::Asked;
use super::event::{Event, LinkEnd};
use super::ids::{CallId, MonitorId, RequestId};
use super::message::{Received, Request};
use super::random::seed_of;
use super::registration::Registration;
use super::state::{Identity, State};

/// The most messages that wait. Those of others may have to wait for all of them.
const MOST_WAITING: usize = 8192;

/// The most attempts to connect at a time. The names come from peers, and each attempt takes seconds.
const DIALS: usize = 1024;

/// Runs a [`State`] in the process `global_name_server` of a node.
pub(super) struct Driver {
    node: WeakNode,
    process: Process,
    state: State,
    requests: mpsc::Receiver<Asked>,
    /// What tasks have found out.
    outcomes: mpsc::UnboundedReceiver<Event>,
    report: mpsc::UnboundedSender<Event>,
    answers: HashMap<RequestId, oneshot::Sender<Term>>,
    /// Each ends when nobody waits for the answer any more.
    waits: FuturesUnordered<BoxFuture<'static, RequestId>>,
    last_request: u64,
    watched: HashMap<Reference, Watched>,
    monitors: HashMap<MonitorId, Reference>,
    calls: HashMap<CallId, Reference>,
    /// The node that has sent what is being handled.
    cause: Option<Atom>,
    /// Attempts to connect to nodes. They end with this process.
    dials: JoinSet<()>,
}

/// What a monitor is for.
#[derive(Debug, Clone, Copy)]
enum Watched {
    Monitor(MonitorId),
    Call(CallId),
}

impl Driver {
    /// Starts the process.
    pub(super) fn start(node: &Node, requests: mpsc::Receiver<Asked>) -> Result<Self, RegisterError> {
        let mailbox = MailboxPolicy { messages: MOST_WAITING, bytes: 64 << 20, overflow: Overflow::Wait };
        let process = node.process_with(mailbox);
        // OTP ends the node if this process ends: names and locks would be half there.
        process.ignore_exits();
        process.tell_senders();
        process.register(Atom::from_static(SERVER))?;
        let (report, outcomes) = mpsc::unbounded_channel();
        let (server, seed) = (process.pid().clone(), seed_of(process.pid()));
        let identity = Identity { node: node.name().as_atom().clone(), server, seed };
        Ok(Self {
            node: node.downgrade(),
            process,
            state: State::new(identity, node.memory().clone()),
            requests,
            outcomes,
            report,
            answers: HashMap::new(),
            waits: FuturesUnordered::new(),
            last_request: 0,
            watched: HashMap::new(),
            monitors: HashMap::new(),
            calls: HashMap::new(),
            cause: None,
            dials: JoinSet::new(),
        })
    }

    /// The names of the processes of this node.
    pub(super) fn own_names(&self) -> Vec<Registration> {
        let node = &self.process.pid().node;
        self.state.names().into_iter().filter(|name| name.pid.node == *node).collect()
    }

    /// The node, while it runs.
    pub(super) fn node(&self) -> Option<Node> {
        self.node.upgrade()
    }

    /// Ends the process. What was asked already gets no answer; later requests wait for the next process.
    pub(super) fn end(self, reason: &Term) -> mpsc::Receiver<Asked> {
        self.process.exit(reason);
        self.requests
    }

    /// Connects to these nodes after a pause, if they have not connected before.
    pub(super) fn join_after(&mut self, pause: Duration, nodes: Vec<NodeName>) {
        for peer in nodes {
            let node = self.node.clone();
            self.dials.spawn(async move {
                tokio::time::sleep(pause).await;
                if let Some(node) = node.upgrade()
                    && let Err(error) = node.connect(&peer).await
                {
                    tracing::warn!(%peer, %error, "a node of the mesh cannot be connected again");
                }
            });
        }
    }

    /// Enters names that have been registered at this node before.
    pub(super) fn restore(&mut self, names: Vec<Registration>) {
        self.state.restore(names);
        self.act_all();
    }

    /// Runs until the node ends.
    pub(super) async fn run(&mut self) {
        for up in self.process.monitor_nodes() {
            self.handle(Event::NodeUp(up.node.as_atom().clone(), up.visibility));
        }
        loop {
            let deadline = self.state.deadline();
            let timeout = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A flood of messages keeps nothing else from being done.
                biased;
                () = timeout => self.handle(Event::Timeout),
                Some(event) = self.outcomes.recv() => self.handle(event),
                Some(request) = self.waits.next() => self.given_up(request),
                Some(asked) = self.requests.recv() => self.asked(asked),
                message = self.process.receive() => match message {
                    Ok(message) => self.receive(message),
                    Err(ended) => {
                        tracing::debug!(reason = ?ended.reason, "global has ended");
                        return;
                    }
                },
            }
        }
    }

    fn asked(&mut self, Asked { wanted, answer, wait }: Asked) {
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.answers.insert(request, answer);
        self.handle(Event::Request(request, wanted));
        if self.answers.contains_key(&request) {
            self.waits.push(wait.map(move |_| request).boxed());
        }
    }

    fn given_up(&mut self, request: RequestId) {
        // That who has the answer no longer waits is nothing new.
        if self.answers.remove(&request).is_some() {
            self.handle(Event::GivenUp(request));
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::User(payload) => payload.work(|| match payload.decode() {
                Ok(message) => self.message(message),
                Err(error) => tracing::warn!(%error, "global has got a malformed message"),
            }),
            Message::Down(down) => self.down(&down),
            Message::NodeUp(up) => self.handle(Event::NodeUp(up.node.as_atom().clone(), up.visibility)),
            Message::NodeDown(down) => {
                let NodeDown { node, reason, .. } = *down;
                self.handle(Event::NodeDown(node.as_atom().clone(), end(&reason)));
            }
            _ => {}
        }
    }

    fn message(&mut self, message: Term) {
        if let Some([Term::Reference(tag), reply]) = message.as_tuple() {
            if let Some(Watched::Call(call)) = self.watched.get(&**tag).copied() {
                let reply = reply.clone();
                self.forget_call(call);
                self.handle(Event::Answered(call, Some(reply)));
            }
            return;
        }
        match Received::from_term(message) {
            Ok(received) => {
                let peer = self.process.received_from().map(Peer::node);
                // Nothing is taken from a peer without a name.
                if let Some(from) = peer.unwrap_or(Some(&self.process.pid().node)).cloned() {
                    self.handle(Event::Received(from, Box::new(received)));
                }
            }
            Err(message) => tracing::debug!("global has got a message that it does not know: {message}"),
        }
    }

    fn down(&mut self, down: &Down) {
        match self.watched.remove(&down.reference) {
            Some(Watched::Monitor(monitor)) => {
                self.monitors.remove(&monitor);
                self.handle(Event::Down(monitor));
            }
            Some(Watched::Call(call)) => {
                self.calls.remove(&call);
                self.handle(Event::Answered(call, None));
            }
            None => {}
        }
    }

    fn handle(&mut self, event: Event) {
        self.cause = match &event {
            Event::Received(sender, _) => Some(sender.clone()),
            _ => None,
        };
        long_work(self.state.steps(&event), || {
            self.state.handle(event, Instant::now().into_std());
            self.act_all();
        });
    }

    fn act_all(&mut self) {
        while let Some(action) = self.state.next_action() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            // What cannot be sent is settled by the end of the connection.
            Action::Send(node, message) => {
                if let Ok(node) = NodeName::new(&node) {
                    let _ = self.process.send_connected((SERVER, &node), &message.to_term());
                }
            }
            Action::SendProcess(pid, message) => {
                let _ = self.process.send_connected(pid, &message);
            }
            Action::Call(call, node, request) => self.call(call, &node, &request),
            Action::AbandonCall(call) => self.forget_call(call),
            // A term can always be encoded.
            Action::Reply(caller, reply) => {
                let _ = self.process.reply(&caller, &reply);
            }
            Action::Answer(request, answer) => {
                if let Some(sender) = self.answers.remove(&request) {
                    // Who asked may have given up.
                    let _ = sender.send(answer);
                }
            }
            Action::Monitor(monitor, pid) => {
                let reference = self.process.monitor_connected(pid);
                self.watched.insert(reference.clone(), Watched::Monitor(monitor));
                self.monitors.insert(monitor, reference);
            }
            Action::Demonitor(monitor) => {
                if let Some(reference) = self.monitors.remove(&monitor) {
                    self.watched.remove(&reference);
                    self.process.demonitor(&reference);
                }
            }
            Action::Kill(pid) => self.process.exit_other(&pid, &Term::atom("kill")),
            Action::Connect(node) => self.connect(node),
            Action::Disconnect(node) => {
                if let (Some(this), Ok(node)) = (self.node.upgrade(), NodeName::new(&node)) {
                    this.disconnect(&node);
                }
            }
            Action::Resolve(id, node, arguments) => self.resolve(id, &node, arguments),
        }
    }

    fn call(&mut self, call: CallId, node: &Atom, request: &Request) {
        let Ok(node) = NodeName::new(node) else {
            let _ = self.report.send(Event::Answered(call, None));
            return;
        };
        let reference = self.process.monitor_connected((SERVER, &node));
        self.watched.insert(reference.clone(), Watched::Call(call));
        self.calls.insert(call, reference.clone());
        let _ = self.process.send_connected((SERVER, &node), &gen_call(self.process.pid(), &reference, request));
    }

    fn forget_call(&mut self, call: CallId) {
        if let Some(reference) = self.calls.remove(&call) {
            self.watched.remove(&reference);
            self.process.demonitor(&reference);
        }
    }

    fn connect(&mut self, node: Atom) {
        while self.dials.try_join_next().is_some() {}
        let (this, report) = (self.node.upgrade(), self.report.clone());
        if self.dials.len() >= DIALS {
            let _ = report.send(Event::ConnectFailed(node));
            return;
        }
        // A peer may name any nodes as members of its partition.
        let asker = self.cause.as_ref().and_then(|cause| NodeName::new(cause).ok());
        self.dials.spawn(async move {
            let connected = match (this, NodeName::new(&node)) {
                (Some(this), Ok(name)) => {
                    let asker = asker.as_ref().unwrap_or(this.name());
                    this.connect_for(asker, &name).await.is_ok()
                }
                _ => false,
            };
            if !connected {
                let _ = report.send(Event::ConnectFailed(node));
            }
        });
    }

    fn resolve(&self, id: super::ResolutionId, node: &Atom, [method, name, one, other]: [Term; 4]) {
        let (this, report, node) = (self.node.upgrade(), self.report.clone(), NodeName::new(node));
        tokio::spawn(async move {
            let answer = async {
                let function = Mfa::new("global", "resolve_it", (method, name, one, other)).ok()?;
                this?.call::<Term>(&node.ok()?, function).await.ok()
            };
            let answer = answer.await;
            let _ = report.send(Event::Returned(id, answer));
        });
    }
}

/// `{'$gen_call', {Pid, Tag}, Request}`.
pub(super) fn gen_call(caller: &Pid, tag: &Reference, request: &Request) -> Term {
    let caller = Term::tuple([caller.clone().into(), tag.clone().into()]);
    Term::tuple([Term::atom("$gen_call"), caller, request.to_term()])
}

fn end(reason: &NodeDownReason) -> LinkEnd {
    match reason {
        NodeDownReason::ConnectionClosed | NodeDownReason::Io(_) => LinkEnd::Peer,
        NodeDownReason::NetTickTimeout => LinkEnd::Silence,
        _ => LinkEnd::Own,
    }
}
