//! `peerl sidecar`: keeps an unmodified node connected.

use std::str::FromStr;

use clap::Args;
use peerl_discovery::{Identity, RemoteNode, Removal, Spec};
use peerl_node::NodeName;
use serde::Serialize;

use crate::admin::AdminOptions;
use crate::command_node::{self, Role};
use crate::failure::{Failure, Status};
use crate::fan_out::PeerOptions;
use crate::fleet;
use crate::output::{Output, table};
use crate::settings::{Settings, Span};
use crate::shutdown;
use crate::sidecar::{Sidecar as Keeper, SidecarEvent};

/// Run next to an Erlang or Elixir node, and keep it connected to the peers that discovery finds.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl sidecar --node app@10.0.0.5 --discover epmd:10.0.0.5,10.0.0.6
  peerl sidecar --node app@box --discover file:/etc/peers --cookie-file /run/secrets/cookie
  peerl sidecar --node auto:ip,basename=app --discover ecs:revision=@mine,basename=app
  peerl sidecar --node app@10.0.0.5 --discover epmd:10.0.0.6 --dry-run

The app needs no code for this: it is told to connect by net_kernel:connect_node/1. It may start later, and again.
Peers that are not registered at their EPMD are not dialled. No connection between other nodes is ever ended.
Prints `ready NAME for NODE`, and then events, one per line. SIGTERM or Ctrl-C ends it with exit code 0; the app
keeps all its connections.")]
pub(super) struct Sidecar {
    /// The app's node; `auto:ip,basename=app` and the like name it after the machine, as --name does [default: `node` of
    /// peerl.toml, or PEERL_NODE].
    #[arg(long, value_name = "NODE")]
    node: Option<App>,

    /// A way to find its peers, as `epmd:HOST,…` or `file:PATH`; may be given several times [default: `discover` of
    /// peerl.toml, or PEERL_DISCOVER].
    #[arg(long, value_name = "STRATEGY")]
    discover: Vec<Spec>,

    /// How often discovery is polled.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    interval: Span,

    /// The time-out of the app's answers; connecting to a peer takes a BEAM node up to 7 s.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Span,

    /// When the app leaves the mesh because discovery no longer lists it: never, or when-gone-for=TIME,
    /// counting only time in which every strategy answers. It joins again when it is listed again. A peer that is
    /// alive is never disconnected, whatever a list says [default: never].
    #[arg(long, value_name = "POLICY")]
    removal: Option<Removal>,

    #[command(flatten)]
    admin: AdminOptions,

    /// Show the peers that the app would be connected to, without connecting.
    #[arg(long)]
    dry_run: bool,
}

/// The app's node, as given.
#[derive(Clone, Debug)]
enum App {
    Named(NodeName),
    /// The node of this machine.
    Auto(Identity),
}

impl App {
    async fn name(&self) -> Result<NodeName, Failure> {
        match self {
            Self::Named(name) => Ok(name.clone()),
            Self::Auto(identity) => Ok(identity.name().await?),
        }
    }
}

impl FromStr for App {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.starts_with(Identity::PREFIX) {
            true => text.parse().map(Self::Auto).map_err(|error: peerl_discovery::IdentityError| error.to_string()),
            false => text.parse().map(Self::Named).map_err(|error: peerl_node::NodeNameError| error.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Row {
    peer: String,
    connected: bool,
}

impl Sidecar {
    /// The app's node, from the option or the settings.
    fn node(&self, settings: &Settings) -> Result<App, Failure> {
        let missing = || Failure::usage("it is not said which node is the app's").hint("name it with --node");
        match (&self.node, settings.node.as_deref()) {
            (Some(app), _) => Ok(app.clone()),
            (None, Some([node])) => node.parse().map_err(|error| Failure::usage(format!("{node:?}: {error}"))),
            (None, Some([_, _, ..])) => Err(Failure::usage("`node` names several nodes, and a sidecar has one app")),
            (None, _) => Err(missing()),
        }
    }

    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let peers = PeerOptions { nodes: Vec::new(), discover: self.discover.clone() };
        // The node in the settings is the app, not its peer.
        let discovery = Settings { node: None, ..settings.clone() };
        let node = self.node(settings)?;
        let strategies = peers.strategies(&discovery)?;
        if strategies.is_empty() {
            return Err(Failure::usage("no discovery strategy is given").hint("give one with --discover"));
        }
        let end = shutdown::signal(shutdown::LIMIT)?;
        let admin = if self.dry_run { None } else { self.admin.reserve(settings).await? };
        let app = node.name().await?;
        let guest = command_node::start(settings, Role::Guest, std::slice::from_ref(&app)).await?;
        if self.dry_run {
            let remote = RemoteNode::new(guest.clone(), app).timeout(self.timeout.0);
            let rows = dry_run(&remote, &peers, &discovery).await;
            guest.shutdown().await;
            let rows = rows?;
            output.rows(&rows, || {
                let row = |row: &Row| {
                    let state = if row.connected { "connected" } else { "would be connected" };
                    vec![row.peer.clone(), state.to_owned()]
                };
                table(&["PEER", "STATE"], rows.iter().map(row))
            })?;
            return Ok(Status::Success);
        }
        let tell = |event: SidecarEvent| output.value(&event, || event.to_string());
        tell(SidecarEvent::Ready { name: guest.name().clone(), node: app.clone() })?;
        let removal = self.removal.or(settings.removal).unwrap_or_default();
        let keeper = Keeper::new(guest.clone(), app, strategies, self.interval.0)
            .timeout(self.timeout.0)
            .removal(removal)
            .peer_requirement(self.admin.peer_requirement(settings));
        let _admin = admin.map(|admin| admin.serve(keeper.administered()));
        let result = tokio::select! {
            signal = end => {
                tracing::info!(?signal, "ending");
                Ok(Status::Success)
            }
            ended = keeper.run(tell) => ended.map(|never| match never {}),
        };
        guest.shutdown().await;
        result
    }
}

/// The nodes that discovery finds, and those of them to which the app is connected.
async fn dry_run(remote: &RemoteNode, peers: &PeerOptions, settings: &Settings) -> Result<Vec<Row>, Failure> {
    let app = remote.name();
    let connected = remote.connected().await.map_err(|error| fleet::call_failure(error, "erlang:nodes/1", app))?;
    let found = peers.find(settings).await?;
    let row = |peer: &NodeName| Row { peer: peer.to_string(), connected: connected.contains(peer) };
    Ok(found.iter().filter(|peer| *peer != app).map(row).collect())
}
