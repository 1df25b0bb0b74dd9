use peerl_node::Term;
use tokio::sync::{mpsc, oneshot};

use super::driver::Asked;
use super::event::LocalRequest;

/// The node has stopped, or its process `global_name_server` was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("global does not run any more")]
pub struct Stopped;

/// Asks the driver, and waits for its answer.
pub(super) async fn ask(requests: &mpsc::Sender<Asked>, request: LocalRequest) -> Result<Term, Stopped> {
    let (sender, answer) = oneshot::channel();
    requests.send((request, sender)).await.map_err(|_| Stopped)?;
    answer.await.map_err(|_| Stopped)
}
