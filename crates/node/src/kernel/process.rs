//! What the node knows of its processes: mailboxes, links, monitors, names and aliases.

mod alias;
mod core;
mod debts;
mod info;
mod link;
mod mailbox;
mod message;
mod node_monitors;
mod table;
mod tie;
mod trace;

pub(crate) use self::core::{
    Core, EndedState, Exits, Looked, MonitorId, State as ProcessState, Taken, Watched, Watcher,
};
pub(crate) use alias::Aliases;
pub use info::{ProcessInfo, ProcessSummary};
pub(crate) use link::Links;
pub(crate) use mailbox::{Mailbox, Next};
pub use mailbox::{MailboxPolicy, Overflow};
pub use message::{Down, Exit, Message, Monitored, NodeDown, NodeUp};
pub(crate) use node_monitors::NodeMonitors;
pub(crate) use table::ProcessTable;
pub(crate) use tie::{Tie, Ties};
pub(crate) use trace::{Envelope, SequentialTrace};
