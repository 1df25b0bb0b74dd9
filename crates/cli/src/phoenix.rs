//! The workers of a Phoenix.PubSub, as a node of the cluster sees them.

use std::collections::BTreeSet;

use peerl_node::{CallError, ErrorChain, Mfa, Node, NodeName, Pid};
use peerl_phoenix::{Pool, SCOPE};
use peerl_term::Term;
use peerl_term::text::Syntax;

use crate::failure::Failure;

/// The groups of a PubSub, each with its members on all nodes.
pub struct Groups(Vec<(Term, Vec<Pid>)>);

/// The name of a PubSub that the user gave.
///
/// # Errors
/// If it is none.
pub fn pool(name: &str) -> Result<Pool, Failure> {
    Pool::of(name).map_err(|error| {
        Failure::usage(error).hint("it is the name given to Phoenix.PubSub in the application's supervision tree")
    })
}

impl Groups {
    /// Asks a node.
    ///
    /// # Errors
    /// If the node cannot be called, or knows no PubSub of this name.
    pub async fn of(node: &Node, peer: &NodeName, pool: &Pool) -> Result<Self, Failure> {
        let scope = || Term::atom(SCOPE);
        let all: Vec<Term> = match node.call(peer, function("which_groups", vec![scope()])).await {
            Ok(groups) => groups,
            Err(CallError::Exception(_)) => Vec::new(),
            Err(error) => return Err(unreachable(peer, error)),
        };
        let mut groups = Vec::new();
        for group in all.iter().filter(|group| pool.contains(group)) {
            let members = node.call(peer, function("get_members", vec![scope(), group.clone()])).await;
            groups.push((group.clone(), members.map_err(|error| unreachable(peer, error))?));
        }
        if groups.is_empty() {
            return Err(unknown(peer, pool, &all));
        }
        Ok(Self(groups))
    }

    /// One worker of each node.
    pub fn workers(&self, pool: &Pool) -> Vec<Pid> {
        pool.workers(self.0.iter().map(|(group, pids)| (group, &pids[..])))
    }

    /// Whether a node has a worker in each of these groups.
    pub fn all_have(&self, node: &NodeName) -> bool {
        self.0.iter().all(|(_, pids)| pids.iter().any(|pid| pid.node == *node.as_atom()))
    }
}

fn function(name: &'static str, arguments: Vec<Term>) -> Mfa {
    Mfa::with_terms(peerl_node::Atom::from_static("pg"), peerl_node::Atom::from_static(name), arguments)
}

fn unreachable(peer: &NodeName, error: CallError) -> Failure {
    match error {
        CallError::Connect(error) => error.into(),
        other => Failure::new(format!("{peer} does not tell its process groups: {}", ErrorChain(&other))),
    }
}

fn unknown(peer: &NodeName, pool: &Pool, groups: &[Term]) -> Failure {
    let name = |name: &str| {
        Syntax::Elixir.display(&peerl_node::Atom::new(name).map_or_else(|_| Term::nil(), Term::from)).to_string()
    };
    let failure = Failure::new(format!("{peer} knows no PubSub {}", name(pool.pubsub().as_str())));
    let names = groups.iter().filter_map(|group| group.as_atom()?.as_str().strip_suffix(".Adapter"));
    let known: BTreeSet<String> = names.map(name).collect();
    match known.is_empty() {
        true => failure.hint("is it a node with phoenix_pubsub 2.x, and the adapter Phoenix.PubSub.PG2?"),
        false => failure.hint(format!("it knows {}", Vec::from_iter(known).join(", "))),
    }
}
