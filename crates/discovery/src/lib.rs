#![forbid(unsafe_code)]
//! Finding the peers of an Erlang node, and keeping the mesh joined.
//!
//! ```text
//!  Strategy ──peers──▶ Reconciler ──connect──▶ Mesh (a peerl_node::Node)
//!  who they are         what is missing          who is connected
//! ```
//!
//! * A [`Strategy`] answers one question: which nodes should be my peers now? [`strategy`] has those that are
//!   built in; [`Spec`] makes them of text (`epmd:10.0.0.1,10.0.0.2`) or of a configuration file.
//! * The [`Reconciler`] asks again and again, and connects what is new. A poll that fails or comes back empty never
//!   ends a connection that is healthy. Nor does a peer's being no longer listed: only the node itself leaves the mesh when
//!   it has not been listed for the time that [`Removal`] says.
//!
//! * A [`RemoteMesh`] is another node's mesh: a guest keeps a BEAM node joined that knows nothing of discovery, by remote
//!   calls ([`RemoteNode`]).
//!
//! What this crate does not do: speak the distribution protocol, or decide that a connection is dead. That is the
//! node's part.
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
