use std::convert::Infallible;

use peerl_node::Term;
use tokio::sync::{mpsc, oneshot};

use super::event::LocalRequest;

/// The node has no `global`, or has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node does not run global")]
pub struct NotRunning;

/// A request of this node to the driver.
pub(super) struct Asked {
    pub(super) wanted: LocalRequest,
    /// Where its answer goes.
    pub(super) answer: oneshot::Sender<Term>,
    /// It ends, without a value, when nobody waits for the answer any more.
    pub(super) wait: oneshot::Receiver<Infallible>,
}

/// Asks the driver, and waits for its answer. If this is dropped before, the driver keeps nothing of the request.
pub(super) async fn ask(requests: &mpsc::Sender<Asked>, wanted: LocalRequest) -> Result<Term, NotRunning> {
    let (sender, answer) = oneshot::channel();
    let (_waits, wait) = oneshot::channel();
    requests.send(Asked { wanted, answer: sender, wait }).await.map_err(|_| NotRunning)?;
    answer.await.map_err(|_| NotRunning)
}
