use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use peerl_epmd::Client;
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::node_name::{NodeName, NodeNameError};
use peerl_proto::tick::TickTimer;
use peerl_term::Atom;
use tokio::time::Instant;

use crate::inner::Inner;
use crate::kernel::event::Visibility;
use crate::kernel::guest_name::HostKind;
use crate::kernel::identity::Identity;
use crate::kernel::limits::Limits;
use crate::kernel::random::Random;
use crate::kernel::state::Kernel;
use crate::network::accept;
use crate::network::cookie_file::{self, IfMissing};
use crate::network::epmd::{Epmd, PortMapper};
use crate::network::guest::GuestNames;
use crate::network::state::{Network, NetworkSettings};
use crate::network::transport::{Tcp, Transport};
use crate::node::Node;
use crate::renewal;
use crate::service::Service;
use crate::start_error::StartError;

/// Settings of a node that is to be started. Only the name is needed.
pub struct NodeBuilder {
    naming: Naming,
    cookie: Option<String>,
    no_cookie: IfMissing,
    ports: RangeInclusive<u16>,
    address: Option<IpAddr>,
    transport: Arc<dyn Transport>,
    visibility: Visibility,
    epmd: Epmd,
    epmd_client: Option<Client>,
    net_ticktime: Duration,
    limits: Limits,
    services: Vec<Box<dyn Service>>,
    seed: Option<u64>,
}

/// How the node gets its name.
#[derive(Clone)]
enum Naming {
    Given(String),
    Guest(HostKind),
}

impl NodeBuilder {
    /// Begins to set up a node with this name, as `name@host`.
    ///
    /// The host is the one under which peers reach this node: they look it up, and ask the EPMD there for the port.
    ///
    /// This node is bare: it has no process and no function but those that a program gives it, so that peers cannot even ping
    /// it. `peerl_otp::node`, which is `peerl::node`, sets up one that has what tools of the BEAM expect of every node.
    pub fn new(name: impl Into<String>) -> Self {
        Self::of(Naming::Given(name.into()))
    }

    /// Begins to set up a guest: a hidden node that calls its peers and is called by none. It does not listen, no EPMD
    /// knows it, and whatever is set for that in the builder has no effect.
    ///
    /// A name is an atom, which stays in the memory of every node that has seen it as long as that runs. So all guests,
    /// of all hosts, share 256 names, as `remsh_peerl_7@peerl..invalid`. Each peer decides which of them is free there,
    /// so that a guest can have different names at different peers: [`Node::name_at`] gives them. Pids, ports and
    /// references of the guest have the name of the connection by which they are sent. Guests of one host take the same
    /// few names one after another. Libraries that make hash rings of nodes leave out names that begin with `remsh`.
    ///
    /// The host is no host, and no resolver looks it up: peers with long names see `peerl..invalid`, those with short
    /// ones `peerl-guests-are-never-dialled-so-this-host-is-one-that-nobody-looks-up`. A guest reaches peers of both
    /// kinds. A peer that lists who may connect (`net_kernel:allow/1`) must list such a host, or the node must have a
    /// name of its own, with [`Visibility::Hidden`].
    ///
    /// This guest is as bare as the node of [`new`](Self::new); `peerl::guest` sets up one that gets what functions print that it
    /// calls.
    pub fn guest() -> Self {
        Self::of(Naming::Guest(HostKind::default())).visibility(Visibility::Hidden)
    }

    fn of(naming: Naming) -> Self {
        Self {
            naming,
            cookie: None,
            no_cookie: IfMissing::Fail,
            ports: 0..=0,
            address: None,
            transport: Arc::new(Tcp::default()),
            visibility: Visibility::default(),
            epmd: Epmd::default(),
            epmd_client: None,
            net_ticktime: TickTimer::DEFAULT_TICK_TIME,
            limits: Limits::default(),
            services: Vec::new(),
            seed: None,
        }
    }

    /// Sets the secret that all nodes of the cluster share. Without this it comes from the first of these places that
    /// has one: the environment variable `PEERL_COOKIE`, the file `~/.erlang.cookie`, and the file
    /// `erlang/.erlang.cookie` in `$XDG_CONFIG_HOME` or else `~/.config` (the places of OTP, in its order). If none has
    /// one, the node does not start; no file is ever made, unless [`make_cookie`](Self::make_cookie) is chosen.
    pub fn cookie(mut self, cookie: impl Into<String>) -> Self {
        self.cookie = Some(cookie.into());
        self
    }

