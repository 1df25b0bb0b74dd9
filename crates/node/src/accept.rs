//! Taking the connections that peers open.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use peerl_proto::handshake::LocalNode;
use peerl_proto::handshake::acceptor::Caller;
use peerl_proto::handshake::arbitration::{AttemptId, CallVerdict, UpVerdict};
use peerl_proto::node_name::NodeName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::NodeDownReason;
use crate::handshake::{self, Accepted, Decision};
use crate::node::Inner;

/// The most handshakes under way at once: whoever opens connections and says nothing cannot use up the descriptors.
const MAX_HANDSHAKES: usize = 256;

/// Takes connections until the node shuts down.
pub(crate) async fn listen(node: Arc<Inner>, listener: TcpListener) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = node.stopped.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    tracing::trace!(%address, "a peer connects");
                    let cancelled = CancellationToken::new();
                    tokio::select! {
                        () = cancelled.cancelled() => {}
                        () = shake_hands(node, stream, &cancelled) => {}
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Most likely the process has no descriptors left; some will be free again.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
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
    let mut caller_name: Option<NodeName> = None;
    let result = {
        let decide = |caller: &mut Caller| {
            let decision = decide(&node, attempt, caller, cancelled);
            if !matches!(decision, Decision::Yield | Decision::Refuse | Decision::Close) {
                caller_name = Some(caller.name().clone());
            }
            decision
        };
        let name = |_: &_| (base36(node.identity.next_reference_number()), node.random_creation());
        handshake::accept(&mut stream, &mut buffer, local, decide, name).await
    };
    let (established, acknowledgement) = match result {
        Ok(Accepted::Established(established, acknowledgement)) => (established, acknowledgement),
        Ok(Accepted::Dismissed) => {
            if let Some(peer) = caller_name {
                node.peers.closed(&peer, attempt, None);
            }
            return;
        }
        Err(error) => {
            let peer = caller_name.as_ref().map_or("?", NodeName::as_str);
            tracing::warn!(peer, %error, "rejected a connection attempt");
            if let Some(peer) = caller_name {
                node.peers.closed(&peer, attempt, None);
            }
            return;
        }
    };
    if caller_name.is_none() {
        // A peer that was given its name is in no slot yet.
        let _ = node.peers.call(attempt, &node.identity.name, &established.peer, cancelled);
    }
    match node.peers.established(&established.peer, attempt) {
        UpVerdict::Up => {}
        UpVerdict::Replaces(old) => {
            if let Some(old) = node.peers.get(established.peer.as_str()).filter(|connection| connection.id == old) {
                node.bring_down(&old, NodeDownReason::Replaced);
            }
        }
        UpVerdict::Superseded => return,
    }
    match stream.write_all(&acknowledgement).await {
        Ok(()) => node.bring_up(attempt, stream, buffer, established),
        Err(error) => {
            tracing::debug!(peer = %established.peer, %error, "the peer went away at the end of the handshake");
            node.peers.closed(&established.peer, attempt, None);
        }
    }
}

fn decide(node: &Inner, attempt: AttemptId, caller: &mut Caller, cancelled: &CancellationToken) -> Decision {
    let name = caller.name().clone();
    if name == node.identity.name || node.stopped.is_cancelled() {
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
