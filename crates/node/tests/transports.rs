//! Nodes on another transport than TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_node::transport::{Incoming, Listener, Stream, Transport};
use peerl_node::{Epmd, Exception, Mfa, Node, NodeBuilder, NodeEvent, NodeName};
use peerl_proto::handshake::Framing;
use tokio::net::{UnixListener, UnixStream};

/// Unix sockets in a directory, one for each node name.
#[derive(Clone)]
struct Sockets {
    own: PathBuf,
    framing: Framing,
}

struct Arrivals(UnixListener);

impl Sockets {
    fn new(directory: &Path, name: &str, framing: Framing) -> Self {
        Self { own: directory.join(name), framing }
    }
}

impl Transport for Sockets {
    fn listen(&self, _: Option<IpAddr>, _: RangeInclusive<u16>) -> BoxFuture<'_, io::Result<(Box<dyn Listener>, u16)>> {
        async { Ok((Box::new(Arrivals(UnixListener::bind(&self.own)?)) as Box<dyn Listener>, 1)) }.boxed()
    }

    fn dial<'a>(&'a self, peer: &'a NodeName, _: u16) -> BoxFuture<'a, io::Result<Stream>> {
        async { Ok(Stream::split(UnixStream::connect(self.own.with_file_name(peer.as_str())).await?)) }.boxed()
    }

    fn framing(&self) -> Framing {
        self.framing
    }
}

impl Listener for Arrivals {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let (stream, _) = self.0.accept().await?;
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
            Ok(Incoming { address, stream: async { Ok(Stream::split(stream)) }.boxed() })
        }
        .boxed()
    }
}

async fn start(directory: &Path, name: &str, framing: Framing) -> Node {
    NodeBuilder::new(name)
        .cookie("c")
        .epmd(Epmd::None { port: 1 })
        .transport(Sockets::new(directory, name, framing))
        .net_ticktime(Duration::from_secs(4))
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn nodes_call_each_other_over_any_stream() {
    for framing in [Framing::Short, Framing::Long] {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (
            start(directory.path(), "one@127.0.0.1", framing).await,
            start(directory.path(), "two@127.0.0.1", framing).await,
        );
        two.export("m", "back", |(bytes,): (Vec<u8>,)| async move { Ok::<_, Exception>(bytes) }).unwrap();
        for size in [0, 300, 500_000] {
            let bytes = vec![7_u8; size];
            let call = Mfa::new("m", "back", (bytes.clone(),)).unwrap();
            assert_eq!(one.call::<Vec<u8>>(two.name(), call).await.unwrap(), bytes);
        }
        let mut events = one.events();
        if framing == Framing::Long {
            // Both ends stay up while nothing but ticks is read.
            let quiet = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
            assert!(quiet.is_err(), "{quiet:?}");
        }
        two.shutdown().await;
        assert!(matches!(events.recv().await.unwrap(), NodeEvent::NodeDown { .. }));
    }
}
