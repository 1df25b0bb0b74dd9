//! What a node says of itself and of its connections.

use std::collections::BTreeSet;

use peerl_discovery::RemoteNode;
use peerl_node::{CallError, NodeName};
use peerl_term::Term;
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
    let connected = remote.connected().await.map_err(|error| call_failure(error, "erlang:nodes/1", remote.name()))?;
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
    let ask = async |module, function, arguments: &[&'static str]| {
        let called = format!("{module}:{function}/{}", arguments.len());
        let terms = arguments.iter().map(|argument| Term::atom(argument)).collect();
        let answer: Result<Term, CallError> = remote.call(module, function, terms).await;
        answer.map_err(|error| call_failure(error, &called, remote.name()))
    };
    let (machine, release) =
        futures::try_join!(ask("erlang", "system_info", &["machine"]), ask("erlang", "system_info", &["otp_release"]))?;
    let kind = if text(&machine) == "peerl" { Kind::Peerl } else { Kind::Beam };
    let hidden = ask("init", "get_argument", &["hidden"]).await?;
    let connect_all = match kind {
        Kind::Beam => ask("application", "get_env", &["kernel", "connect_all"]).await?,
        Kind::Peerl => Term::tuple([Term::atom("ok"), Term::from(false)]),
    };
    Ok(Nature {
        kind,
        release: text(&release),
        hidden: hidden.as_tuple().is_some(),
        connect_all: connect_all.as_tuple().is_none_or(|found| found.last() != Some(&Term::from(false))),
    })
}

fn text(term: &Term) -> String {
    match term {
        Term::List(list) => list.to_text().unwrap_or_default(),
        _ => String::new(),
    }
}
