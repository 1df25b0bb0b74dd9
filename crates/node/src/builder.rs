use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use peerl_epmd::Client;
use peerl_proto::cookie::{Cookie, CookieError};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::node_name::{NodeName, NodeNameError};
use peerl_proto::tick::TickTimer;
use peerl_term::Atom;
use tokio::net::TcpListener;

use crate::Visibility;
use crate::cookie_file::{self, CookieFileError};
use crate::epmd::{Epmd, PortMapper};
use crate::event::{LogEvent, LogOutput};
use crate::identity::Identity;
use crate::node::{Limits, Node, Settings};
use crate::system::Output;

/// Settings of a node that is to be started. Only the name is needed.
#[derive(Clone)]
pub struct NodeBuilder {
    name: String,
    cookie: Option<String>,
    ports: RangeInclusive<u16>,
    address: IpAddr,
    visibility: Visibility,
    epmd: Epmd,
    epmd_client: Option<Client>,
    net_ticktime: Duration,
    limits: Limits,
    output: Option<Output>,
    log_output: Option<LogOutput>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name is not a node name.
    #[error("bad node name: {0}")]
    Name(#[from] NodeNameError),
    /// The part of the name before the `@` cannot be registered.
    #[error("bad node name: {0}")]
    AliveName(peerl_proto::epmd::NameError),
    /// The cookie that was given is none.
    #[error("bad cookie: {0}")]
    Cookie(#[from] CookieError),
    /// No cookie was given, and there is none in its usual places.
    #[error(transparent)]
    CookieFile(#[from] CookieFileError),
    /// No port of the range is free.
    #[error("cannot listen on {address}, port {} to {}: {source}", ports.start(), ports.end())]
    Listen {
        /// The address.
        address: IpAddr,
        /// The ports that were tried.
        ports: RangeInclusive<u16>,
        /// The reason, of the last port.
        source: io::Error,
    },
    /// EPMD is not there, does not answer, or another node has the name.
    #[error(transparent)]
    Epmd(#[from] peerl_epmd::Error),
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl Node {
    /// Begins to set up a node with this name, as `name@host`.
    ///
    /// The host is the one under which peers reach this node: they look it up, and ask the EPMD there for the port.
    pub fn builder(name: impl Into<String>) -> NodeBuilder {
        NodeBuilder {
            name: name.into(),
            cookie: None,
            ports: 0..=0,
            address: Ipv4Addr::UNSPECIFIED.into(),
            visibility: Visibility::default(),
            epmd: Epmd::default(),
            epmd_client: None,
            net_ticktime: TickTimer::DEFAULT_TICK_TIME,
            limits: Limits::default(),
            output: None,
            log_output: None,
        }
    }
}

impl NodeBuilder {
    /// Sets the secret that all nodes of the cluster share. Without this it comes from the environment variable
    /// `PEERL_COOKIE`, or from `~/.erlang.cookie`, which is made if it is not there.
    pub fn cookie(mut self, cookie: impl Into<String>) -> Self {
        self.cookie = Some(cookie.into());
        self
    }

    /// Sets the ports of which the first free one is listened on. Without this it is any.
    pub fn listen(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    /// Sets the address to listen on. Without this it is every one of this host.
    pub fn listen_address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets whether the node shows in the `nodes()` of its peers.
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// Sets which EPMD is used.
    pub fn epmd(mut self, epmd: Epmd) -> Self {
        self.epmd = epmd;
        self
    }

    /// Sets where EPMD is. Without this it is where `ERL_EPMD_PORT` and `ERL_EPMD_ADDRESS` say, or at port 4369.
    pub fn epmd_client(mut self, client: Client) -> Self {
        self.epmd_client = Some(client);
        self
    }

    /// Sets how long a peer may be silent before it is taken for dead. Should be the same on all nodes; 60 seconds,
    /// as in OTP, without this.
    pub fn net_ticktime(mut self, time: Duration) -> Self {
        self.net_ticktime = time;
        self
    }

    /// Sets what is accepted from peers before their connection is ended.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets what is done with text that functions print which peers run for this node. Without this it is logged.
    pub fn output(mut self, output: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.output = Some(Arc::new(output));
        self
    }

    /// Sets what is done with log events of functions that peers run for this node. Without this they are logged here.
    pub fn log_output(mut self, output: impl Fn(&LogEvent) + Send + Sync + 'static) -> Self {
        self.log_output = Some(Arc::new(output));
        self
    }

    /// Starts the node: it listens, is registered with EPMD, and serves its peers.
    ///
    /// # Errors
    /// If the name or the cookie is bad, no port is free, or the node cannot be registered.
    pub async fn start(self) -> Result<Node, StartError> {
        let name = NodeName::new(&self.name)?;
        let atom = Atom::new(name.as_str()).map_err(|_| NodeNameError::TooLong)?;
        let cookie = match &self.cookie {
            Some(cookie) => Cookie::new(cookie)?,
            None => cookie_file::find()?,
        };
        let (listener, port) = listen(self.address, self.ports.clone()).await?;
        let client = match self.epmd_client {
            Some(client) => client,
            None => Client::from_env()?,
        };
        let (epmd, creation) = PortMapper::register(self.epmd, client, &name, port).await?;
        let creation = match creation {
            Some(creation) => creation,
            None => random_creation()?,
        };
        let flags = match self.visibility {
            Visibility::Visible => DistributionFlags::FULL_MEMBER,
            Visibility::Hidden => DistributionFlags::HIDDEN,
        };
        let settings = Settings {
            identity: Identity::new(name, atom, creation),
            port,
            visibility: self.visibility,
            flags,
            cookie,
            epmd,
            net_ticktime: self.net_ticktime,
            limits: self.limits,
            output: self.output,
            log_output: self.log_output,
        };
        Ok(Node::run(settings, listener))
    }
}

/// A creation for a node that no EPMD knows: any number that EPMD could have given.
pub(crate) fn random_creation() -> Result<u32, getrandom::Error> {
    Ok(getrandom::u32()?.max(4))
}

async fn listen(address: IpAddr, ports: RangeInclusive<u16>) -> Result<(TcpListener, u16), StartError> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the range is empty");
    for port in ports.clone() {
        let bound = TcpListener::bind(SocketAddr::new(address, port)).await;
        match bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener))) {
            Ok((port, listener)) => return Ok((listener, port)),
            Err(error) => last = error,
        }
    }
    Err(StartError::Listen { address, ports, source: last })
}
