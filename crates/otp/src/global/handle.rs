use std::fmt;

use peerl_node::{Atom, Node, Nodes, Pid, Term};
use tokio::sync::mpsc;

use super::ask::{Asked, NotRunning, ask};
use super::event::LocalRequest;
use super::guard::LockGuard;
use super::lock::LockId;
use super::lock_holder::Retries;
use super::locks::Locks;
use super::method::Method;
use super::names::Names;
use super::registration::Registration;
use super::served;

/// `global` at a node: names and locks that are the same at all nodes of the mesh. [`NodeGlobal::global`](super::NodeGlobal)
/// gives it.
///
/// ```no_run
/// use peerl_node::{Node, Term};
/// use peerl_otp::global::{Method, NodeGlobal};
///
/// # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
/// let (global, process) = (node.global(), node.process());
/// // The names of all nodes with which this one is connected are known here.
/// global.sync().await?;
/// assert!(global.register(Term::atom("job"), process.pid(), Method::RandomExit).await?);
/// if let Some(leader) = global.whereis(Term::atom("leader")).await? {
///     process.send(&leader, &"hello").await?;
/// }
/// let lock = global.lock(Term::atom("table")).await?;
/// // No other node is here at the same time.
/// lock.release().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Global {
    node: Node,
    /// None if the node has no `global`.
    requests: Option<mpsc::Sender<Asked>>,
}

impl Global {
    /// The bytes of the node's [memory](Node::memory) that a name takes, beside its term and its method.
    pub const NAME: usize = Names::NAME;

    /// The bytes of the node's [memory](Node::memory) that a process which holds a lock takes, beside the terms of the lock.
    pub const LOCK_HOLDER: usize = Locks::HOLDER;

    pub(super) fn new(node: &Node, requests: Option<mpsc::Sender<Asked>>) -> Self {
        Self { node: node.clone(), requests }
    }

    /// Registers a name for a process at all nodes. Says whether it has the name now: not if another process has it, or the
    /// process has another name.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn register(&self, name: impl Into<Term>, pid: &Pid, method: Method) -> Result<bool, NotRunning> {
        let registration = Registration { name: name.into(), pid: pid.clone(), method: method.to_term() };
        Ok(self.ask(LocalRequest::Register(registration)).await?.is_atom("yes"))
    }

    /// Registers a name for a process at all nodes, also if another process has it.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn re_register(&self, name: impl Into<Term>, pid: &Pid, method: Method) -> Result<(), NotRunning> {
        let registration = Registration { name: name.into(), pid: pid.clone(), method: method.to_term() };
        self.ask(LocalRequest::ReRegister(registration)).await.map(drop)
    }

    /// Removes a name at all nodes.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn unregister(&self, name: impl Into<Term>) -> Result<(), NotRunning> {
        self.ask(LocalRequest::Unregister(name.into())).await.map(drop)
    }

    /// The process that has a name.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn whereis(&self, name: impl Into<Term>) -> Result<Option<Pid>, NotRunning> {
        let pid = self.ask(LocalRequest::Whereis(name.into())).await?.as_pid().cloned();
        Ok(pid.filter(|pid| served::may_live(&self.node, pid)))
    }

    /// All names.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn registered_names(&self) -> Result<Vec<Term>, NotRunning> {
        let names = self.ask(LocalRequest::RegisteredNames).await?;
        Ok(names.as_list().unwrap_or_default().to_vec())
    }

    /// Waits until the names of all nodes are known with which this one is connected now.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn sync(&self) -> Result<(), NotRunning> {
        self.ask(LocalRequest::Sync(None)).await.map(drop)
    }

    /// Leaves the mesh: ends all connections, and no other two nodes part because of that. Gives the nodes that it was
    /// connected with. They, or this node, may connect again.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn disconnect(&self) -> Result<Vec<Atom>, NotRunning> {
        let left = self.ask(LocalRequest::Disconnect).await?;
        Ok(left.as_list().unwrap_or_default().iter().filter_map(Term::as_atom).cloned().collect())
    }

    /// Sets a lock at all connected nodes, as `global:set_lock/1`; waits until nobody else has it. The lock goes with the
    /// guard.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn lock(&self, resource: impl Into<Term>) -> Result<LockGuard, NotRunning> {
        let guard = self.acquire(resource.into(), Retries::Unlimited).await?;
        guard.ok_or(NotRunning)
    }

    /// Sets a lock as [`lock`](Self::lock) does, but gives nothing if somebody else has it and keeps it during so many more
    /// attempts.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn try_lock(&self, resource: impl Into<Term>, retries: u32) -> Result<Option<LockGuard>, NotRunning> {
        self.acquire(resource.into(), Retries::AtMost(retries)).await
    }

    /// Does something under a lock, as `global:trans/2`.
    ///
    /// # Errors
    /// If `global` does not run.
    pub async fn trans<T>(&self, resource: impl Into<Term>, work: impl Future<Output = T>) -> Result<T, NotRunning> {
        let lock = self.lock(resource).await?;
        let done = work.await;
        lock.release().await;
        Ok(done)
    }

    async fn acquire(&self, resource: Term, retries: Retries) -> Result<Option<LockGuard>, NotRunning> {
        let process = self.node.process();
        let id = LockId { resource, requester: process.pid().clone().into() };
        let nodes = self.node.nodes(Nodes::Visible).into_iter().chain([self.node.name().clone()]).collect();
        self.requests()?;
        LockGuard::acquire(&self.node, process, id, nodes, retries).await
    }

    async fn ask(&self, request: LocalRequest) -> Result<Term, NotRunning> {
        ask(self.requests()?, request).await
    }

    fn requests(&self) -> Result<&mpsc::Sender<Asked>, NotRunning> {
        self.requests.as_ref().ok_or(NotRunning)
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Global").field(self.node.name()).finish()
    }
}
