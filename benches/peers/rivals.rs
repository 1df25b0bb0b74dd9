//! Other crates that call BEAM nodes.

use std::sync::Arc;

use erl_dist::term::{FixInteger, List};
use peerl_node::NodeName;
use peerl_test_support::{COOKIE, unique_name};

/// The client of `erl_rpc`.
#[derive(Clone)]
pub(crate) struct ErlRpc {
    handle: erl_rpc::RpcClientHandle,
}

impl ErlRpc {
    pub(crate) async fn connect(peer: &NodeName, port: u16) -> Result<Self, String> {
        let client = erl_rpc::RpcClient::connect_with_port(peer.as_str(), port, COOKIE).await;
        let client = client.map_err(|error| error.to_string())?;
        let handle = client.handle();
        tokio::spawn(async move {
            let _ = client.run().await;
        });
        Ok(Self { handle })
    }

    /// `erpc:call(Peer, bench, echo, [1])`.
    pub(crate) async fn call(mut self) {
        let argument = List::from(vec![FixInteger::from(1).into()]);
        self.handle.call("bench".into(), "echo".into(), argument).await.expect("an answer");
    }
}

/// A node of `edp_node`.
#[derive(Clone)]
pub(crate) struct EdpNode {
    node: Arc<edp_node::Node>,
    peer: String,
}

impl EdpNode {
    /// Connects; the reason, if it cannot.
    pub(crate) async fn connect(peer: &NodeName, epmd_port: u16) -> Result<Self, String> {
        // It only uses the EPMD at this port.
        if epmd_port != 4369 {
            return Err("takes part only with `--epmd-port 4369 --otp 27`".to_owned());
        }
        let mut node = edp_node::Node::new_hidden(format!("{}@127.0.0.1", unique_name("edp")), COOKIE);
        node.start(1).await.map_err(|error| error.to_string())?;
        node.connect(peer.as_str()).await.map_err(|error| error.to_string())?;
        Ok(Self { node: Arc::new(node), peer: peer.as_str().to_owned() })
    }

    /// `rpc:call(Peer, bench, echo, [1])`, through `rex`.
    pub(crate) async fn call(self) {
        let argument = erltf::OwnedTerm::Integer(1);
        self.node.rpc_call(&self.peer, "bench", "echo", vec![argument]).await.expect("an answer");
    }
}
