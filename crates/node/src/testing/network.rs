use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Host;
use super::conditions::Conditions;
use super::pipe::{Path, Pipe, PipeReader, PipeWriter};
use crate::builder::NodeBuilder;
use crate::network::epmd::Epmd;
use crate::network::transport::{Incoming, Stream};

/// A network of simulated hosts. Clones are the same network.
#[derive(Debug, Clone)]
pub struct Network {
    conditions: Arc<Conditions>,
    state: Arc<Mutex<State>>,
    /// A partition has ended, or a host has started.
    mended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// The hosts by their names, and whether they run.
    hosts: BTreeMap<String, Machine>,
    /// Pairs of hosts that do not reach each other.
    partitions: BTreeSet<(String, String)>,
    links: Vec<Link>,
    next_listener: u64,
}

#[derive(Debug)]
struct Machine {
    address: IpAddr,
    runs: bool,
    ports: BTreeMap<u16, Arrivals>,
}

/// The peers that have arrived at a port, and have not been accepted yet.
#[derive(Debug)]
struct Arrivals {
    listener: ListenerId,
    queue: VecDeque<Incoming>,
    waker: Option<Waker>,
}

/// A port that is listened on. After a crash another listener may have the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListenerId {
    pub(super) port: u16,
    number: u64,
}

/// One direction of a stream between two hosts.
#[derive(Debug)]
struct Link {
    from: String,
    to: String,
    pipe: Weak<Pipe>,
}

impl Network {
    /// The port of nodes that are started by [`node`](Self::node).
    pub const PORT: u16 = 4370;

    /// Their cookie.
    pub const COOKIE: &str = "simulated";

    /// A network that delivers at once.
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// A network whose random delays follow from a number.
    pub fn seeded(seed: u64) -> Self {
        Self { conditions: Arc::new(Conditions::new(seed)), state: Arc::default(), mended: Arc::default() }
    }

    /// Sets how long bytes are on their way from now on: each time a random delay of this range, of which timers keep whole
    /// milliseconds. Bytes of one stream stay in order.
    pub fn set_delay(&self, delay: RangeInclusive<Duration>) {
        self.conditions.set_delay(delay);
    }

    /// A host of this name, which runs from now on.
    pub fn host(&self, name: impl Into<String>) -> Host {
        let name = name.into();
        let mut state = self.state.lock();
        let number = state.hosts.len() as u32 + 1;
        let machine = state.hosts.entry(name.clone()).or_insert_with(|| Machine {
            address: Ipv4Addr::from_bits(0x0a00_0000 + number).into(),
            runs: true,
            ports: BTreeMap::new(),
        });
        machine.runs = true;
        drop(state);
        self.mended.notify_waiters();
        Host::new(self.clone(), name)
    }

    /// Begins to set up a [bare](NodeBuilder::new) node on the host of its name, which may have one such node: no EPMD is used.
    pub fn node(&self, name: &str) -> NodeBuilder {
        let host = name.split_once('@').map_or(name, |(_, host)| host);
        self.on_host(host, NodeBuilder::new(name))
    }

    /// Puts a node that is being set up on a host, as [`node`](Self::node) does.
    pub fn on_host(&self, host: &str, builder: NodeBuilder) -> NodeBuilder {
        builder
            .cookie(Self::COOKIE)
            .epmd(Epmd::None { port: Self::PORT })
            .listen(Self::PORT..=Self::PORT)
            .transport(self.host(host))
    }

    /// Separates two hosts. What they send each other waits until [`heal`](Self::heal); no node is told, so that ticks find out.
    pub fn partition(&self, one: &str, two: &str) {
        let mut state = self.state.lock();
        state.partitions.insert(pair(one, two));
        state.set_path(one, two, Path::Held);
    }

    /// Ends a partition.
    pub fn heal(&self, one: &str, two: &str) {
        let mut state = self.state.lock();
        state.partitions.remove(&pair(one, two));
        state.set_path(one, two, Path::Open);
        drop(state);
        self.mended.notify_waiters();
    }

    /// Loses whatever is sent on the streams that are open between two hosts, for ever and without telling them, as a firewall
    /// does that has forgotten them. New streams work.
    pub fn forget(&self, one: &str, two: &str) {
        self.state.lock().set_path(one, two, Path::Lost);
    }

    /// Breaks the streams that are open between two hosts. Both ends are told at once.
    pub fn reset(&self, one: &str, two: &str) {
        self.state.lock().set_path(one, two, Path::Reset);
    }

    /// Stops a host, as by a power failure: nothing leaves or reaches it any more, and no peer is told. Its nodes do not know
    /// either; drop them. [`host`](Self::host) starts it again.
    pub fn crash(&self, host: &str) {
        let mut state = self.state.lock();
        if let Some(machine) = state.hosts.get_mut(host) {
            machine.runs = false;
            machine.ports.clear();
        }
        state.set_path_where(Path::Lost, |link| link.from == host || link.to == host);
    }

