use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_proto::node_name::NodeName;

use super::Network;
use super::network::ListenerId;
use crate::network::transport::{Incoming, Listener, ShortWait, Stream, Transport};

/// A host of a simulated [`Network`], as the transport of the nodes on it.
#[derive(Debug, Clone)]
pub struct Host {
    network: Network,
    name: String,
}

/// A port that is listened on.
struct Port {
    host: Host,
    listener: ListenerId,
}

impl Host {
    pub(super) fn new(network: Network, name: String) -> Self {
        Self { network, name }
    }
}

impl Transport for Host {
    fn listen(
        &self,
        _: Option<IpAddr>,
        ports: RangeInclusive<u16>,
    ) -> BoxFuture<'_, io::Result<(Box<dyn Listener>, u16)>> {
        async {
            let listener = self.network.listen(&self.name, ports)?;
            Ok((Box::new(Port { host: self.clone(), listener }) as Box<dyn Listener>, listener.port))
        }
        .boxed()
    }

    fn dial<'a>(&'a self, peer: &'a NodeName, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        self.network.dial(&self.name, peer.host(), port).boxed()
    }

    fn short_wait(&self) -> ShortWait {
        ShortWait::Timer
    }
}

impl Listener for Port {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        poll_fn(|context| self.host.network.poll_accept(&self.host.name, self.listener, context)).boxed()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.host.network.close(&self.host.name, self.listener);
    }
}
