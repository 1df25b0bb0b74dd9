use std::future::IntoFuture;

use futures::future::join_all;
use peerl_proto::node_name::NodeName;
use serde::de::DeserializeOwned;

use super::CallError;
use crate::mfa::Mfa;
use crate::node::Node;

impl Node {
    /// Calls a function on several peers at once; gives the results in the order of the peers, as
    /// `erpc:multicall/4`.
    pub async fn multicall<T: DeserializeOwned + 'static>(
        &self,
        peers: &[NodeName],
        mfa: Mfa,
    ) -> Vec<Result<T, CallError>> {
        join_all(peers.iter().map(|peer| self.call(peer, mfa.clone()).into_future())).await
    }
}
