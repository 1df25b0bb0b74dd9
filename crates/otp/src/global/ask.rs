use peerl_node::Term;
use tokio::sync::{mpsc, oneshot};

use super::driver::Asked;
use super::event::LocalRequest;

/// The node has no `global`, or has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node does not run global")]
pub struct NotRunning;

/// Asks the driver, and waits for its answer.
pub(super) async fn ask(requests: &mpsc::Sender<Asked>, request: LocalRequest) -> Result<Term, NotRunning> {
    let (sender, answer) = oneshot::channel();
    requests.send((request, sender)).await.map_err(|_| NotRunning)?;
    answer.await.map_err(|_| NotRunning)
}
