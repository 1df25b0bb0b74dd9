#![forbid(unsafe_code)]
//! `Phoenix.PubSub` for Rust programs: what the processes and websockets of a Phoenix application are told, and who tells them.
//!
//! ```text
//!   PubSub::broadcast ─▶ a worker of each other node ─▶ its subscribers
//!   Subscription ◀─ worker ◀─ broadcasts of other nodes
//! ```
//!
//! It speaks with phoenix_pubsub 2.0 to 2.2 and its adapter `Phoenix.PubSub.PG2`. Each node has workers there, which are
//! members of [groups](peerl_otp::pg) named after the PubSub; who broadcasts sends the message to one worker of each node. With
//! a pool there are several groups, and a node that broadcasts chooses one of them.
//!
//! ```no_run
//! use peerl_node::{Node, Term};
//! use peerl_phoenix::NodePubSub;
//!
//! # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
//! let pubsub = node.pubsub("MyApp.PubSub").await?;
//! let mut orders = pubsub.subscribe("orders");
//! pubsub.broadcast("orders", &(Term::atom("order_created"), 7)).await?;
//! while let Ok(received) = orders.recv().await {
//!     println!("{:?}", received.message.decode()?);
//! }
//! # Ok(()) }
//! ```
//!
//! What it does not do: `Phoenix.Tracker` and `Phoenix.Presence`, and the other adapters (Redis).

mod event;
mod message;
mod pool;
mod pubsub;
mod subscription;
mod worker;

pub use event::Event;
pub use message::forward_to_local;
pub use pool::{Pool, PoolNameError, SCOPE};
pub use pubsub::{BroadcastError, NodePubSub, PubSub, StartError};
pub use subscription::{Received, Subscription, SubscriptionEnded};
