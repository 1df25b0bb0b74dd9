//! `peerl web`: a page on which visitors let the nodes of a cluster take checksums.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use peerl_discovery::Reconciler;
use serde::Serialize;

use crate::command_node::{self, Role};
use crate::failure::{Failure, Status};
use crate::fan_out::PeerOptions;
use crate::output::Output;
use crate::settings::{Settings, Span};
use crate::shutdown;
use crate::web::WebOptions;

/// Serve a web page on which visitors let the nodes of a cluster take checksums.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl web --node w1@10.0.0.7 --node w2@10.0.0.8
  peerl web --discover epmd:10.0.0.7,10.0.0.8 --listen 127.0.0.1:8080
  peerl web --name web1@10.0.0.9 --discover epmd:10.0.0.9,10.0.0.7 --listen 0.0.0.0:8080 \\
      --token-file /run/secrets/page --public-url https://checksums.example.org

Prints the address of the page, and runs until a signal. The page shows the cluster next to the results.
A page that other hosts can reach needs a token; for its visitors, only pages at public addresses are fetched.
Several web nodes with names find each other by --discover, and show each other's jobs: behind a load balancer, any of
them may answer. docs/web-page.md says more.")]
pub(super) struct Web {
    #[command(flatten)]
    peers: PeerOptions,

    /// The address of the page, if it differs from that of --listen [default: 127.0.0.1:8080].
    #[arg(long = "web", value_name = "ADDRESS:PORT")]
    page: Option<SocketAddr>,

    /// How often discovery is polled.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    interval: Span,

    #[command(flatten)]
    web: WebOptions,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    name: String,
    page: String,
}

impl Web {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let end = shutdown::signal(shutdown::LIMIT)?;
        let strategies = self.peers.strategies(settings)?;
        if strategies.is_empty() {
            return Err(Failure::usage("no nodes are given to do the work")
                .hint("name workers with --node, or find them with --discover; `peerl demo --web` needs none"));
        }
        let page = self.web.reserve(self.page(settings)).await?;
        let known = self.peers.known(settings).await;
        let node = command_node::start(settings, Role::Web, &known).await?;
        peerl_otp::functions::export_introspection(&node).map_err(Failure::new)?;
        let reconciler = Reconciler::new(node.clone(), strategies).interval(self.interval.0);
        let page = page.open(&node, reconciler.events(), String::new())?;
        let reconciler = reconciler.start();
        let ready = Ready { ready: true, name: page.node().to_owned(), page: page.url() };
        output.value(&ready, || format!("ready {} {}", ready.name, ready.page))?;
        let signal = end.await;
        tracing::info!(?signal, "ending");
        for line in page.close().await {
            output.note(&line);
        }
        reconciler.stop().await;
        node.shutdown().await;
        Ok(Status::Success)
    }

    fn page(&self, settings: &Settings) -> SocketAddr {
        const PORT: u16 = 8080;
        let listen = settings.listen.and_then(|listen| Some(SocketAddr::new(listen.address, listen.port?)));
        self.page.or(listen).unwrap_or_else(|| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT))
    }
}
