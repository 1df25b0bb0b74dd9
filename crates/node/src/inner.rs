use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use crate::kernel::event::{LogEvent, LogOutput, Visibility};
use crate::kernel::state::Kernel;
use crate::network::state::Network;
use crate::system::{Output, Services};

/// What the handles of a node share.
pub(crate) struct Inner {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) network: Arc<Network>,
    pub(crate) port: u16,
    pub(crate) visibility: Visibility,
    pub(crate) started: Instant,
    pub(crate) services: OnceLock<Services>,
    pub(crate) output: Option<Output>,
    pub(crate) log_output: Option<LogOutput>,
}

impl Inner {
    /// Does with printed text what the node was set up to do.
    pub(crate) fn print(&self, text: &str) {
        match &self.output {
            Some(output) => output(text),
            None => tracing::info!(target: "peerl::output", "{}", text.trim_end()),
        }
    }

    /// Does with a log event of a peer what the node was set up to do.
    pub(crate) fn log(&self, event: &LogEvent) {
        match &self.log_output {
            Some(output) => output(event),
            None => event.trace(),
        }
    }

    pub(crate) fn stop(&self) {
        self.network.stop();
        self.kernel.stop();
    }
}
