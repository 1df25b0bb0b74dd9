//! `peerl worker`: a working member of the cluster.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use peerl_discovery::{MeshEvent, Reconciler, Removal};
use peerl_node::{ConnectError, ErrorChain, Node};
use peerl_otp::pg::Scope;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::sync::broadcast;

use crate::admin::{AdminOptions, Member, Readiness, Reserved};
use crate::command_node::{self, Role};
use crate::failure::{Failure, Status};
use crate::fan_out::PeerOptions;
use crate::function;
use crate::output::Output;
use crate::page_client::{AddressRule, Network, PageClient};
use crate::service_manager::{END_ALLOWANCE, ServiceManager};
use crate::settings::{Settings, Span};
use crate::shutdown;
use crate::web::{WebOptions, WebPage};

/// Join a cluster, and serve peerl's functions to its nodes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl worker --name w1@10.0.0.7 --discover epmd:10.0.0.5
  peerl worker --sname w1 --node app@box --cookie-file /run/secrets/cookie
  peerl worker --name w1@10.0.0.7 --dist-port 9100-9110 --format json
  peerl worker --name w1@10.0.0.7 --discover epmd:10.0.0.5 --admin 127.0.0.1:9200
  peerl worker --name w1@10.0.0.7 --discover epmd:10.0.0.5 --web 127.0.0.1:8080

Prints `ready NAME PORT` when it can be called. On SIGTERM or Ctrl-C it unregisters at EPMD, accepts no new
connections and calls, answers pending calls, closes all connections at once, and exits with 0; a second signal ends it
at once. Under systemd (Type=notify) it reports when it is ready, its status and that it stops, and notifies the
watchdog while it can work.
`peerl call NODE 'peerl:functions()'` lists what it serves.")]
pub(super) struct Worker {
    #[command(flatten)]
    peers: PeerOptions,

    /// How long pending calls may take after a termination signal.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    drain: Span,

    /// How often discovery is polled.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    interval: Span,

    /// When this worker leaves the mesh because discovery no longer lists it: never, or
    /// when-gone-for=TIME, counting only time in which every strategy answers. It joins again when it is listed
    /// again. A peer that is alive is never disconnected, whatever a list says [default: never].
    #[arg(long, value_name = "POLICY")]
    removal: Option<Removal>,

    /// Take part in the process groups of this scope, as `pg` of OTP does; may be given several times.
    #[arg(long = "pg", value_name = "SCOPE", default_value = Scope::DEFAULT)]
    scopes: Vec<String>,

    #[command(flatten)]
    admin: AdminOptions,

    /// Serve the page of `peerl web` at this address, too.
    #[arg(long = "web", value_name = "ADDRESS:PORT")]
    page: Option<SocketAddr>,

    #[command(flatten)]
    web: WebOptions,

    /// Fetch no pages from this network, which may be a single address; may be given several times, and counts more than
    /// --allow. With either, pages are fetched without a proxy.
    #[arg(long, value_name = "NETWORK")]
    deny: Vec<Network>,

    /// End when the standard input ends, and so with the process that started this worker.
    #[arg(long, hide = true)]
    until_eof: bool,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    name: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

impl Worker {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let strategies = self.peers.strategies(settings)?;
        let given = self.drain.0.saturating_add(END_ALLOWANCE);
        let end = shutdown::signal(given)?;
        let admin = self.admin.reserve(settings).await?;
        let page = match self.page {
            Some(address) => Some(self.web.reserve(address).await?),
            None => None,
        };
        let node = command_node::start(settings, Role::Worker, &self.peers.nodes).await?;
        let rule = AddressRule::of_options(&self.web.allow, &self.deny);
        function::register(&node, &PageClient::with_rule(rule)).map_err(Failure::new)?;
        for scope in &self.scopes {
            Scope::start(&node, scope).await.map_err(|error| Failure::from_error(&error))?;
        }
        let removal = self.removal.or(settings.removal).unwrap_or_default();
        let reconciler = Reconciler::new(node.clone(), strategies).interval(self.interval.0).removal(removal);
        tokio::spawn(tell_of_failures(reconciler.events()));
        let readiness = Arc::new(Readiness::follow(&reconciler, node.name(), self.admin.peer_requirement(settings)));
        let page = page.map(|page| page.open(&node, reconciler.events(), String::new())).transpose()?;
        let reconciler = reconciler.start();
        let address = admin.as_ref().map(Reserved::address);
        let member = Member::new(node.clone(), settings.listen_address(), readiness.clone());
        let admin = admin.map(|admin| admin.serve(Arc::new(member)));
        let (name, url) = (node.name().to_string(), page.as_ref().map(WebPage::url));
        let ready = Ready { ready: true, name, port: node.port(), admin: address, page: url };
        output.value(&ready, || {
            let page = ready.page.as_ref().map_or_else(String::new, |url| format!(" {url}"));
            format!("ready {} {}{page}", ready.name, ready.port)
        })?;
        let watch = ServiceManager::from_environment().map(|manager| manager.ready(&node, settings.listen_address()));
        tokio::select! {
            signal = end => tracing::info!(?signal, "ending"),
            () = end_of_input(), if self.until_eof => tracing::info!("the standard input has ended; the worker ends"),
        }
        readiness.draining();
        if let Some(watch) = &watch {
            watch.stopping(self.drain.0);
        }
        if let Some(page) = page {
            page.close().await.iter().for_each(|line| output.note(line));
        }
        let again = shutdown::signal(given)?;
        tokio::select! {
            () = finish_calls(&node, reconciler, self.drain.0) => {}
            _ = again => tracing::warn!("ending at once"),
        }
        drop(admin);
        node.shutdown().await;
        Ok(Status::Success)
    }
}

/// Waits for pending calls.
async fn finish_calls(node: &Node, reconciler: peerl_discovery::Running, limit: Duration) {
    // Both at once: from the start no other node may find this node, nor it any other.
    let (drained, _) = tokio::join!(tokio::time::timeout(limit, node.drain()), reconciler.stop());
    if drained.is_err() {
        tracing::warn!("some calls took longer than {} and are given up", humantime::format_duration(limit));
    }
}

/// Reports why a peer cannot be connected, once per absence.
async fn tell_of_failures(mut events: broadcast::Receiver<MeshEvent>) {
    let mut told = HashSet::new();
    loop {
        match events.recv().await {
            Ok(MeshEvent::ConnectFailed { peer, error, .. }) if told.insert(peer.clone()) => {
                match error.downcast_ref::<ConnectError>() {
                    Some(error) => tracing::warn!("{}", Failure::from(error.clone())),
                    None => tracing::warn!("cannot connect to {peer}: {}", ErrorChain(&**error)),
                }
            }
            Ok(MeshEvent::Connected { peer } | MeshEvent::Forgotten { peer }) => {
                told.remove(&peer);
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn end_of_input() {
    let (mut input, mut buffer) = (tokio::io::stdin(), [0; 256]);
    while input.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
