use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::node_name::NodeName;
use peerl_term::Pid;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::NodeEvent;
use crate::epmd::PortMapper;
use crate::event::{LogEvent, LogOutput, NodeDownReason, Visibility};
use crate::exports::Exports;
use crate::granted_names::{Grant, GrantError, GrantedNames};
use crate::guest::GuestNames;
use crate::identity::Identity;
use crate::limits::Limits;
use crate::peers::Peers;
use crate::process::{NodeMonitors, ProcessTable};
use crate::rpc::Served;
use crate::system::{Output, Services};

/// What all tasks of a node share.
pub(crate) struct Inner {
    pub(crate) identity: Identity,
    /// The names that the node may have at its peers, if it is a guest.
    pub(crate) guest: Option<GuestNames>,
    pub(crate) port: u16,
    pub(crate) visibility: Visibility,
    pub(crate) flags: DistributionFlags,
    pub(crate) cookie: Cookie,
    pub(crate) cookies: RwLock<HashMap<NodeName, Cookie>>,
    pub(crate) epmd: PortMapper,
    pub(crate) net_ticktime: Duration,
    pub(crate) limits: Limits,
    pub(crate) peers: Peers,
    pub(crate) granted_names: GrantedNames,
    pub(crate) processes: ProcessTable,
    pub(crate) exports: Exports,
    pub(crate) served: Served,
    pub(crate) draining: AtomicBool,
    /// The pid in whose name the node itself makes requests. It is no process: answers to it are matched by their
    /// reference.
    pub(crate) requester: Pid,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(crate) node_monitors: NodeMonitors,
    /// Held from when a connection can be found until its event is sent: nobody who finds it and ends it at once
    /// gets ahead of that.
    pub(crate) coming_up: Mutex<()>,
    /// The node listens no more; it drains, or has stopped.
    pub(crate) unlisted: CancellationToken,
    pub(crate) stopped: CancellationToken,
    pub(crate) started: Instant,
    pub(crate) services: OnceLock<Services>,
    output: Option<Output>,
    log_output: Option<LogOutput>,
}

/// What a node is started with.
pub(crate) struct Settings {
    pub(crate) identity: Identity,
    pub(crate) guest: Option<GuestNames>,
    pub(crate) port: u16,
    pub(crate) visibility: Visibility,
    pub(crate) flags: DistributionFlags,
    pub(crate) cookie: Cookie,
    pub(crate) epmd: PortMapper,
    pub(crate) net_ticktime: Duration,
    pub(crate) limits: Limits,
    pub(crate) output: Option<Output>,
    pub(crate) log_output: Option<LogOutput>,
}

impl Inner {
    pub(crate) fn new(settings: Settings) -> Self {
        let requester = settings.identity.next_pid();
        Self {
            identity: settings.identity,
            guest: settings.guest,
            port: settings.port,
            visibility: settings.visibility,
            flags: settings.flags,
            cookie: settings.cookie,
            cookies: RwLock::default(),
            epmd: settings.epmd,
            net_ticktime: settings.net_ticktime,
            limits: settings.limits,
            peers: Peers::default(),
            granted_names: GrantedNames::default(),
            processes: ProcessTable::default(),
            exports: Exports::default(),
            served: Served::default(),
            draining: AtomicBool::new(false),
            requester,
            events: broadcast::channel(1024).0,
            node_monitors: NodeMonitors::default(),
            coming_up: Mutex::default(),
            unlisted: CancellationToken::new(),
            stopped: CancellationToken::new(),
            started: Instant::now(),
            services: OnceLock::new(),
            output: settings.output,
            log_output: settings.log_output,
        }
    }

    /// The cookie for a peer.
    pub(crate) fn cookie_for(&self, peer: &NodeName) -> Cookie {
        self.cookies.read().get(peer).unwrap_or(&self.cookie).clone()
    }

    /// Gives a name to a peer that has none.
    pub(crate) fn grant_name(&self, host: &str) -> Result<Grant, GrantError> {
        loop {
            let grant = self.granted_names.grant(host)?;
            // A node that had the name may have come back by it.
            if self.peers.get(grant.name().as_atom()).is_none() {
                return Ok(grant);
            }
            grant.forget();
        }
    }

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
        self.stopped.cancel();
        self.unlisted.cancel();
        self.epmd.abandon();
        self.peers.abort_attempts();
        for connection in self.peers.all() {
            self.bring_down(&connection, NodeDownReason::Shutdown);
        }
        for process in self.processes.all() {
            self.end(&process, &crate::reason::atom("shutdown"));
        }
    }
}
