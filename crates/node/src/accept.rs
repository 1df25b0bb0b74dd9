//! Taking the connections that peers open.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use peerl_proto::handshake::LocalNode;
use peerl_proto::handshake::acceptor::Caller;
use peerl_proto::handshake::arbitration::{AttemptId, CallVerdict, UpVerdict};
use peerl_proto::node_name::NodeName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::NodeDownReason;
use crate::handshake::{self, Accepted, Decision};
use crate::node::Inner;

/// The most handshakes under way at once: whoever opens connections and says nothing cannot use up the descriptors,
/// nor keep others out.
const MAX_HANDSHAKES: usize = 256;

/// Takes connections until the node drains or stops; handshakes that are under way then end.
pub(crate) async fn listen(node: Arc<Inner>, listener: TcpListener) {
    let mut handshakes: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            () = node.unlisted.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                make_room(&mut handshakes);
                let node = node.clone();
                let handshake = tokio::spawn(async move {
                    tracing::trace!(%address, "a peer connects");
                    let cancelled = CancellationToken::new();
                    tokio::select! {
                        () = cancelled.cancelled() => {}
                        () = shake_hands(node, stream, &cancelled) => {}
                    }
                });
                handshakes.push_back(handshake.abort_handle());
            }
            Err(error) => {
                // Most likely the process has no descriptors left; some will be free again.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    for handshake in handshakes {
        handshake.abort();
    }
}

/// Forgets handshakes that are over; if there are still too many, the oldest is given up. A node that means it is
/// done long before it is the oldest of so many.
fn make_room(handshakes: &mut VecDeque<AbortHandle>) {
    if handshakes.len() >= MAX_HANDSHAKES {
        handshakes.retain(|handshake| !handshake.is_finished());
    }
    if handshakes.len() >= MAX_HANDSHAKES
        && let Some(oldest) = handshakes.pop_front()
    {
        oldest.abort();
    }
}

/// The place of a handshake among the attempts of its peer, once the peer has told its name; it is given back
/// however the handshake ends.
struct Place<'a> {
    node: &'a Inner,
    attempt: AttemptId,
    peer: Option<NodeName>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            self.node.peers.closed(peer, self.attempt, None);
        }
    }
}

async fn shake_hands(node: Arc<Inner>, mut stream: TcpStream, cancelled: &CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let attempt = node.peers.next_attempt();
    let mut buffer = BytesMut::new();
    let local = LocalNode::new(node.identity.name.clone(), node.identity.creation, node.flags, node.cookie.clone());
    let mut place = Place { node: &node, attempt, peer: None };
    let result = {
        let decide = |caller: &mut Caller| {
            let decision = decide(&node, attempt, caller, cancelled);
            if !matches!(decision, Decision::Yield | Decision::Refuse | Decision::Close) {
                place.peer = Some(caller.name().clone());
            }
            decision
        };
        let name = |_: &_| (base36(node.identity.next_reference_number()), node.random_creation());
        handshake::accept(&mut stream, &mut buffer, local, decide, name).await
    };
    let (established, acknowledgement) = match result {
        Ok(Accepted::Established(established, acknowledgement)) => (established, acknowledgement),
        Ok(Accepted::Dismissed) => return,
        Err(error) => {
            let peer = place.peer.as_ref().map_or("?", NodeName::as_str);
            tracing::warn!(peer, %error, "rejected a connection attempt");
            return;
        }
    };
    if place.peer.is_none() {
        // A peer that was given its name is in no slot yet.
        let _ = node.peers.call(attempt, &node.identity.name, &established.peer, cancelled);
        place.peer = Some(established.peer.clone());
    }
    if node.unlisted.is_cancelled() {
        return;
    }
    match node.peers.established(&established.peer, attempt) {
        UpVerdict::Up => {}
        UpVerdict::Replaces(old) => {
            if let Some(old) = node.peers.get(established.peer.as_atom()).filter(|connection| connection.id == old) {
                node.bring_down(&old, NodeDownReason::Replaced);
            }
        }
        UpVerdict::Superseded => return,
    }
    match stream.write_all(&acknowledgement).await {
        Ok(()) => {
            place.peer = None;
            node.bring_up(attempt, stream, buffer, established);
        }
        Err(error) => {
            tracing::debug!(peer = %established.peer, %error, "the peer went away at the end of the handshake");
        }
    }
}

fn decide(node: &Inner, attempt: AttemptId, caller: &mut Caller, cancelled: &CancellationToken) -> Decision {
    let name = caller.name().clone();
    if name == node.identity.name || node.unlisted.is_cancelled() {
        return Decision::Refuse;
    }
    caller.use_cookie(node.cookie_for(&name));
    match node.peers.call(attempt, &node.identity.name, &name, cancelled) {
        CallVerdict::Accept { .. } => Decision::Accept,
        CallVerdict::AcceptSimultaneous { .. } => Decision::AcceptSimultaneous,
        CallVerdict::Yield => Decision::Yield,
        CallVerdict::AskAlive => Decision::AskAlive,
        CallVerdict::Close => Decision::Close,
    }
}

/// A number in base 36, as OTP makes the names that it gives.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((number % 36) as u32, 36).map(|digit| digit.to_ascii_uppercase()));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::base36;

    #[test]
    fn base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(36 * 36 - 1), "ZZ");
    }
}
