use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_proto::channel::MessageBuffer;
use peerl_proto::connection::Payer;
use peerl_proto::control::{ErpcKind, ErpcRequest, Offered, ProcessId};
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, RawTerm, Reference, Term};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::call_error::{CallError, not_sent};
use super::reply::Reply;
use super::rex::{self, Limit};
use super::span::{calling, requested};
use crate::inner::Inner;
use crate::kernel::call::CallOrigin;
use crate::kernel::connection::{Answer, Connection, QueueError, Sender};
use crate::kernel::event::NodeDownReason;
use crate::kernel::serving::{Applied, Arguments, apply};
use crate::mfa::Mfa;
use crate::node::Node;

/// A call that is about to be made. It is made when it is awaited.
///
/// Dropping the future abandons the call: the peer's monitor is removed.
#[must_use = "a call is made when it is awaited"]
#[derive(Debug)]
pub struct Call<T> {
    node: Node,
    peer: NodeName,
    mfa: Mfa,
    dial: Dial,
    timeout: Option<Duration>,
    result: PhantomData<fn() -> T>,
}

/// Whether a peer is connected for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dial {
    IfNeeded,
    Never,
}

impl Node {
    /// Calls a function on a peer and waits for its value, as `erpc:call/4`. The peer is connected to if it is not.
    ///
    /// A node that spawns nothing for its peers (C nodes, Jinterface) is called by a message to `rex`, as `rpc` did it long
    /// ago; its program has to answer it.
    ///
    /// The value is any type that can be deserialized from it; [`Term`] takes every value.
    pub fn call<T: DeserializeOwned>(&self, peer: &NodeName, mfa: Mfa) -> Call<T> {
        Call { node: self.clone(), peer: peer.clone(), mfa, dial: Dial::IfNeeded, timeout: None, result: PhantomData }
    }

    /// Has a peer call a function, and does not wait for it, as `erpc:cast/4`.
    ///
    /// # Errors
    /// If the peer cannot be reached. Whether the function ran is not told.
    pub async fn cast(&self, peer: &NodeName, mfa: Mfa) -> Result<(), CallError> {
        self.inner.cast(peer, &mfa).await
    }

    /// Asks a peer whether it lives and takes us for authentic, as `net_adm:ping/1`. Gives the round-trip time.
    ///
    /// # Errors
    /// If the peer cannot be reached or does not answer; the BEAM's `pang`.
    pub async fn ping(&self, peer: &NodeName) -> Result<Duration, CallError> {
        self.inner.network.connect(peer).await?;
        let started = tokio::time::Instant::now();
        let question = Term::tuple([Term::atom("is_auth"), self.inner.kernel.identity.atom.clone().into()]);
        let answer: Atom = self.gen_call(("net_kernel", peer), &question).await?;
        if answer == "yes" { Ok(started.elapsed()) } else { Err(CallError::Erpc(answer.into())) }
    }
}

impl<T> Call<T> {
    /// Makes the call only if the peer is connected; if it is not, the call fails with [`CallError::NodeDown`].
    pub fn if_connected(mut self) -> Self {
        self.dial = Dial::Never;
        self
    }

    /// Sets how long to wait. Without this the wait lasts as long as the connection; a node that spawns nothing for its peers
    /// has 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Call<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { node, peer, mfa, dial, timeout, result: _ } = &self;
            calling(peer, mfa, async {
                match timeout {
                    None => make(&node.inner, peer, mfa, *dial, Limit::Unset).await,
                    Some(timeout) => within(*timeout, make(&node.inner, peer, mfa, *dial, Limit::Set)).await,
                }
            })
            .await
        })
    }
}

/// Waits for a call no longer than this. What few calls need takes no room in the future of all.
pub(crate) fn within<'a, T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, CallError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, CallError>> {
    let call = tokio::time::timeout(timeout, call);
    call.map(move |made| made.unwrap_or(Err(CallError::Timeout(timeout)))).boxed()
}

async fn make<T: DeserializeOwned>(
    node: &Arc<Inner>,
    peer: &NodeName,
    mfa: &Mfa,
    dial: Dial,
    limit: Limit,
) -> Result<T, CallError> {
    if *peer == node.kernel.identity.name {
        return Box::pin(make_here(node, mfa)).await;
    }
    let connection = match node.kernel.connections.get(peer.as_atom()) {
        Some(connection) => connection,
        None if dial == Dial::Never => return Err(CallError::NodeDown),
        None => Box::pin(node.network.connect(peer)).await?,
    };
    make_on(node, &connection, mfa, limit).await
}

