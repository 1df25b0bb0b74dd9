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
    /// The services that run, in the order in which they were started.
    pub(crate) fn running(&self) -> impl DoubleEndedIterator<Item = &dyn RunningService> {
        self.services.get().into_iter().flatten().map(|service| &**service)
    }

    pub(crate) fn stop(&self) {
        self.network.stop();
        self.kernel.stop();
    }
}
