#![forbid(unsafe_code)]
//! Finds the peers of an Erlang node and keeps the mesh connected.
//!
//! ```text
//!  Strategy ──peers──▶ Reconciler ──connect──▶ Mesh (a peerl_node::Node)
//!  who they are         what is missing          who is connected
//! ```
//!
//! * A [`Strategy`] answers one question: which nodes are my peers now? [`strategy`] has the built-in ones; [`Spec`]
//!   makes them of text (`epmd:10.0.0.1,10.0.0.2`) or of a configuration file.
//! * The [`Reconciler`] polls the strategies and connects new peers. A failed or empty poll never ends a connection,
//!   and neither does the removal of a peer from the list. Only the node itself leaves the mesh, when it has not been
//!   listed for the time of the [`Removal`] policy.
//!
//! * A [`RemoteMesh`] is another node's mesh: a guest keeps a BEAM node without discovery connected, by remote calls
//!   ([`RemoteNode`]).
//!
//! The node, not this crate, speaks the distribution protocol and detects dead connections.
//!
//! ```
//! use peerl_discovery::Spec;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: Spec = "static:a@127.0.0.1,b@127.0.0.1".parse()?;
//! let peers = spec.build()?.discover().await?;
//! assert_eq!(peers.len(), 2);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "aws-client")]
pub mod aws;
mod backoff;
pub use backoff::Backoff;
mod identity;
#[cfg(feature = "ec2")]
pub use identity::Ec2Identity;
#[cfg(any(feature = "ecs", feature = "cloudmap"))]
pub use identity::EcsIdentity;
pub use identity::{HostnameIdentity, Identity, IdentityError, IpIdentity, outgoing, outgoing_far};
mod mesh;
pub use mesh::{LeaveError, Mesh, MeshError};
mod mesh_event;
pub use mesh_event::MeshEvent;
mod mesh_metrics;
pub mod naming;
pub use naming::Naming;
mod poll_state;
pub use poll_state::Novelty;
mod reconciler;
pub use reconciler::{Reconciler, Running};
mod remote_mesh;
pub use remote_mesh::RemoteMesh;
mod remote_node;
pub use remote_node::{Obstacle, RemoteError, RemoteNode};
mod removal;
pub use removal::{Removal, Standing};
pub mod spec;
pub use spec::{Spec, SpecError};
pub mod strategy;
pub use strategy::{Answer, Coverage, Peers, Strategy, StrategyError};

pub use peerl_proto::node_name::NodeName;
