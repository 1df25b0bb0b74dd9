//! What a node says of itself and of its connections.

use std::collections::BTreeSet;

use peerl_discovery::RemoteNode;
use peerl_node::{CallError, NodeName};
use peerl_term::text::Syntax;
use serde::Serialize;

use crate::explain;
use crate::failure::Failure;

/// What does not change while a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nature {
    /// What runs the node.
    pub kind: Kind,
    /// The release of OTP, or that whose protocol it speaks.
    pub release: String,
    /// Whether it keeps out of the others' `nodes()`, as remote shells and other guests do.
    pub hidden: bool,
    /// Whether it connects by itself with the nodes that its peers know (`-connect_all`).
    pub connect_all: bool,
}

/// What runs a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Erlang's virtual machine.
    Beam,
    /// `peerl worker`.
    Peerl,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beam => "beam",
            Self::Peerl => "peerl",
        }
    }
}

/// A look at a node: its connections, and, at the first look, what it is.
///
/// # Errors
/// If it does not answer.
pub(super) async fn look(remote: &RemoteNode, known: Option<Nature>) -> Result<(Nature, BTreeSet<NodeName>), Failure> {
    let mut connected =
        remote.connected().await.map_err(|error| call_failure(error, "erlang:nodes/1", remote.name()))?;
    // This guest is no part of the fleet.
    connected.remove(&remote.guest().name_at(remote.name()));
    let nature = match known {
        Some(nature) => nature,
        None => nature(remote).await?,
    };
    Ok((nature, connected))
}

/// Says what is wrong with a call to a node of the fleet.
pub(crate) fn call_failure(error: CallError, called: &str, node: &NodeName) -> Failure {
    match error {
        CallError::Timeout(time) => {
            Failure::new(format!("{node} gives no answer within {}", humantime::format_duration(time)))
                .hint("it may hang or be overloaded; give it longer with --timeout")
        }
        error => explain::call(error, called, node.as_str(), Syntax::Erlang),
    }
}

async fn nature(remote: &RemoteNode) -> Result<Nature, Failure> {
    let failure = |called| move |error| call_failure(error, called, remote.name());
    let (machine, release) =
        futures::try_join!(remote.machine(), remote.release()).map_err(failure("erlang:system_info/1"))?;
    let kind = if machine == "peerl" { Kind::Peerl } else { Kind::Beam };
    let hidden = remote.is_hidden().await.map_err(failure("init:get_argument/1"))?;
    let connect_all = match kind {
        Kind::Beam => remote.connects_all().await.map_err(failure("application:get_env/2"))?,
        Kind::Peerl => false,
    };
    Ok(Nature { kind, release, hidden, connect_all })
}
