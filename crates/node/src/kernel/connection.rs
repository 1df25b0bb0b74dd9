//! A connection that is up: the state that its reader, its writer and all senders share.

mod answers;
mod calls;
mod fitness;
mod monitors;
mod outbox;
mod short_wait;
mod signals;

pub(crate) use answers::Answers;
pub(crate) use calls::{Answer, Calls};
pub(crate) use monitors::{Added, Monitors};
pub(crate) use outbox::{Outbox, Timing};
pub use short_wait::ShortWait;

pub(crate) use peerl_proto::connection::{QueueError, Sender};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use peerl_proto::budget::{FixedLease, Share};
use peerl_proto::channel::Rename;
use peerl_proto::control::Forms;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::Established;
use peerl_proto::handshake::arbitration::AttemptId;
use peerl_proto::node_name::NodeName;
use peerl_term::Atom;
use tokio_util::sync::CancellationToken;

use crate::kernel::event::{ConnectionId, Visibility};
use crate::kernel::figures::ConnectionCounts;
use crate::kernel::identity::Identity;
use crate::kernel::limits::Limits;
use crate::kernel::long_work;
use crate::kernel::process::Ties;
use crate::kernel::serving::PeerCalls;
use crate::kernel::transferred::TransferCounter;

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: AttemptId,
    pub(crate) peer: NodeName,
    pub(crate) atom: Atom,
    pub(crate) creation: u32,
    /// The name by which the peer knows this node.
    pub(crate) own_name: NodeName,
    pub(crate) flags: DistributionFlags,
    pub(crate) forms: Forms,
    pub(crate) outbox: Outbox,
    pub(crate) calls: Calls,
    pub(crate) served: Arc<PeerCalls>,
    /// The bytes that are kept for the peer.
    pub(crate) memory: Arc<Share>,
    /// Those that the connection itself takes.
    own_memory: Option<FixedLease<{ Limits::CONNECTION }>>,
    pub(crate) answers: Answers,
    pub(crate) monitors: Monitors,
    pub(crate) ties: Arc<Ties>,
    pub(crate) transferred: TransferCounter,
    pub(crate) counts: ConnectionCounts,
    /// Whether processes of the peer may have this node's group leader.
    pub(crate) lends_group_leader: AtomicBool,
    /// Whether it should be renewed when nothing is under way.
    pub(crate) is_worn: AtomicBool,
    /// Cancels the reader and the writer.
    pub(crate) closed: CancellationToken,
    /// Held while messages of the peer are delivered.
    delivery: Mutex<()>,
}

/// What a connection has of its node.
pub(crate) struct NodeSide<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) limits: &'a Limits,
    /// The calls that the peer will make.
    pub(crate) served: Arc<PeerCalls>,
    /// The bytes that will be kept for it.
    pub(crate) memory: Arc<Share>,
}

impl Connection {
    pub(crate) fn new(
        id: AttemptId,
        atom: Atom,
        established: &Established,
        own_name: NodeName,
        timing: Timing,
        node: NodeSide<'_>,
    ) -> Self {
        let Identity { name, atom: own, .. } = node.identity;
        let rename =
            (own_name != *name).then(|| Rename { own: own.clone(), on_connection: own_name.as_atom().clone() });
        Self {
            id,
            peer: established.peer.clone(),
            atom,
            creation: established.creation,
            own_name,
            flags: established.flags,
            forms: Forms::new(established.flags),
            outbox: Outbox::new(established.flags, rename, node.limits.queued, &node.memory, timing),
            calls: Calls::default(),
            own_memory: FixedLease::of(&node.memory),
            memory: node.memory.clone(),
            answers: Answers::default(),
            monitors: Monitors::new(node.memory),
            ties: Arc::default(),
            transferred: TransferCounter::default(),
            counts: ConnectionCounts::default(),
            lends_group_leader: AtomicBool::new(false),
            is_worn: AtomicBool::new(false),
            closed: node.served.closed.clone(),
            served: node.served,
            delivery: Mutex::new(()),
        }
    }

    /// Whether there is memory for the connection itself.
    pub(crate) fn has_room(&self) -> bool {
        self.own_memory.is_some()
    }

    /// The bytes that are kept for the peer, beside those of the connection itself.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.memory.taken().saturating_sub(if self.has_room() { Limits::CONNECTION } else { 0 })
    }

    /// Delivers messages of the peer, unless the connection has ended.
    pub(crate) fn while_up<T>(&self, deliver: impl FnOnce() -> T) -> Option<T> {
        let _held = self.delivery.lock();
        (!self.closed.is_cancelled()).then(deliver)
    }

    /// Ends the connection: both tasks stop, nothing can be sent, and nothing is delivered when this returns. Returns whether it
    /// was open.
    pub(crate) fn close(&self) -> bool {
        let first = self.outbox.close();
        self.closed.cancel();
        let is_delivering = self.delivery.try_lock().is_none();
        if is_delivering {
            // A message that takes long, perhaps.
            long_work::wait(|| drop(self.delivery.lock()));
        }
        first
    }

    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId(self.id.0)
    }

    pub(crate) fn visibility(&self) -> Visibility {
        if self.flags.contains(DistributionFlags::PUBLISHED) { Visibility::Visible } else { Visibility::Hidden }
    }
}
