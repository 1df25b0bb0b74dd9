use std::collections::BTreeMap;
use std::sync::Arc;

use peerl_node::{Atom, Node, NodeName, Pid, Term};
use tokio::sync::watch;

use super::functions;
use super::groups::Groups;
use super::server::Request;
use super::shared::{self, Shared, Updates};
use super::state::Limits;
use super::supervisor::Supervisor;
use super::view::Subject;
use crate::{Running, StartError};

/// A scope of process groups at one node: groups of the same scope are the same on all connected nodes.
///
/// Clones are handles to the same scope. It goes on when they are dropped, until it is [stopped](Self::stop) or its node is.
/// If its process ends, because a peer has ended it, another one is started, as by the supervisor of OTP's `pg`: it learns the
/// members of the other nodes, and those of this node [join again](Self::restarted).
///
/// ```no_run
/// use peerl_node::{Node, Term};
/// use peerl_otp::pg::Scope;
///
/// # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
/// let scope = Scope::start(node, Scope::DEFAULT).await?;
/// let (worker, group) = (node.process(), Term::atom("workers"));
/// scope.join(&group, worker.pid()).await?;
/// for pid in &*scope.members(&group) {
///     worker.send(pid, &"hello").await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Scope {
    name: Atom,
    shared: Arc<Shared>,
    /// The process that runs, or the last one.
    running: watch::Receiver<Running>,
    is_stopped: Arc<watch::Sender<bool>>,
}

/// Why a process has not joined or left a group.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// A process joins and leaves at its own node.
    #[error("{0:?} is no process of this node")]
    NotLocal(Term),
    /// The process that is to leave is not in the group.
    #[error("the process has not joined the group")]
    NotJoined,
    /// The scope process has ended.
    #[error("the scope has ended")]
    Ended,
}

impl Scope {
    /// The scope that each node of OTP has if its application `kernel` is told to start it.
    pub const DEFAULT: &str = "pg";

    /// The most scope processes of another node that are taken for peers: it has one, and others while it starts anew.
    pub const PEERS: usize = Limits::PEERS;

    /// The bytes of the node's [memory](Node::memory) that each of them takes, beside its groups.
    pub const PEER: usize = Limits::PEER;

    /// The bytes of the node's [memory](Node::memory) that a group of another node takes, beside its name, and one that it has a process
    /// of this node join.
    pub const GROUP: usize = Groups::GROUP;

    /// The bytes of the node's [memory](Node::memory) that a member of a group takes, if it is a process of another node.
    pub const MEMBER: usize = Groups::MEMBER;

    /// Starts the process of a scope, registered under the name of the scope, as `pg:start/1`; it makes itself known to
    /// those of all nodes that are connected or will be. Peers may call the functions `pg:join/2` and so on from then on,
    /// for the processes of this node.
    ///
    /// # Errors
    /// If the name is none of an atom, or another process has it.
    pub async fn start(node: &Node, name: &str) -> Result<Self, StartError> {
        let atom = Atom::new(name).map_err(|_| StartError::Name(name.to_owned()))?;
        let shared = Arc::<Shared>::default();
        let is_stopped = Arc::new(watch::Sender::new(false));
        let supervisor = Supervisor::new(node, atom.clone(), shared.clone(), is_stopped.subscribe());
        let running = supervisor.start().await?;
        functions::register(node).map_err(|_| StartError::Name(name.to_owned()))?;
        Ok(Self { name: atom, shared, running, is_stopped })
    }

    /// The name.
    pub fn name(&self) -> &Atom {
        &self.name
    }

    /// The scope process.
    pub fn pid(&self) -> Pid {
        self.running.borrow().pid().clone()
    }

    /// Has a process of this node join a group, once more if it is in it. It leaves when it ends.
    ///
    /// # Errors
    /// If the process is one of another node, or the scope has ended.
    pub async fn join(&self, group: &Term, pid: &Pid) -> Result<(), MembershipError> {
        self.join_all(group, std::slice::from_ref(pid)).await
    }

    /// Has several processes join a group at once.
    ///
    /// # Errors
    /// As [`join`](Self::join); then none of them joins.
    pub async fn join_all(&self, group: &Term, pids: &[Pid]) -> Result<(), MembershipError> {
        self.ask(Request::Join(group.clone(), pids.to_vec())).await
    }

    /// Has a process of this node leave a group; one that has joined twice is in it once then.
    ///
    /// # Errors
    /// If the process is not in the group, or is one of another node, or the scope has ended.
    pub async fn leave(&self, group: &Term, pid: &Pid) -> Result<(), MembershipError> {
        self.leave_all(group, std::slice::from_ref(pid)).await
    }

    /// Has several processes leave a group at once.
    ///
    /// # Errors
    /// As [`leave`](Self::leave), if none of them is in the group.
    pub async fn leave_all(&self, group: &Term, pids: &[Pid]) -> Result<(), MembershipError> {
        self.ask(Request::Leave(group.clone(), pids.to_vec())).await
    }

    /// The members of a group, on all nodes, in no order. One that has joined twice is there twice.
    pub fn members(&self, group: &Term) -> Arc<[Pid]> {
        self.shared.read(|view| view.members(group))
    }

    /// The members of a group that are processes of this node.
    pub fn local_members(&self, group: &Term) -> Vec<Pid> {
        self.shared.read(|view| view.local_members(group))
    }

    /// The groups that have members.
    pub fn groups(&self) -> Vec<Term> {
        self.shared.read(super::view::View::groups)
    }

    /// The groups that have members on this node.
    pub fn local_groups(&self) -> Vec<Term> {
        self.shared.read(super::view::View::local_groups)
    }

    /// The members of a group, and all changes from then on.
    pub fn monitor(&self, group: &Term) -> (Arc<[Pid]>, Updates) {
        self.shared.monitor(Subject::Group(group.clone()), |view| view.members(group))
    }

    /// All groups with their members, and all changes from then on.
    pub fn monitor_all(&self) -> (BTreeMap<Term, Arc<[Pid]>>, Updates) {
        self.shared.monitor(Subject::Scope, shared::all)
    }

    /// Makes the scope known to the one of a node to which the connection is hidden: between visible nodes that happens by
    /// itself.
    ///
    /// # Errors
    /// If the scope has ended.
    pub async fn discover(&self, node: &NodeName) -> Result<(), MembershipError> {
        self.ask(Request::Discover(node.as_atom().clone())).await
    }

    /// Ends the scope process: for its peers all members of this node leave. Waits until it has ended.
    pub async fn stop(mut self) {
        self.is_stopped.send_replace(true);
        while self.restarted().await {}
    }

    /// Waits until the scope process has been started again after this handle was made, or after the last time that this was
    /// awaited: processes of this node join their groups again then, and monitors of groups are made anew. Gives `false`
    /// if the scope has ended for good.
    pub async fn restarted(&mut self) -> bool {
        self.running.changed().await.is_ok()
    }

    async fn ask(&self, request: Request) -> Result<(), MembershipError> {
        let call = self.running.borrow().call::<Term>(&request);
        match call.await {
            Ok(Term::Atom(name)) if name == "ok" => Ok(()),
            Ok(Term::Atom(_)) => Err(MembershipError::NotJoined),
            Ok(Term::Tuple(parts)) if parts.len() == 2 => Err(MembershipError::NotLocal(parts[1].clone())),
            _ => Err(MembershipError::Ended),
        }
    }
}
