use std::sync::atomic::{AtomicU64, Ordering};

use peerl_node::Term;
use tokio::sync::{mpsc, oneshot};

use super::event::LocalRequest;
use super::ids::RequestId;

/// The node has no `global`, or has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node does not run global")]
pub struct NotRunning;

/// A request of this node to the driver.
pub(super) enum Asked {
    /// It is to be answered.
    Request(RequestId, LocalRequest, oneshot::Sender<Term>),
    /// Nobody waits for the answer any more.
    GivenUp(RequestId),
}

/// Asks the driver, and waits for its answer.
pub(super) async fn ask(requests: &mpsc::Sender<Asked>, request: LocalRequest) -> Result<Term, NotRunning> {
    ask_until(requests, request, std::future::pending()).await?.ok_or(NotRunning)
}

/// Asks the driver, and waits for its answer until that is given up.
pub(super) async fn ask_until(
    requests: &mpsc::Sender<Asked>,
    request: LocalRequest,
    given_up: impl Future<Output = ()>,
) -> Result<Option<Term>, NotRunning> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = RequestId(LAST.fetch_add(1, Ordering::Relaxed));
    let (sender, answer) = oneshot::channel();
    requests.send(Asked::Request(id, request, sender)).await.map_err(|_| NotRunning)?;
    tokio::select! {
        answer = answer => answer.map(Some).map_err(|_| NotRunning),
        () = given_up => {
            requests.send(Asked::GivenUp(id)).await.map_err(|_| NotRunning)?;
            Ok(None)
        }
    }
}
