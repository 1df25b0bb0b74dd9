//! The name space and the locks that the nodes of a mesh share: OTP's `global`.
//!
//! ```text
//!   messages of peers ─▶ Event ─▶ ┌───────┐ ─▶ Action ─▶ messages, calls, monitors, connections
//!   nodes up and down ─▶ Event ─▶ │ State │
//!   requests of here  ─▶ Event ─▶ └───────┘ ─▶ Action ─▶ answers
//! ```
//!
//! [`State`] is the whole protocol without I/O: it is given what happens and the time, and gives what is to be done.
//!
//! Erlang docs: kernel, [`global`](https://www.erlang.org/doc/apps/kernel/global.html).

mod acquisition;
mod action;
mod attempt;
mod event;
mod lock;
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
mod session;
mod state;
mod syncs;

pub use action::Action;
pub use attempt::{Attempt, AttemptOutcome, Backoff};
pub use event::{Event, LinkEnd, LocalRequest};
pub use lock::LockId;
pub use message::{
    Exchange, InitConnect, InitConnectAck, KnownNode, LockSet, LostConnection, Message, NewNodes, Received, Request,
    Resolved, Version,
};
pub use method::Method;
pub use outbox::{CallId, MonitorId, RequestId, ResolutionId};
pub use random::Random;
pub use registration::{ExternalName, Operation, Registration};
pub use state::{Identity, State};

/// The name of the process that runs `global` at each node.
pub const SERVER: &str = "global_name_server";
