//! Process groups: named sets of processes that are the same on all connected nodes, as `pg` of OTP has them.
//!
//! ```text
//!   messages of peers, nodes that come and go, ends of processes ─▶ server ─▶ state ─▶ server ─▶ messages to peers, monitors
//!                                                                               │
//!                                                                               ▼
//!                                        tasks of this program, their monitors ◀─ view
//! ```
//!
//! There is no agreement between nodes: each tells the others of its own processes, and forgets theirs when they are gone.
//! Processes of OTP 25 to 29 take part; the [`Scope`] speaks to each in the form of its release.
//!
//! | what | bound | effect |
//! |---|---|---|
//! | scope processes of another node | 16, of its share of the [memory](peerl_node::Node::memory) | further ones are not answered, with a warning |
//! | groups and members of another node | its share of the memory | further ones are left out, with a warning |
//! | processes of this node that another has join | its share of a sixty-fourth of the memory | they do not join: `{error, system_limit}` |
//! | updates that wait for a monitor | 16,384 | it is told of no more: [`UpdatesEnded::Lagging`] |
//!
//! The first warning of a kind is logged at once, and further ones are summed up.

mod functions;
mod groups;
mod message;
mod scope;
mod scopes;
mod server;
mod shared;
#[cfg(test)]
mod simulation;
mod state;
mod supervisor;
#[cfg(test)]
mod tests;
mod view;

pub use scope::{MembershipError, Scope};
pub use shared::{Updates, UpdatesEnded};
pub use view::Update;
