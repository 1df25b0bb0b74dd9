//! The options of the page.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use peerl_discovery::MeshEvent;
use peerl_node::Node;
use peerl_proto::budget::Budget;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast};

use super::address::name_of;
use super::cluster::ClusterView;
use super::job::JobHead;
use super::jobs::{JobLimits, Jobs};
use super::origin::Origin;
use super::routes::router;
use super::session::{Sessions, Transport};
use super::shared_jobs;
use super::site::Site;
use super::work::FetchOptions;
use super::workers::{BeamNodes, FetchScope, Workers};
use crate::failure::Failure;
use crate::http::{self, Access, Lifetime, Limits, Server, Token};
use crate::page_client::Allow;
use crate::settings::Span;

/// The options of a page.
#[derive(Args, Clone, Debug)]
pub struct WebOptions {
    /// A file with the token that visitors log in with, and programs bear; accessible to its owner only. A page that others
    /// can reach needs one.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The token itself, if there is no file. Others can see the command line: prefer PEERL_TOKEN or a file.
    #[arg(long, conflicts_with = "token_file", hide_default_value = true)]
    token: Option<String>,

    /// Where the page is for its visitors, as `https://checksums.example.org`: behind a load balancer, for cookies that are
    /// only sent by HTTPS, and to recognize requests of other sites.
    #[arg(long, value_name = "URL")]
    public_url: Option<Origin>,

    /// A network from which pages may be fetched beside the public addresses, or a single address, or public for no other
    /// network; may be given several times. For visitors of a page that others can reach (one on the loopback address has
    /// no such rule), and for all that a worker fetches, which fetches from all addresses without it.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow: Vec<Allow>,

    /// Let nodes with the function ClusterScrape.PageController.fetch/1 work for a page that others can reach, too. They
    /// cannot keep to the rule of --allow, and fetch from any address.
    #[arg(long)]
    beam_nodes: bool,

    /// How many pages of a job a node works on at a time.
    #[arg(long = "page-concurrency", value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: u32,

    /// The time-out of a page.
    #[arg(long = "page-timeout", value_name = "TIME", default_value = "30s")]
    timeout: Span,
}

impl WebOptions {
    /// How often a page is given to another node after its node has died.
    const RETRIES: u32 = 3;

    /// Starts to listen. Until the page is [opened](Reserved::open), visitors wait.
    ///
    /// # Errors
    /// If other hosts can reach the address and there is no token, the token is unreadable, or the address is not
    /// available.
    pub async fn reserve(&self, address: SocketAddr) -> Result<Reserved, Failure> {
        let token = self.token()?;
        let is_public = !address.ip().is_loopback() || self.public_url.is_some();
        if is_public && token.is_none() {
            let what = match address.ip().is_loopback() {
                true => "with --public-url, other hosts can reach the page".to_owned(),
                false => format!("other hosts can reach the page at {address}"),
            };
            return Err(Failure::usage(format!("{what}, and there is no token"))
                .hint("give one with --token-file, or let it listen at 127.0.0.1"));
        }
        let scope = match is_public {
            true => FetchScope::Public { allow: Allow::networks(&self.allow) },
            false => FetchScope::Anywhere,
        };
        let cannot = |error| Failure::new(format!("the page cannot listen at {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Reserved { listener, address, token, scope, options: self.clone() })
    }

    fn token(&self) -> Result<Option<Token>, Failure> {
        match (&self.token_file, &self.token) {
            (Some(path), _) => Token::read(path).map(Some),
            (None, Some(text)) => Token::parse(text, "the token of the page").map(Some),
            (None, None) => Ok(None),
        }
    }

    fn fetch_options(&self) -> FetchOptions {
        FetchOptions { concurrency: self.concurrency as usize, timeout: self.timeout.0, retries: Self::RETRIES }
    }
}

/// A page that listens, but is not open yet.
#[derive(Debug)]
pub struct Reserved {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    scope: FetchScope,
    options: WebOptions,
}

impl Reserved {
    /// The address of the page.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens the page at a node, whose mesh sends these events; the form contains an example.
    ///
    /// # Errors
    /// If the node cannot export the functions for other web nodes.
    pub fn open(self, node: &Node, mesh: broadcast::Receiver<MeshEvent>, example: String) -> Result<WebPage, Failure> {
        let beam = match (&self.scope, self.options.beam_nodes) {
            (FetchScope::Public { .. }, false) => BeamNodes::LeftOut,
            _ => BeamNodes::Used,
        };
        let transport = self.options.public_url.as_ref().map_or(Transport::Http, Origin::transport);
        let digest = self.token.as_ref().map(Token::digest);
        let workers = Workers::new(self.scope, beam);
        let (name, memory) = (name_of(node), node.memory().most());
        let site = Arc::new(Site {
            jobs: Jobs::new(&name, JobLimits::of_memory(memory)),
            name,
            cluster: ClusterView::follow(node, mesh, &workers),
            fetch_options: self.options.fetch_options(),
            sessions: Sessions::new(node.cookie().as_bytes(), digest, transport),
            access: self.token.map_or(Access::ThisHost, |token| Access::Token(Arc::new(token))),
            origin: self.options.public_url,
            logins: Site::login_rate(),
            requests: Site::request_rate(),
            streams: Arc::new(Semaphore::new(Site::STREAMS)),
            events: Budget::with_factor((memory / 16).clamp(8 << 20, 32 << 20), 1 << 16, 4),
            apart: Arc::new(Semaphore::new(Site::APART)),
            remote: Semaphore::new(Site::REMOTE),
            node: node.clone(),
            workers,
            example,
        });
        shared_jobs::register(&site).map_err(Failure::new)?;
        let limits = Limits {
            connections: 2 * Site::STREAMS,
            lifetime: Lifetime::Unlimited,
            memory: (memory / 8).clamp(16 << 20, 64 << 20),
            ..Limits::default()
        };
        let server = http::serve(self.listener, router(site.clone()), limits);
        tracing::info!(address = %self.address, "the page is open");
        Ok(WebPage { site, server, address: self.address })
    }
}

/// An open page; dropping it closes the page.
#[derive(Debug)]
pub struct WebPage {
    site: Arc<Site>,
    server: Server,
    address: SocketAddr,
}

impl WebPage {
    /// The URL of the page for a browser on this machine.
    pub fn url(&self) -> String {
        match self.address.ip().is_unspecified() {
            true => format!("http://localhost:{}/", self.address.port()),
            false => format!("http://{}/", self.address),
        }
    }

    /// The name of its node in the addresses of its jobs.
    pub fn node(&self) -> &str {
        &self.site.name
    }

    /// Closes the page. Returns a line for each unfinished job.
    pub async fn close(self) -> Vec<String> {
        const LAST_ANSWERS: Duration = Duration::from_millis(100);
        let running = self.site.jobs.running();
        self.server.shutdown(LAST_ANSWERS).await;
        running.iter().map(under_way).collect()
    }
}

fn under_way(job: &JobHead) -> String {
    format!("a job was under way and is lost: {} ({})", job.summary(), job.path())
}
