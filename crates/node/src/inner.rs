use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use crate::kernel::event::Visibility;
use crate::kernel::state::Kernel;
use crate::network::state::Network;
use crate::running_service::RunningService;

/// What the handles of a node share.
pub(crate) struct Inner {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) network: Arc<Network>,
    pub(crate) port: u16,
    pub(crate) visibility: Visibility,
    pub(crate) started: Instant,
    pub(crate) services: OnceLock<Vec<Box<dyn RunningService>>>,
}

impl Inner {
    pub(crate) fn stop(&self) {
        self.network.stop();
        self.kernel.stop();
    }
}