async fn make_on<T: DeserializeOwned>(
    node: &Arc<Inner>,
    connection: &Arc<Connection>,
    mfa: &Mfa,
    limit: Limit,
) -> Result<T, CallError> {
    let number = node.kernel.identity.next_reference_number();
    let reference = node.kernel.identity.reference(number);
    let request = node.erpc_request(connection, &reference, mfa, ErpcKind::Call);
    let Some(request) = request else { return Box::pin(rex::call(node, connection, mfa, limit)).await };
    requested(&reference);
    let sender = Sender::call(number);
    let ready = connection.outbox.ready(sender, mfa.arguments().bytes().len());
    if ready.await.is_err() {
        return Err(connection.calls.end_of_connection().into());
    }
    connection.note_call(mfa);
    let mut pending = Pending::start(node, connection, number)?;
    send(connection, &request, sender, mfa).map_err(not_sent)?;
    match pending.answer().await {
        Answer::Down(reason) => Reply { identity: &node.kernel.identity, number, reason }.into_value(),
        other => Err(other.into()),
    }
}

async fn make_here<T: DeserializeOwned>(node: &Arc<Inner>, mfa: &Mfa) -> Result<T, CallError> {
    let value = RawTerm::from(evaluation(node, mfa).await?);
    Ok(peerl_term::serde::from_raw(&value)?)
}

/// The evaluation of a function of this node itself.
fn evaluation(node: &Inner, mfa: &Mfa) -> Applied {
    let process = &node.kernel.requester;
    let origin = CallOrigin { node: None, caller: None, calls: None, group_leader: None, process };
    apply(&node.kernel, origin, mfa.module().clone(), mfa.function().clone(), Arguments::new(mfa.arguments().clone()))
}

/// Sends the request to make a call.
fn send(
    connection: &Connection,
    request: &Offered<ErpcRequest<'_>>,
    sender: Sender,
    mfa: &Mfa,
) -> Result<(), QueueError> {
    let start = |out: &mut MessageBuffer<'_>| request.control().encode_start(out);
    connection.outbox.send_parts(sender, request, start, mfa.arguments(), ErpcRequest::END, Payer::Queue)
}

impl Connection {
    /// Notes that a function of the peer is called, which may leave processes there that have our group leader.
    fn note_call(&self, mfa: &Mfa) {
        if !self.lends_group_leader.load(Ordering::Relaxed) && mfa.may_spawn() {
            self.lends_group_leader.store(true, Ordering::Relaxed);
        }
    }
}

impl Inner {
    async fn cast(self: &Arc<Self>, peer: &NodeName, mfa: &Mfa) -> Result<(), CallError> {
        if *peer == self.kernel.identity.name {
            tokio::spawn(evaluation(self, mfa));
            return Ok(());
        }
        let connection = self.network.connect(peer).await?;
        let number = self.kernel.identity.next_reference_number();
        let reference = self.kernel.identity.reference(number);
        let request = self.erpc_request(&connection, &reference, mfa, ErpcKind::Cast);
        let Some(request) = request else { return rex::cast(self, &connection, mfa).await };
        let sender = Sender::call(number);
        if connection.outbox.ready(sender, mfa.arguments().bytes().len()).await.is_err() {
            return Err(connection.calls.end_of_connection().into());
        }
        connection.note_call(mfa);
        send(&connection, &request, sender, mfa).map_err(not_sent)
    }

    /// The request to have a function called, if the peer spawns processes for others.
    fn erpc_request<'a>(
        &'a self,
        connection: &Connection,
        reference: &'a Reference,
        mfa: &'a Mfa,
        kind: ErpcKind,
    ) -> Option<Offered<ErpcRequest<'a>>> {
        connection.forms.offer(ErpcRequest {
            reference,
            from: &self.kernel.requester,
            group_leader: self.kernel.group_leader(),
            kind,
            module: mfa.module(),
            function: mfa.function(),
        })
    }
}

/// A call that is under way. If it is dropped before the answer, the peer's monitor is removed.
struct Pending<'a> {
    node: &'a Inner,
    connection: &'a Connection,
    number: u64,
    answer: oneshot::Receiver<Answer>,
    answered: bool,
}

impl<'a> Pending<'a> {
    fn start(node: &'a Inner, connection: &'a Connection, number: u64) -> Result<Self, CallError> {
        let answer = connection.calls.start(number)?;
        Ok(Self { node, connection, number, answer, answered: false })
    }

    async fn answer(&mut self) -> Answer {
        let answer = (&mut self.answer).await.unwrap_or(Answer::Disconnected(NodeDownReason::ConnectionClosed));
        self.answered = true;
        answer
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        if let Some(spawned) = self.connection.calls.abandon_spawn(self.number) {
            let reference = self.node.kernel.identity.reference(self.number);
            let _ =
                self.connection.send_demonitor(self.node.kernel.requester.clone(), ProcessId::Pid(spawned), reference);
        }
    }
}
