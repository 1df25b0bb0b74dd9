//! `peerl`: functions for testing a worker and listing its functions.

use peerl_node::{Exception, Node};

use super::{Extent, extensive};
use peerl_term::{AtomError, Term};

/// `peerl:echo(Term)`, which returns its argument; and `peerl:functions()`, which returns all functions exported here
/// as `{Module, Function, Arity}`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("peerl", "echo", |(term,): (Term,)| async move { Ok::<_, Exception>(term) })?;
    let functions = |node: &Node, ()| {
        Ok(Term::list(node.exports().into_iter().map(|(module, function, arity)| {
            Term::tuple([Term::Atom(module), Term::Atom(function), Term::from(arity as u64)])
        })))
    };
    extensive(node, "peerl", "functions", |node, ()| Ok(Extent::pids(2 * node.exports().len())), functions)
}
