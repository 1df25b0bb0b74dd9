use std::fmt;

use peerl_node::{Atom, Node, Nodes, Pid, RegisterError, Term};
use peerl_term::AtomError;
use tokio::sync::mpsc;

use super::ask::{Stopped, ask};
use super::driver::{Asked, Driver};
use super::event::LocalRequest;
use super::guard::{LockGuard, Retries};
use super::lock::LockId;
use super::method::Method;
use super::registration::Registration;
use super::served;

/// `global` at a node: names and locks that are the same at all nodes of the mesh. Clones are handles to the same.
///
/// ```no_run
/// use peerl_node::Node;
/// use peerl_otp::global::{Global, Method};
///
/// # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
/// let global = Global::start(node)?;
/// let process = node.process();
/// assert!(global.register("job", process.pid(), Method::RandomExit).await?);
/// let lock = global.lock("table").await?;
/// // No other node is here at the same time.
/// lock.release().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Global {
    node: Node,
    requests: mpsc::Sender<Asked>,
}

/// Why `global` was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It runs already.
    #[error("the node runs global already")]
    Running(#[from] RegisterError),
    /// A function cannot be exported, which does not happen.
    #[error(transparent)]
    Export(#[from] AtomError),
}

impl Global {
    /// Starts `global` at a visible node: it meets all nodes with which it is connected, and those that they know. Peers can
    /// call the functions of the module `global` here from then on.
    ///
    /// # Errors
    /// If the node runs it already.
    pub fn start(node: &Node) -> Result<Self, StartError> {
        let global = Self { node: node.clone(), requests: Driver::start(node)? };
        served::export(node, &global.requests)?;
        Ok(global)
    }

    /// Registers a name for a process at all nodes. Says whether it has the name now: not if another process has it, or the
    /// process has another name.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn register(&self, name: impl Into<Term>, pid: &Pid, method: Method) -> Result<bool, Stopped> {
        let registration = Registration { name: name.into(), pid: pid.clone(), method: method.to_term() };
        Ok(self.ask(LocalRequest::Register(registration)).await?.is_atom("yes"))
    }

    /// Registers a name for a process at all nodes, also if another process has it.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn re_register(&self, name: impl Into<Term>, pid: &Pid, method: Method) -> Result<(), Stopped> {
        let registration = Registration { name: name.into(), pid: pid.clone(), method: method.to_term() };
        self.ask(LocalRequest::ReRegister(registration)).await.map(drop)
    }

    /// Removes a name at all nodes.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn unregister(&self, name: impl Into<Term>) -> Result<(), Stopped> {
        self.ask(LocalRequest::Unregister(name.into())).await.map(drop)
    }

    /// The process that has a name.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn whereis(&self, name: impl Into<Term>) -> Result<Option<Pid>, Stopped> {
        let pid = self.ask(LocalRequest::Whereis(name.into())).await?.as_pid().cloned();
        Ok(pid.filter(|pid| served::may_live(&self.node, pid)))
    }

    /// All names.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn registered_names(&self) -> Result<Vec<Term>, Stopped> {
        let names = self.ask(LocalRequest::RegisteredNames).await?;
        Ok(names.as_list().unwrap_or_default().to_vec())
    }

    /// Waits until the names of all nodes are known with which this one is connected now.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn sync(&self) -> Result<(), Stopped> {
        self.ask(LocalRequest::Sync(None)).await.map(drop)
    }

    /// Leaves the mesh: ends all connections, and no other two nodes part because of that. Gives the nodes that it was
    /// connected with. They, or this node, may connect again.
    ///
    /// # Errors
    /// If `global` has stopped.
    pub async fn disconnect(&self) -> Result<Vec<Atom>, Stopped> {
        let left = self.ask(LocalRequest::Disconnect).await?;
        Ok(left.as_list().unwrap_or_default().iter().filter_map(Term::as_atom).cloned().collect())
    }

    /// Sets a lock at all connected nodes, as `global:set_lock/1`; waits until nobody else has it. The lock goes with the
    /// guard.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn lock(&self, resource: impl Into<Term>) -> Result<LockGuard, Stopped> {
        let guard = self.acquire(resource.into(), Retries::Unlimited).await?;
        guard.ok_or(Stopped)
    }

    /// Sets a lock as [`lock`](Self::lock) does, but gives nothing if somebody else has it and keeps it during so many more
    /// attempts.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn try_lock(&self, resource: impl Into<Term>, retries: u32) -> Result<Option<LockGuard>, Stopped> {
        self.acquire(resource.into(), Retries::AtMost(retries)).await
    }

    /// Does something under a lock, as `global:trans/2`.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn trans<T>(&self, resource: impl Into<Term>, work: impl Future<Output = T>) -> Result<T, Stopped> {
        let lock = self.lock(resource).await?;
        let done = work.await;
        lock.release().await;
        Ok(done)
    }

    async fn acquire(&self, resource: Term, retries: Retries) -> Result<Option<LockGuard>, Stopped> {
        let process = self.node.process();
        let id = LockId { resource, requester: process.pid().clone().into() };
        let nodes = self.node.nodes(Nodes::Visible).into_iter().chain([self.node.name().clone()]).collect();
        LockGuard::acquire(process, id, nodes, retries).await
    }

    async fn ask(&self, request: LocalRequest) -> Result<Term, Stopped> {
        ask(&self.requests, request).await
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Global").field(self.node.name()).finish()
    }
}
