use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use peerl_term::Atom;
use tokio::time::timeout;

use super::service;
use crate::inner::Inner;
use crate::kernel::process::Core;
use crate::node::Node;

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

impl Node {
    /// Asks the processes that every node has (`net_kernel`, which answers pings, `rex`, `logger` and the group leader)
    /// whether they deal with their messages.
    ///
    /// # Errors
    /// Naming one that does not.
    pub async fn check_system(&self) -> Result<(), SystemError> {
        let checks = self.inner.system_processes().map(|(name, process)| async move {
            let process = process.ok_or(SystemError::Missing(name))?;
            service::present(&self.inner, process).await.then_some(()).ok_or(SystemError::Silent(name))
        });
        join_all(checks).await.into_iter().collect()
    }
}

impl Inner {
    /// Waits until what has come to be printed or logged has been.
    pub(crate) async fn print_all(self: &Arc<Self>) {
        let Some(services) = self.services.get() else { return };
        let printed = async {
            join_all(self.system_processes().map(|(_, process)| async {
                if let Some(process) = process {
                    service::present(self, process).await;
                }
            }))
            .await;
            services.unfinished.finished().await;
        };
        let _ = timeout(PRINTING, printed).await;
    }

    fn system_processes(&self) -> [(&'static str, Option<Arc<Core>>); 4] {
        let named = |name| (name, self.kernel.processes.whereis(&Atom::from_static(name)));
        [
            named("net_kernel"),
            named("rex"),
            named("logger"),
            ("group_leader", self.kernel.process(self.kernel.group_leader())),
        ]
    }
}
