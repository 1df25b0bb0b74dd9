//! Nodes in memory, for tests of programs that are nodes: no socket, no EPMD, and simulated time.
//!
//! [`cluster`] starts nodes on a simulated [`Network`], each on its own host. They behave like other nodes; the
//! network between them can be slow, partitioned or broken.
//!
//! ```
//! use peerl::{Mfa, Nodes};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = peerl::testing::cluster(3).await;
//! cluster[1].export("rust", "double", |(n,): (i64,)| async move { Ok(2 * n) })?;
//! let doubled: i64 = cluster[0].call(cluster[1].name(), Mfa::new("rust", "double", (21,))?).await?;
//! assert_eq!(doubled, 42);
//!
//! // Ticks find out that a node cannot be reached any more, after a simulated minute.
//! cluster.partition(0, 1);
//! let result: Result<i64, _> = cluster[0].call(cluster[1].name(), Mfa::new("rust", "double", (21,))?).await;
//! assert!(result.is_err());
//! assert_eq!(cluster[0].nodes(Nodes::Visible), [cluster[2].name().clone()]);
//! # Ok(())
//! # }
//! ```
//!
//! Time is simulated where the runtime has paused it, by `#[tokio::test(start_paused = true)]` (feature `test-util` of tokio):
//! it jumps to the next timer when no task can run. Elsewhere it is real.
//!
//! No feature enables this module: the linker omits it from a program that does not use it.

use std::ops::Deref;

pub use peerl_node::testing::{Host, Network, Tables};

use crate::Node;

/// Nodes on a simulated network, connected to each other when [`cluster`] returns them.
///
/// It dereferences to a slice: `cluster[0]` is `node1@host1`.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    network: Network,
}

/// Starts `node1@host1`, `node2@host2`, … up to this number, and connects them to each other.
///
/// # Panics
/// If a node cannot be started or connected.
pub async fn cluster(count: usize) -> Cluster {
    let network = Network::new();
    let mut nodes: Vec<Node> = Vec::with_capacity(count);
    for number in 1..=count {
        let host = format!("host{number}");
        let node =
            network.on_host(&host, crate::node(format!("node{number}@{host}"))).start().await.expect("a node starts");
        for other in &nodes {
            node.connect(other.name()).await.expect("nodes of a new network connect");
        }
        nodes.push(node);
    }
    Cluster { nodes, network }
}

impl Cluster {
    /// The network, which can simulate more than [partitions](Self::partition).
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Separates two nodes, given by their indices. They notice it by missing ticks.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn partition(&self, one: usize, two: usize) {
        self.network.partition(self.host(one), self.host(two));
    }

    /// Ends a partition. The nodes connect again when one of them has something to send.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn heal(&self, one: usize, two: usize) {
        self.network.heal(self.host(one), self.host(two));
    }

    /// Returns the nodes.
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    fn host(&self, index: usize) -> &str {
        self.nodes[index].name().host()
    }
}

impl Deref for Cluster {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        &self.nodes
    }
}
