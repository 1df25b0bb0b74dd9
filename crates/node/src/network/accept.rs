//! Taking the connections that peers open.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use peerl_proto::admission::{PendingConnections, Rejections};
use peerl_proto::error_chain::ErrorChain;
use peerl_proto::handshake::SetupTimer;
use peerl_proto::handshake::acceptor::{NamedInitiator, NamelessInitiator};
use peerl_proto::handshake::arbitration::{AttemptId, CallVerdict, UpVerdict};
use peerl_proto::node_name::NodeName;
use tokio::io::AsyncWriteExt;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::granted_names::GrantError;
use super::handshake::{self, Accepted, Decision};
use super::state::Network;
use super::transport::{Incoming, Listener};
use crate::kernel::clock;
use crate::kernel::event::NodeDownReason;
use crate::kernel::limits::Limits;

/// Takes connections until the node drains or stops; handshakes that are under way then end.
pub(crate) async fn listen(node: Arc<Network>, mut listener: Box<dyn Listener>) {
    let mut handshakes = Handshakes::new();
    loop {
        tokio::select! {
            biased;
            () = node.unlisted.cancelled() => return,
            never = handshakes.attend() => match never {},
            accepted = listener.accept() => match accepted {
                Ok(incoming) => handshakes.begin(node.clone(), incoming),
                Err(error) => {
                    // Most likely the process has no descriptors left; some will be free again.
                    let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                    handshakes.rejected(address, "not accepted", || tracing::warn!(%error, "cannot accept a connection"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

/// The handshakes under way, and the log of those that came to nothing.
struct Handshakes {
    tasks: JoinSet<Result<(), Rejection>>,
    pending: PendingConnections<Id, AbortHandle>,
    rejections: Rejections,
}

/// Why a connection attempt was rejected.
struct Rejection {
    address: SocketAddr,
    /// The name that the peer gave, as far as it came to that.
    peer: Option<NodeName>,
    error: handshake::Error,
}

impl Handshakes {
    fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            pending: PendingConnections::new(Limits::HANDSHAKES),
            rejections: Rejections::new(),
        }
    }

    /// Begins a handshake; the oldest one of the address with the most may have to go for it.
    fn begin(&mut self, node: Arc<Network>, incoming: Incoming) {
        let address = incoming.address;
        tracing::trace!(%address, "a peer connects");
        let task = self.tasks.spawn(async move {
            let cancelled = CancellationToken::new();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => Ok(()),
                done = shake_hands(node, incoming, &cancelled) => done,
            }
        });
        if let Some(displaced) = self.pending.admit(task.id(), task, address.ip().into()) {
            displaced.handle.abort();
            let address = displaced.origin.address();
            let text = "too many handshakes are under way: closed the oldest one of this address";
            self.rejected(address, "displaced", || tracing::warn!(%address, "{text}"));
        }
    }

    /// Sees to handshakes that end, and to the log.
    async fn attend(&mut self) -> Infallible {
        loop {
            let ended = tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => ended,
                () = due(&self.rejections) => {
                    if let Some(summary) = self.rejections.summary(clock::now()) {
                        let (count, within) = (summary.count(), summary.within());
                        tracing::warn!(count, ?within, "rejected more connection attempts: {summary}");
                    }
                    continue;
                }
            };
            match ended {
                Ok((id, Ok(()))) => self.pending.release(id),
                Ok((id, Err(Rejection { address, peer, error }))) => {
                    self.pending.release(id);
                    let peer = peer.as_ref().map(NodeName::as_str);
                    let log =
                        || tracing::warn!(%address, peer, error = %ErrorChain(&error), "rejected a connection attempt");
                    self.rejected(address.ip(), error.kind(), log);
                }
                Err(error) => self.pending.release(error.id()),
            }
        }
    }

    fn rejected(&mut self, address: IpAddr, kind: &'static str, log: impl FnOnce()) {
        if self.rejections.is_first(address, kind, clock::now()) {
            log();
        }
    }
}

/// Waits until there is a summary to tell.
async fn due(rejections: &Rejections) {
    match rejections.due() {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// The attempt among those of its peer, once the peer has told its name. It is closed when the handshake ends, in any way.
struct OpenAttempt<'a> {
    node: &'a Network,
    attempt: AttemptId,
    peer: Option<NodeName>,
}

impl Drop for OpenAttempt<'_> {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            self.node.attempts.closed(peer, self.attempt, None);
        }
    }
}

async fn shake_hands(node: Arc<Network>, incoming: Incoming, cancelled: &CancellationToken) -> Result<(), Rejection> {
    let address = incoming.address;
    let mut stream = timeout(SetupTimer::DEFAULT_STEP, incoming.stream)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| Rejection { address, peer: None, error: error.into() })?;
    let attempt = node.attempts.next_attempt();
    let mut buffer = BytesMut::new();
    let local = node.local_node(node.kernel.identity.name.clone(), node.cookie.clone());
    let mut open = OpenAttempt { node: &node, attempt, peer: None };
    let mut claimed = None;
    let mut grant = None;
    let result = {
        let decide = |caller: &mut NamedInitiator| {
            claimed = Some(caller.name().clone());
            let decision = decide(&node, attempt, caller, cancelled);
            if let Decision::Answer(verdict) = &decision
                && !matches!(verdict, CallVerdict::Yield | CallVerdict::Close)
            {
                open.peer = Some(caller.name().clone());
            }
            decision
        };
        let name = |caller: &NamelessInitiator| -> Result<_, GrantError> {
            let given = grant.insert(node.grant_name(caller.host())?);
            Ok((given.name().name().to_owned(), given.creation()))
        };
        handshake::accept(&mut stream, &mut buffer, local, &node.random, decide, name).await
    };
    let (established, acknowledgement) = match result {
        Ok(Accepted::Established(established, acknowledgement)) => (established, acknowledgement),
        Ok(Accepted::Dismissed) => return Ok(()),
        Err(error) => return Err(Rejection { address, peer: claimed, error }),
    };
    if let Some(grant) = &mut grant {
        grant.is_used();
    }
    if open.peer.is_none() {
        // A peer that was given its name is in no slot yet.
        let _ = node.attempts.call(attempt, &node.kernel.identity.name, &established.peer, cancelled);
        open.peer = Some(established.peer.clone());
    }
    if node.unlisted.is_cancelled() {
        return Ok(());
    }
    match node.attempts.established(&established.peer, attempt) {
        UpVerdict::Up => {}
        UpVerdict::Replaces(old) => {
            if let Some(old) =
                node.kernel.connections.get(established.peer.as_atom()).filter(|connection| connection.id == old)
            {
                node.bring_down(&old, NodeDownReason::Replaced);
            }
        }
        UpVerdict::Superseded => return Ok(()),
    }
    match stream.write.write_all(&acknowledgement).await {
        Ok(()) => {
            open.peer = None;
            let name = node.kernel.identity.name.clone();
            node.bring_up(attempt, stream, buffer, established, name, grant);
        }
        Err(error) => {
            tracing::debug!(peer = %established.peer, %error, "the peer went away at the end of the handshake");
        }
    }
    Ok(())
}

fn decide(node: &Network, attempt: AttemptId, caller: &mut NamedInitiator, cancelled: &CancellationToken) -> Decision {
    let name = caller.name().clone();
    if name == node.kernel.identity.name || node.unlisted.is_cancelled() {
        return Decision::Refuse;
    }
    caller.use_cookie(node.cookie_for(&name));
    Decision::Answer(node.attempts.call(attempt, &node.kernel.identity.name, &name, cancelled))
}
