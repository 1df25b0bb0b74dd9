use std::time::Duration;

use futures::future::join_all;
use peerl_node::{Node, Pid};
use peerl_term::Term;
use tokio::time::timeout;

use super::process;
use super::unfinished::Unfinished;
use crate::global;

/// How long what peers want printed or logged may take, when the node is about to end.
const PRINTING: Duration = Duration::from_secs(2);

/// A process that every node has does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// Nobody has its name.
    #[error("the process `{0}` is not there")]
    Missing(&'static str),
    /// It is there, but does not deal with its messages.
    #[error("the process `{0}` does not answer")]
    Silent(&'static str),
}

/// Asks the processes that every node has (`net_kernel`, which answers pings, `rex`, `logger` and the group leader), and that
/// of [`global`](crate::global) where it runs, whether they deal with their messages.
///
/// # Errors
/// Naming one that does not.
pub async fn check_system(node: &Node) -> Result<(), SystemError> {
    let checks = system_processes(node).map(|(name, process)| async move {
        let process = process.ok_or(SystemError::Missing(name))?;
        process::present(node, process).await.then_some(()).ok_or(SystemError::Silent(name))
    });
    let (checked, global) = tokio::join!(join_all(checks), check_global(node));
    checked.into_iter().chain([global]).collect()
}

async fn check_global(node: &Node) -> Result<(), SystemError> {
    let Some(server) = node.whereis(global::SERVER) else { return Ok(()) };
    let version = node.gen_call::<u32>(server, &Term::atom("get_protocol_version")).timeout(process::ANSWER);
    version.await.map(drop).map_err(|_| SystemError::Silent(global::SERVER))
}

/// Waits until what has come to be printed or logged has been.
pub(super) async fn print_all(node: &Node, unfinished: &Unfinished) {
    let printed = async {
        join_all(system_processes(node).map(|(_, process)| async move {
            if let Some(process) = process {
                process::present(node, process).await;
            }
        }))
        .await;
        unfinished.finished().await;
    };
    let _ = timeout(PRINTING, printed).await;
}

fn system_processes(node: &Node) -> [(&'static str, Option<Pid>); 4] {
    let named = |name| (name, node.whereis(name));
    let leader = node.group_leader();
    let leader = node.process_info(leader).map(|_| leader.clone());
    [named("net_kernel"), named("rex"), named("logger"), ("group_leader", leader)]
}
