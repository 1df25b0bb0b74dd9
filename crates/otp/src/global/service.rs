//! `global` as a part of a node.

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_node::{Node, NodeName, RunningService, Service, ServiceError, Term};
use tokio::sync::mpsc;

use super::ask::{Asked, ask};
use super::event::LocalRequest;
use super::handle::Global;
use super::{served, supervisor};

/// `global` as a [service](Service) of a node. `peerl::node` gives it to every node that it sets up.
///
/// A visible node is a full member of the mesh with it: it meets all nodes with which it is connected, and connects to those
/// that they know. A hidden node stays alone, as a hidden node of OTP does: its names and locks are its own. Peers can call
/// the functions of the module `global` here.
///
/// If it fails, the node leaves the mesh, and joins it anew a second later.
#[derive(Debug, Clone, Copy, Default)]
pub struct GlobalService;

impl Service for GlobalService {
    fn start(self: Box<Self>, node: &Node) -> Result<Box<dyn RunningService>, ServiceError> {
        let requests = supervisor::start(node)?;
        served::export(node, &requests)?;
        Ok(Box::new(Running { requests }))
    }
}

/// It ends with its node: the peers are told nothing but that the connections end, all at once.
struct Running {
    requests: mpsc::Sender<Asked>,
}

impl RunningService for Running {
    fn leave_mesh(&self) -> BoxFuture<'_, Vec<NodeName>> {
        async {
            let left = ask(&self.requests, LocalRequest::Disconnect).await;
            let left = left.ok().as_ref().and_then(Term::as_list).unwrap_or_default().to_vec();
            left.iter().filter_map(Term::as_atom).filter_map(|node| NodeName::new(node.as_str()).ok()).collect()
        }
        .boxed()
    }
}

/// Gives a node its [`Global`].
pub trait NodeGlobal {
    /// The names and locks that this node shares with the visible nodes of its mesh.
    ///
    /// ```no_run
    /// use peerl_node::Term;
    /// use peerl_otp::global::{Method, NodeGlobal};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = peerl_otp::node("worker@127.0.0.1").start().await?;
    /// let process = node.process();
    /// if node.global().register(Term::atom("leader"), process.pid(), Method::RandomExit).await? {
    ///     // `global:whereis_name(leader)` is this process, at every node of the mesh.
    /// }
    /// # Ok(()) }
    /// ```
    fn global(&self) -> Global;
}

impl NodeGlobal for Node {
    fn global(&self) -> Global {
        let running = self.service::<Running>();
        Global::new(self, running.map(|running| running.requests.clone()))
    }
}
