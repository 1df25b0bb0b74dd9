//! The control door: what a load balancer, a scraper or a script asks a running peerl over HTTP. It is shut unless the
//! user opens it.
//!
//! ```text
//!   GET /healthz   can it work?                 ┐ open to all: load balancers have no token
//!   GET /readyz    should it get work?          ┘
//!   GET /nodes     with whom is it connected?   ┐
//!   GET /metrics   figures for Prometheus       │ for those with the token
//!   POST /connect  connect with this node       ┘
//! ```
//!
//! It is plain HTTP/1.1 on hyper, which the page server uses already: of a web framework, five routes would need little,
//! and the limits that matter here are those of connections.

mod answer;
mod connections;
mod controlled;
pub use controlled::{Check, Controlled, NodeLists};
mod figures;
mod member;
pub use member::Member;
mod readiness;
pub use readiness::{Company, Readiness};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::http::Token;
use crate::settings::Settings;
use answer::Door;
use figures::Figures;

/// Whether and where the door is.
#[derive(Args, Clone, Debug, Default)]
pub struct ControlOptions {
    /// Open a control door (HTTP: /healthz, /readyz, /nodes, /metrics, /connect) at this address. One that others can
    /// reach needs a token.
    #[arg(long, value_name = "ADDRESS:PORT")]
    control: Option<SocketAddr>,

    /// A file with the token that requests to the control door must bear, accessible to its owner only. /healthz and
    /// /readyz need none.
    #[arg(long, value_name = "FILE")]
    control_token_file: Option<PathBuf>,

    /// Be ready without any peer when discovery answers and finds no nodes at all. Otherwise /readyz waits until a peer
    /// is connected, or discovery lists this very node and no other.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    alone_ok: Option<bool>,
}

impl ControlOptions {
    /// Whether the node needs others to be ready.
    pub fn company(&self, settings: &Settings) -> Company {
        match self.alone_ok.or(settings.alone_ok).unwrap_or_default() {
            true => Company::Optional,
            false => Company::Required,
        }
    }

    /// Takes the address, if a door is wanted; until it is [opened](Reserved::open), who knocks has to wait. From here
    /// on what happens is counted.
    ///
    /// # Errors
    /// If the address is one that others can reach and there is no token, if it cannot be had, or if the token cannot
    /// be read.
    pub async fn reserve(&self, settings: &Settings) -> Result<Option<Reserved>, Failure> {
        let Some(address) = self.control.or(settings.control) else {
            return Ok(None);
        };
        let file = self.control_token_file.as_ref().or(settings.control_token_file.as_ref());
        let token = file.map(|path| Token::read(path)).transpose()?;
        if token.is_none() && !address.ip().is_loopback() {
            let problem = format!("the control door at {address} could be reached by others, and there is no token");
            return Err(Failure::usage(problem).hint("give one with --control-token-file, or use 127.0.0.1"));
        }
        let cannot = |error| Failure::new(format!("the control door cannot listen at {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Some(Reserved { listener, address, token, figures: Figures::install()? }))
    }
}

/// The place of a door that is not open yet.
pub struct Reserved {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    figures: Figures,
}

impl Reserved {
    /// Where the door is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens the door to what is to be controlled.
    pub fn open(self, controlled: Arc<dyn Controlled>) -> ControlDoor {
        tracing::info!(address = %self.address, token = self.token.is_some(), "the control door is open");
        let door = Door::new(controlled, self.token, self.figures);
        ControlDoor { task: tokio::spawn(connections::serve(self.listener, Arc::new(door))) }
    }
}

/// An open door; it is shut when this is dropped.
#[derive(Debug)]
pub struct ControlDoor {
    task: JoinHandle<()>,
}

impl Drop for ControlDoor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
