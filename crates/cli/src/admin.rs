//! The admin endpoint: what a load balancer, a scraper or a script asks a running peerl over HTTP. There is none unless
//! the user wants one.
//!
//! ```text
//!   GET /healthz   can it work?                 ┐ open to all: load balancers have no token
//!   GET /readyz    should it get work?          ┘
//!   GET /nodes     with whom is it connected?   ┐
//!   GET /metrics   figures for Prometheus       │ for those with the token
//!   POST /connect  connect with this node       ┘
//! ```

mod administered;
pub use administered::{Administered, Check, NodeLists};
mod figures;
mod member;
pub use member::Member;
mod readiness;
pub use readiness::{Company, Readiness};
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::http::{self, Access, Limits, Server, Token};
use crate::settings::{Settings, warn_of_former_name};
use figures::Figures;

/// Whether and where there is an admin endpoint.
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

    /// Be ready without any peer when discovery answers and finds no nodes at all. Otherwise /readyz waits until a peer
    /// is connected, or discovery lists this very node and no other.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    alone_ok: Option<bool>,
}

impl AdminOptions {
    /// Whether the node needs others to be ready.
    pub fn company(&self, settings: &Settings) -> Company {
        match self.alone_ok.or(settings.alone_ok).unwrap_or_default() {
            true => Company::Optional,
            false => Company::Required,
        }
    }

    /// Listens, if an endpoint is wanted; until it [serves](Reserved::serve), those who connect wait. From here on what
    /// happens is counted.
    ///
    /// # Errors
    /// If the address is one that others can reach and there is no token, if it cannot be had, or if the token cannot
    /// be read.
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
                let problem =
                    format!("the admin endpoint at {address} could be reached by others, and there is no token");
                return Err(Failure::usage(problem).hint("give one with --admin-token-file, or use 127.0.0.1"));
            }
        };
        let cannot = |error| Failure::new(format!("the admin endpoint cannot listen at {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Some(Reserved { listener, address, access, figures: Figures::install()? }))
    }
}

/// The address of an admin endpoint that does not serve yet.
pub struct Reserved {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
    figures: Figures,
}

impl Reserved {
    /// Where the endpoint is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves, until the server is dropped, what is to be administered.
    pub fn serve(self, administered: Arc<dyn Administered>) -> Server {
        let with_token = matches!(self.access, Access::Token(_));
        tracing::info!(address = %self.address, token = with_token, "the admin endpoint is open");
        http::serve(self.listener, routes::router(administered, self.access, self.figures), Limits::default())
    }
}
