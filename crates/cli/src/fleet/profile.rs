//! A node's description of itself and its connections.

use std::collections::BTreeSet;

use peerl_discovery::RemoteNode;
use peerl_node::{CallError, NodeName};
use peerl_term::text::Syntax;
use serde::Serialize;

use crate::explain;
use crate::failure::Failure;

/// The properties of a node that do not change while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeProfile {
    /// The program that runs the node.
    pub kind: Kind,
    /// The OTP release, or the one whose protocol the node speaks.
    pub release: String,
    /// Whether it is hidden from the others' `nodes()`, like remote shells and other guests.
    pub hidden: bool,
    /// Whether it connects by itself to the nodes that its peers know (`-connect_all`).
    pub connect_all: bool,
}

/// The program that runs a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Erlang's virtual machine.
    Beam,
    /// `peerl worker`.
    Peerl,
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beam => "beam",
            Self::Peerl => "peerl",
        }
    }
}

/// Inspects a node: its connections and, the first time, its profile.
///
/// # Errors
/// If it does not answer.
pub(super) async fn look(
    remote: &RemoteNode,
    known: Option<NodeProfile>,
) -> Result<(NodeProfile, BTreeSet<NodeName>), Failure> {
    let mut connected =
        remote.connected().await.map_err(|error| call_failure(error, "erlang:nodes/1", remote.name()))?;
    // The guest itself is not part of the fleet.
    connected.remove(&remote.guest().name_at(remote.name()));
    let profile = match known {
        Some(profile) => profile,
        None => profile(remote).await?,
    };
    Ok((profile, connected))
}

/// The message for a failed call to a node of the fleet.
pub(crate) fn call_failure(error: CallError, called: &str, node: &NodeName) -> Failure {
    match error {
        CallError::Timeout(time) => {
            Failure::new(format!("{node} gives no answer within {}", humantime::format_duration(time)))
                .hint("it may hang or be overloaded; give it longer with --timeout")
        }
        error => explain::call(error, called, node.as_str(), Syntax::Erlang),
    }
}

async fn profile(remote: &RemoteNode) -> Result<NodeProfile, Failure> {
    let failure = |called| move |error| call_failure(error, called, remote.name());
    let (machine, release) =
        futures::try_join!(remote.machine(), remote.release()).map_err(failure("erlang:system_info/1"))?;
    let kind = if machine == "peerl" { Kind::Peerl } else { Kind::Beam };
    let hidden = remote.is_hidden().await.map_err(failure("init:get_argument/1"))?;
    let connect_all = match kind {
        Kind::Beam => remote.connects_all().await.map_err(failure("application:get_env/2"))?,
        Kind::Peerl => false,
    };
    Ok(NodeProfile { kind, release, hidden, connect_all })
}
