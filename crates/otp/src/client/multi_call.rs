use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use peerl_node::{Atom, Node, NodeName, Term};
use peerl_term::AtomError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ServerRef;

/// A call of the servers of one name at several nodes, as `gen_server:multi_call/4`, when it is awaited.
#[must_use = "the calls are made when this is awaited"]
#[derive(Debug)]
pub struct MultiCall<T> {
    servers: Vec<(NodeName, ServerRef)>,
    request: Result<Term, peerl_term::serde::Error>,
    timeout: Option<Duration>,
    reply: PhantomData<fn() -> T>,
}

/// The answers to a [`MultiCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replies<T> {
    /// The replies, in the order of the nodes.
    pub replies: Vec<(NodeName, T)>,
    /// The nodes whose server is not there, has ended, has not answered in time, or has given a reply of another type.
    pub bad_nodes: Vec<NodeName>,
}

/// Calls the servers that have this name at these nodes, like `gen_server:multi_call/3`.
///
/// # Errors
/// If the name is too long for an atom.
pub fn multi_call<T: DeserializeOwned>(
    node: &Node,
    peers: &[NodeName],
    name: &str,
    request: &impl Serialize,
) -> Result<MultiCall<T>, AtomError> {
    let servers = servers(node, peers, name)?;
    let request = peerl_term::serde::to_term(request);
    Ok(MultiCall { servers, request, timeout: None, reply: PhantomData })
}

impl<T> MultiCall<T> {
    /// Sets how long to wait for all of them. Without this the wait lasts until each has answered or ended.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for MultiCall<T> {
    type Output = Result<Replies<T>, peerl_term::serde::Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let Self { servers, request, timeout, reply: _ } = self;
            let request = request?;
            let answers = join_all(servers.into_iter().map(|(peer, server)| {
                let call = server.call::<T>(&request);
                let call = timeout.map_or(call, |limit| server.call(&request).timeout(limit));
                call.into_future().map(|answer| (peer, answer))
            }));
            let mut replies = Replies { replies: Vec::new(), bad_nodes: Vec::new() };
            for (peer, answer) in answers.await {
                match answer {
                    Ok(reply) => replies.replies.push((peer, reply)),
                    Err(_) => replies.bad_nodes.push(peer),
                }
            }
            Ok(replies)
        }
        .boxed()
    }
}

/// Casts a request to the servers that have this name at these nodes, like `gen_server:abcast/3`. Nothing tells whether it
/// arrives.
///
/// # Errors
/// If the name is too long for an atom.
pub async fn abcast(
    node: &Node,
    peers: &[NodeName],
    name: &str,
    request: &(impl Serialize + Sync),
) -> Result<(), AtomError> {
    let servers = servers(node, peers, name)?;
    // A node that cannot be reached gets none, as in Erlang.
    join_all(servers.iter().map(|(_, server)| server.cast(request))).await;
    Ok(())
}

fn servers(node: &Node, peers: &[NodeName], name: &str) -> Result<Vec<(NodeName, ServerRef)>, AtomError> {
    let name = Atom::new(name)?;
    let server = |peer: &NodeName| ServerRef::new(node, (name.clone(), peer.clone()));
    Ok(peers.iter().map(|peer| (peer.clone(), server(peer))).collect())
}
