//! Processes and what they do to each other, here and on connected nodes. No socket, and no task that reads one: the
//! kernel is given the signals of peers, and queues signals for them.

pub(crate) mod address;
pub(crate) mod aliases;
pub(crate) mod bad_argument;
pub(crate) mod batching;
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod event;
pub(crate) mod exception;
pub(crate) mod exits;
pub(crate) mod exports;
pub(crate) mod figures;
pub(crate) mod guest_name;
pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod long_work;
pub(crate) mod lost;
mod machine_memory;
pub(crate) mod membership;
pub(crate) mod monitors;
pub(crate) mod paced_tasks;
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod reason;
pub(crate) mod repeats;
pub(crate) mod reply_tag;
pub(crate) mod router;
pub(crate) mod serving;
pub(crate) mod signal;
pub(crate) mod signals;
pub(crate) mod spans;
pub(crate) mod state;
mod table_memory;
#[cfg(test)]
mod tests;
pub(crate) mod transferred;
pub(crate) mod violation;
