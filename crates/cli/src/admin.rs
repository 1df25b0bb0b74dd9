//! The admin endpoint: HTTP for load balancers, scrapers and scripts. It exists only on request.
//!
//! ```text
//!   GET /healthz   can it work?                 ┐ open to all: load balancers have no token
//!   GET /readyz    should it get work?          ┘
//!   GET /nodes     with whom is it connected?   ┐
//!   GET /metrics   metrics for Prometheus       │ for those with the token
//!   POST /connect  connect with this node       ┘
//! ```

mod administered;
pub use administered::{Administered, Check, NodeLists};
mod member;
mod prometheus;
pub use member::Member;
mod readiness;
pub use readiness::{PeerRequirement, Readiness};
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::http::{self, Access, Limits, Server, Token};
use crate::settings::{Settings, warn_of_former_name};
use prometheus::Prometheus;

/// The options of the admin endpoint.
#[derive(Args, Clone, Debug, Default)]
pub struct AdminOptions {
    /// Answer over HTTP (/healthz, /readyz, /nodes, /metrics, /connect) at this address. One that others can reach needs
    /// a token.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,

    /// A file with the token that requests to the admin endpoint must bear, accessible to its owner only. /healthz and
    /// /readyz need none.
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,

    /// The former name of --admin.
    #[arg(long, value_name = "ADDRESS:PORT", hide = true, conflicts_with = "admin")]
    control: Option<SocketAddr>,

    /// The former name of --admin-token-file.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "admin_token_file")]
    control_token_file: Option<PathBuf>,

    /// Be ready without any peer when discovery succeeds but finds no nodes. Otherwise /readyz waits until a peer is
    /// connected, or discovery lists this node and no other.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    alone_ok: Option<bool>,
}

impl AdminOptions {
    /// Whether the node needs peers to be ready.
    pub fn peer_requirement(&self, settings: &Settings) -> PeerRequirement {
        match self.alone_ok.or(settings.alone_ok).unwrap_or_default() {
            true => PeerRequirement::Optional,
            false => PeerRequirement::Required,
        }
    }

    /// Starts to listen, if the endpoint is enabled; clients wait until it [serves](Reserved::serve). Metrics are
    /// recorded from here on.
    ///
    /// # Errors
    /// If other hosts can reach the address and there is no token, the address is not available, or the token is
    /// unreadable.
    pub async fn reserve(&self, settings: &Settings) -> Result<Option<Reserved>, Failure> {
        if self.control.is_some() {
            warn_of_former_name("--control", "--admin");
        }
        if self.control_token_file.is_some() {
            warn_of_former_name("--control-token-file", "--admin-token-file");
        }
        let Some(address) = self.admin.or(self.control).or(settings.admin) else {
            return Ok(None);
        };
        let given = self.admin_token_file.as_ref().or(self.control_token_file.as_ref());
        let token = given.or(settings.admin_token_file.as_ref()).map(|path| Token::read(path)).transpose()?;
        let access = match token {
            Some(token) => Access::Token(Arc::new(token)),
            None if address.ip().is_loopback() => Access::ThisHost,
            None => {
                let problem = format!("other hosts can reach the admin endpoint at {address}, and there is no token");
                return Err(Failure::usage(problem).hint("give one with --admin-token-file, or use 127.0.0.1"));
            }
        };
        let cannot = |error| Failure::new(format!("the admin endpoint cannot listen at {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Some(Reserved { listener, address, access, prometheus: Prometheus::install()? }))
    }
}

/// An admin endpoint that listens, but does not serve yet.
pub struct Reserved {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
    prometheus: Prometheus,
}

impl Reserved {
    /// The address of the endpoint.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the server is dropped.
    pub fn serve(self, administered: Arc<dyn Administered>) -> Server {
        let with_token = matches!(self.access, Access::Token(_));
        tracing::info!(address = %self.address, token = with_token, "the admin endpoint is open");
        http::serve(self.listener, routes::router(administered, self.access, self.prometheus), Limits::default())
    }
}