    /// How many streams between two hosts have an open end.
    pub fn streams(&self, one: &str, two: &str) -> usize {
        let hosts = pair(one, two);
        let state = self.state.lock();
        let open = state.links.iter().filter(|link| link.pipe.strong_count() > 0);
        // Each has two directions.
        open.filter(|link| pair(&link.from, &link.to) == hosts).count().div_ceil(2)
    }

    pub(super) fn listen(&self, host: &str, ports: RangeInclusive<u16>) -> io::Result<ListenerId> {
        let mut state = self.state.lock();
        state.next_listener += 1;
        let number = state.next_listener;
        let machine = state.hosts.get_mut(host).ok_or(io::ErrorKind::AddrNotAvailable)?;
        // Port 0 stands for any.
        let ports = if ports == (0..=0) { 1024..=u16::MAX } else { ports };
        let port = ports.into_iter().find(|port| !machine.ports.contains_key(port)).ok_or(io::ErrorKind::AddrInUse)?;
        let listener = ListenerId { port, number };
        machine.ports.insert(port, Arrivals { listener, queue: VecDeque::new(), waker: None });
        Ok(listener)
    }

    pub(super) fn poll_accept(
        &self,
        host: &str,
        listener: ListenerId,
        context: &Context<'_>,
    ) -> Poll<io::Result<Incoming>> {
        let mut state = self.state.lock();
        // After a crash nobody arrives.
        let Some(arrivals) = state.arrivals(host, listener.port).filter(|arrivals| arrivals.listener == listener)
        else {
            return Poll::Pending;
        };
        if let Some(incoming) = arrivals.queue.pop_front() {
            return Poll::Ready(Ok(incoming));
        }
        arrivals.waker = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn close(&self, host: &str, listener: ListenerId) {
        if let Some(machine) = self.state.lock().hosts.get_mut(host) {
            machine.ports.retain(|_, arrivals| arrivals.listener != listener);
        }
    }

    /// Opens a stream from a host to a port of another, or waits as long as that one does not answer.
    pub(super) async fn dial(&self, from: &str, to: &str, port: u16) -> io::Result<Stream> {
        let answer = loop {
            let mended = self.mended.notified();
            if self.state.lock().reaches(from, to)? {
                sleep(self.conditions.delay()).await;
                if let Some(answer) = self.open(from, to, port)? {
                    break answer;
                }
                continue;
            }
            mended.await;
        };
        sleep(self.conditions.delay()).await;
        answer
    }

    /// Opens a stream, if both hosts reach each other; the inner error is the answer of the other host.
    fn open(&self, from: &str, to: &str, port: u16) -> io::Result<Option<io::Result<Stream>>> {
        let mut state = self.state.lock();
        if !state.reaches(from, to)? {
            return Ok(None);
        }
        let address = state.hosts.get(from).map_or(Ipv4Addr::LOCALHOST.into(), |machine| machine.address);
        let (there, back) = (Pipe::new(self.conditions.clone()), Pipe::new(self.conditions.clone()));
        let accepted = stream(there.clone(), back.clone());
        let Some(arrivals) = state.arrivals(to, port) else {
            return Ok(Some(Err(io::ErrorKind::ConnectionRefused.into())));
        };
        arrivals
            .queue
            .push_back(Incoming { address: (address, port).into(), stream: std::future::ready(Ok(accepted)).boxed() });
        let waker = arrivals.waker.take();
        state.links.retain(|link| link.pipe.strong_count() > 0);
        for (from, to, pipe) in [(from, to, &there), (to, from, &back)] {
            state.links.push(Link { from: from.to_owned(), to: to.to_owned(), pipe: Arc::downgrade(pipe) });
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(Some(Ok(stream(back, there))))
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn arrivals(&mut self, host: &str, port: u16) -> Option<&mut Arrivals> {
        self.hosts.get_mut(host)?.ports.get_mut(&port)
    }

    /// Whether packets between two hosts arrive.
    fn reaches(&self, from: &str, to: &str) -> io::Result<bool> {
        let no_host = || io::Error::new(io::ErrorKind::NotFound, "the network has no such host");
        let to_runs = self.hosts.get(to).ok_or_else(no_host)?.runs;
        let from_runs = self.hosts.get(from).is_some_and(|machine| machine.runs);
        Ok(to_runs && from_runs && !self.partitions.contains(&pair(from, to)))
    }

    fn set_path(&self, one: &str, two: &str, path: Path) {
        let hosts = pair(one, two);
        self.set_path_where(path, |link| pair(&link.from, &link.to) == hosts);
    }

    fn set_path_where(&self, path: Path, is_meant: impl Fn(&Link) -> bool) {
        for link in self.links.iter().filter(|link| is_meant(link)) {
            if let Some(pipe) = link.pipe.upgrade() {
                pipe.set_path(path);
            }
        }
    }
}

fn pair(one: &str, two: &str) -> (String, String) {
    let (first, second) = if one <= two { (one, two) } else { (two, one) };
    (first.to_owned(), second.to_owned())
}

fn stream(read: Arc<Pipe>, write: Arc<Pipe>) -> Stream {
    Stream { read: Box::new(PipeReader::new(read)), write: Box::new(PipeWriter::new(write)) }
}
