use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use erl_dist::epmd::{EpmdClient, EpmdError, NodeEntry};
use peerl_proto::epmd::{
    AliveName, DumpEntry, DumpRequest, DumpResponse, KillResponse, NameEntry, NamesRequest, NamesResponse, NodeInfo,
    NodeType, ResponseError, StopRequest, StopResponse, TransportProtocol,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::Compat;

use crate::addresses::addresses_of;
use crate::lease::Lease;
use crate::wire::{TooLong, Wire};
use crate::{Error, Registration, environment};

/// A client of the EPMD of one host.
///
/// Each request opens its own connection, as EPMD requires, and has a time-out that covers everything from the
/// look-up of the host's address to the last byte of the answer. Requests can be dropped at any point.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    /// Further addresses of the same host, used if nothing listens at the first.
    more: Vec<IpAddr>,
    port: u16,
    timeout: Duration,
    answer_limit: usize,
}

impl Client {
    /// The default time-out of a request; the same as in OTP's client.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// The default size limit of an answer in bytes: enough for a thousand of the longest names.
    pub const DEFAULT_ANSWER_LIMIT: usize = 1 << 20;

    /// A client of the EPMD that listens at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self::at(address.ip().to_string(), address.port())
    }

    /// A client of the EPMD of `host`, a name or an IP address. The name is resolved for each request.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            more: Vec::new(),
            port,
            timeout: Self::DEFAULT_TIMEOUT,
            answer_limit: Self::DEFAULT_ANSWER_LIMIT,
        }
    }

    /// A client of this host's EPMD, by `ERL_EPMD_PORT` and `ERL_EPMD_ADDRESS`.
    ///
    /// # Errors
    /// [`Error::BadEnvironment`] when one of the two is invalid.
    pub fn from_env() -> Result<Self, Error> {
        let mut addresses = environment::loopbacks()?.into_iter();
        let first = addresses.next().unwrap_or(Ipv4Addr::LOCALHOST.into());
        Ok(Self::new((first, environment::port()?).into()).or_at(addresses))
    }

    /// Adds addresses to try, in order, when nothing listens at those before.
    pub fn or_at(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.more.extend(addresses);
        self
    }

    /// A client of the EPMD of another host, with the same port and limits.
    pub fn for_host(&self, host: impl Into<String>) -> Self {
        Self { host: host.into(), more: Vec::new(), ..self.clone() }
    }

    /// Sets the time-out of a request.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the size limit of an answer in bytes.
    pub fn with_answer_limit(self, answer_limit: usize) -> Self {
        Self { answer_limit, ..self }
    }

    /// The name or IP address of EPMD's host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of EPMD.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Registers a node; EPMD accepts that only from its own host.
    ///
    /// The node stays registered until the [`Lease`] is released or dropped. Must be called on a tokio runtime,
    /// because the lease runs a task.
    ///
    /// # Errors
    /// [`Error::NameTaken`] when another node has the name, [`Error::NoEpmd`] when nothing answers, and errors of the
    /// connection.
    pub async fn register(&self, node: Registration) -> Result<Lease, Error> {
        let (stream, creation) = self.claim(&node).await?;
        Ok(Lease::new(self.clone(), node, stream, creation))
    }

    /// Looks up the node `name`, which is the part of a node's name before the `@`.
    ///
    /// # Errors
    /// [`Error::BadName`] when the name is invalid, and errors of the connection. An unknown name is not an error.
    pub async fn lookup(&self, name: &str) -> Result<Option<NodeInfo>, Error> {
        const REQUEST: &str = "PORT_PLEASE2_REQ";
        let name = alive_name(name)?;
        let asked = async {
            let client = EpmdClient::new(self.connect().await?);
            let entry = client.get_node(&name).await;
            match entry.map_err(|error| self.explain(error, REQUEST))? {
                None => Ok(None),
                Some(entry) if entry.name == *name => self.node_info(entry).map(Some),
                Some(entry) => Err(self.malformed(format!("it is about {:?}", entry.name))),
            }
        };
        self.in_time(REQUEST, asked).await
    }

    /// Lists the names and ports of all registered nodes, the newest first.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`] when the list exceeds the limit, and errors of the connection.
    pub async fn names(&self) -> Result<Vec<NameEntry>, Error> {
        // Not by `erl_dist`: it fails on a single invalid line, which any process of the host can register.
        let answer = self.ask("NAMES_REQ", NamesRequest.encode()).await?;
        Ok(self.parsed(NamesResponse::decode(&answer))?.names)
    }

    /// Lists all names that EPMD remembers; EPMD answers that only to its own host.
    ///
    /// # Errors
    /// See [`Client::names`].
    pub async fn dump(&self) -> Result<Vec<DumpEntry>, Error> {
        // Not by `erl_dist`: it fails on a single name that is not UTF-8.
        let answer = self.ask("DUMP_REQ", DumpRequest.encode()).await?;
        Ok(self.parsed(DumpResponse::decode(&answer))?.entries)
    }

    /// Ends EPMD; EPMD accepts that only from its own host.
    ///
    /// # Errors
    /// Errors of the connection. A refusal is not an error.
    pub async fn kill(&self) -> Result<KillResponse, Error> {
        const REQUEST: &str = "KILL_REQ";
        let asked = async {
            let answer = EpmdClient::new(self.connect().await?).kill().await;
            answer.map_err(|error| self.explain(error, REQUEST))
        };
        let answer = self.in_time(REQUEST, asked).await?;
        if answer.is_empty() {
            return Err(Error::Closed { address: self.to_string(), request: REQUEST });
        }
        self.parsed(KillResponse::decode(answer.as_bytes()))
    }

    /// Unregisters a node by force; EPMD accepts that only from its own host, and only with
    /// `ERL_EPMD_RELAXED_COMMAND_CHECK`.
    ///
    /// # Errors
    /// [`Error::Closed`] when EPMD refuses, and errors of the connection.
    pub async fn stop(&self, name: &str) -> Result<StopResponse, Error> {
        // Not by `erl_dist`, which lacks the request.
        let name = alive_name(name)?;
        let answer = self.ask("STOP_REQ", StopRequest { name }.encode()).await?;
        self.parsed(StopResponse::decode(&answer))
    }

    /// Registers a node; returns the connection that keeps it registered, and the creation.
    pub(crate) async fn claim(&self, node: &NodeInfo) -> Result<(TcpStream, u32), Error> {
        const REQUEST: &str = "ALIVE2_REQ";
        let entry = NodeEntry {
            name: node.name.to_string(),
            port: node.port,
            node_type: node.node_type.0.into(),
            protocol: node.protocol.0.into(),
            highest_version: node.highest_version,
            lowest_version: node.lowest_version,
            extra: node.extra().to_vec(),
        };
        let claimed = async {
            let client = EpmdClient::new(self.connect().await?);
            match client.register(entry).await {
                Ok((wire, creation)) => Ok((wire.into_inner().into_stream(), creation.get())),
                Err(EpmdError::RegisterNodeError { .. }) => {
                    Err(Error::NameTaken { address: self.to_string(), name: node.name.clone() })
                }
                Err(error) => Err(self.explain(error, REQUEST)),
            }
        };
        self.in_time(REQUEST, claimed).await
    }

    /// Sends a request and reads until EPMD closes the connection.
    async fn ask(&self, request: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        let asked = async {
            let mut wire = self.connect().await?.into_inner();
            let mut answer = Vec::new();
            let exchanged = async {
                wire.write_all(&bytes).await?;
                wire.flush().await?;
                wire.read_to_end(&mut answer).await
            };
            match exchanged.await {
                Ok(0) => Err(Error::Closed { address: self.to_string(), request }),
                Ok(_) => Ok(answer),
                Err(error) => Err(self.explain_io(error, request)),
            }
        };
        self.in_time(request, asked).await
    }

    async fn connect(&self) -> Result<Compat<Wire>, Error> {
        let resolved = addresses_of(&self.host, self.port).await;
        let mut addresses = resolved.map_err(|source| Error::UnknownHost { host: self.host.clone(), source })?;
        // In almost all installations EPMD listens on IPv4, while `localhost` resolves to `::1` first.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.extend(self.more.iter().map(|address| SocketAddr::new(*address, self.port)));
        // An unresponsive address must leave time for the others and for the answer.
        let each = match addresses.len() as u32 {
            0 | 1 => self.timeout,
            count => self.timeout / (count + 1),
        };
        let connect = async |address: SocketAddr| {
            let stream = timeout(each, TcpStream::connect(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let mut failure = None;
        for address in addresses {
            match connect(address).await {
                Ok(stream) => return Ok(Wire::new(stream, self.answer_limit)),
                Err(source) => failure = more_informative(failure, source),
            }
        }
        let source = failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
        Err(Error::NoEpmd { address: self.to_string(), source })
    }

    async fn in_time<T>(
        &self,
        request: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::TimedOut { address: self.to_string(), request, after: self.timeout }),
        }
    }

    fn node_info(&self, entry: NodeEntry) -> Result<NodeInfo, Error> {
        let name = AliveName::new(&entry.name).map_err(|error| self.malformed(error))?;
        let mut node = NodeInfo::new(name, entry.port);
        node.node_type = NodeType(entry.node_type.into());
        node.protocol = TransportProtocol(entry.protocol.into());
        node.highest_version = entry.highest_version;
        node.lowest_version = entry.lowest_version;
        node.with_extra(Bytes::from(entry.extra)).map_err(|error| self.malformed(error))
    }

    fn parsed<T>(&self, response: Result<T, ResponseError>) -> Result<T, Error> {
        response.map_err(|error| self.malformed(error))
    }

    fn explain(&self, error: EpmdError, request: &'static str) -> Error {
        match error {
            EpmdError::Io(source) => self.explain_io(source, request),
            other => self.malformed(other),
        }
    }

    fn explain_io(&self, source: io::Error, request: &'static str) -> Error {
        let address = self.to_string();
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Error::Closed { address, request }
            }
            io::ErrorKind::InvalidData => self.malformed(source),
            _ if TooLong::is_in(&source) => Error::AnswerTooLarge { address, limit: self.answer_limit },
            _ => Error::Broken { address, source },
        }
    }

    fn malformed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Malformed { address: self.to_string(), source: source.into() }
    }
}

/// The host and port, such as `127.0.0.1:4369` or `[::1]:4369`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The more informative of two errors: "nothing listens" over "the host has no such address"; else the first.
fn more_informative(first: Option<io::Error>, next: io::Error) -> Option<io::Error> {
    Some(first.filter(|_| next.kind() != io::ErrorKind::ConnectionRefused).unwrap_or(next))
}

fn alive_name(name: &str) -> Result<AliveName, Error> {
    AliveName::new(name).map_err(|source| Error::BadName { name: name.to_owned(), source })
}