    /// Makes the file `~/.erlang.cookie`, with a random cookie, if no cookie is given and none of its usual places has
    /// one, as `erl` does. For a node that is the first of its cluster: the user's next `erl` takes that cookie.
    pub fn make_cookie(mut self) -> Self {
        self.no_cookie = IfMissing::Make;
        self
    }

    /// Of a [guest](Self::guest): takes a name of the kind that peers with short names have (`erl -sname`) for its own.
    /// It reaches the others too, but payloads with pids of the guest are encoded twice for them.
    pub fn short_names(mut self) -> Self {
        if let Naming::Guest(kind) = &mut self.naming {
            *kind = HostKind::Short;
        }
        self
    }

    /// Sets the ports of which the first free one is listened on. Without this it is any.
    pub fn listen(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    /// Sets the address to listen on. Without this it is every one of this host, of IPv4 and of IPv6.
    pub fn listen_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets how the node reaches its peers, and is reached by them. Without this it is by TCP.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Arc::new(transport);
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

    /// Sets how many bytes the node keeps for its peers, and all that follows from it: see [`Limits::of_memory`]. Half of what the
    /// process may use without this.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.limits = Limits::of_memory(bytes);
        self
    }

    /// Sets what is accepted from peers.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the most bytes of a message; 256 MiB without this, or half of the [`memory`](Self::memory). A larger one fails alone: see [`Limits`].
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.limits.channel.message = bytes;
        self
    }

    /// Adds a service: it is started with the node, before peers reach it, in the order in which services are added.
    pub fn service(mut self, service: impl Service) -> Self {
        self.services.push(Box::new(service));
        self
    }

    /// Derives what is random in this node from a number: challenges of handshakes, creations, names of guests. For tests that
    /// are to run alike each time, on a [simulated network](crate::testing); peers can foresee the challenges of such a node.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the node: it listens, is registered with EPMD, and serves its peers. A guest only gets ready to call.
    ///
    /// # Errors
    /// If the name or the cookie is bad, no port is free, or the node cannot be registered.
    pub async fn start(self) -> Result<Node, StartError> {
        let cookie = match &self.cookie {
            Some(cookie) => Cookie::new(cookie)?,
            None => cookie_file::find(self.no_cookie)?,
        };
        let random = self.seed.map_or(Random::System, Random::seeded);
        let (name, guest, listener, port, epmd) = match self.naming {
            Naming::Given(name) => {
                let name = NodeName::new(&name)?;
                let (listener, port) =
                    self.transport.listen(self.address, self.ports.clone()).await.map_err(|source| {
                        let address = self.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
                        StartError::Listen { address, ports: self.ports, source }
                    })?;
                (name, None, Some(listener), port, self.epmd)
            }
            Naming::Guest(kind) => {
                let names = GuestNames::reserve(&random)?;
                let epmd = match self.epmd {
                    Epmd::None { port } => Epmd::None { port },
                    _ => Epmd::Unregistered,
                };
                (names.own(kind), Some(names), None, 0, epmd)
            }
        };
        let atom = Atom::new(name.as_str()).map_err(|_| NodeNameError::TooLong)?;
        let (epmd, creation) = PortMapper::register(epmd, self.epmd_client, &name, port).await?;
        let creation = match creation {
            Some(creation) => creation,
            None => random.creation()?,
        };
        let visibility = if guest.is_some() { Visibility::Hidden } else { self.visibility };
        let flags = match visibility {
            Visibility::Visible => DistributionFlags::FULL_MEMBER,
            Visibility::Hidden => DistributionFlags::HIDDEN,
        };
        let kernel = Arc::new(Kernel::new(Identity::new(name, atom, creation), self.limits));
        let (transport, net_ticktime) = (self.transport, self.net_ticktime);
        let settings = NetworkSettings { guest, flags, cookie, epmd, transport, random, net_ticktime };
        let inner = Inner {
            network: Arc::new(Network::new(kernel.clone(), settings)),
            kernel,
            port,
            visibility,
            started: Instant::now(),
            services: OnceLock::new(),
        };
        let node = Node::new(inner);
        let started: Result<Vec<_>, _> = self.services.into_iter().map(|service| service.start(&node)).collect();
        let _ = node.inner.services.set(started.map_err(StartError::Service)?);
        tokio::spawn(renewal::renew(node.downgrade()));
        if let Some(listener) = listener {
            tokio::spawn(accept::listen(node.inner.network.clone(), listener));
        }
        Ok(node)
    }
}
