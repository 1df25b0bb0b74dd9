//! The name space and the locks that the nodes of a mesh share: OTP's `global`.
//!
//! ```text
//!   messages of peers ─▶ Event ─▶ ┌───────┐ ─▶ Action ─▶ messages, calls, monitors, connections
//!   nodes up and down ─▶ Event ─▶ │ State │
//!   requests of here  ─▶ Event ─▶ └───────┘ ─▶ Action ─▶ answers
//! ```
//!
//! Every node that `peerl::node` sets up has the service [`GlobalService`]; [`NodeGlobal::global`] is what its program
//! uses. [`State`] is the whole protocol without I/O: it is given what happens and the time, and gives what is to be done.
//!
//! A node that has `global` never drives another one out of the mesh: it reports no connection that has ended or could not be
//! made. The other end does; if that does not, and others still have it some seconds later, this node leaves.
//!
//! A change of a name that ends with the node that makes it has reached some nodes and not others, as in OTP, whose nodes undo
//! nothing: a name that was registered anew may be gone at one node, and that of the process before at another.
//!
//! Erlang docs: kernel, [`global`](https://www.erlang.org/doc/apps/kernel/global.html).

mod acquisition;
mod action;
mod ask;
mod attempt;
mod driver;
mod event;
mod guard;
mod handle;
mod ids;
mod lock;
mod lock_holder;
mod locker;
mod locks;
mod lost_connections;
mod mesh;
mod message;
mod method;
mod names;
mod outbox;
mod random;
mod registrar;
mod registration;
mod resolution;
mod served;
mod service;
mod session;
mod state;
mod supervisor;
mod syncs;
mod unreachable;
mod warnings;

pub use action::Action;
pub use ask::NotRunning;
pub use attempt::{Attempt, AttemptOutcome, Backoff};
pub use event::{Event, LinkEnd, LocalRequest};
pub use guard::LockGuard;
pub use handle::Global;
pub use ids::{CallId, MonitorId, RequestId, ResolutionId};
pub use lock::LockId;
pub use message::{
    Exchange, InitConnect, InitConnectAck, KnownNode, LockSet, LostConnection, Message, NewNodes, Received, Request,
    Resolved, Version,
};
pub use method::Method;
pub use random::Random;
pub use registration::{ExternalName, Operation, Registration};
pub use service::{GlobalService, NodeGlobal};
pub use state::{Identity, State};

/// The name of the process that runs `global` at each node.
pub const SERVER: &str = "global_name_server";
