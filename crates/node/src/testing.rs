//! A simulated network: nodes of one process reach each other without sockets, over links that a test can delay, cut and
//! mend.
//!
//! In a runtime whose time is paused (`#[tokio::test(start_paused = true)]`), time is simulated too: it jumps to the next timer
//! when no task can run, so that a test of a minute takes a moment.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use peerl_node::testing::Network;
//!
//! let network = Network::new();
//! let start = |name: &str| network.node(name).start();
//! let (one, two) = (start("a@one").await.unwrap(), start("b@two").await.unwrap());
//! one.connect(two.name()).await.unwrap();
//! network.partition("one", "two");
//! # }
//! ```

mod conditions;
mod host;
mod network;
mod pipe;
mod tables;

pub use host::Host;
pub use network::Network;
pub use tables::Tables;
