use std::future::IntoFuture;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use peerl_proto::node_name::NodeName;
use serde::de::DeserializeOwned;

use super::{Call, CallError};
use crate::mfa::Mfa;
use crate::node::Node;

/// Calls of one function on several peers that are about to be made. They are made when this is awaited, which gives the results
/// in the order of the peers.
#[must_use = "the calls are made when this is awaited"]
#[derive(Debug)]
pub struct Multicall<T> {
    calls: Vec<Call<T>>,
}

impl Node {
    /// Calls a function on several peers at once, as `erpc:multicall/4`.
    pub fn multicall<T: DeserializeOwned>(&self, peers: &[NodeName], mfa: Mfa) -> Multicall<T> {
        Multicall { calls: peers.iter().map(|peer| self.call(peer, mfa.clone())).collect() }
    }
}

impl<T> Multicall<T> {
    /// Sets how long to wait for all of them, as `erpc:multicall/5`.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { calls: self.calls.into_iter().map(|call| call.timeout(timeout)).collect() }
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Multicall<T> {
    type Output = Vec<Result<T, CallError>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        join_all(self.calls.into_iter().map(IntoFuture::into_future)).boxed()
    }
}
