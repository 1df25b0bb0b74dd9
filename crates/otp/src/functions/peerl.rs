//! `peerl`: functions for testing a worker and listing its functions.

use peerl_node::{Exception, Node};

use super::running;
use peerl_term::{AtomError, Term};

/// `peerl:echo(Term)`, which returns its argument; and `peerl:functions()`, which returns all functions exported here
/// as `{Module, Function, Arity}`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("peerl", "echo", |(term,): (Term,)| async move { Ok::<_, Exception>(term) })?;
    let this = node.downgrade();
    node.export("peerl", "functions", move |()| {
        let functions = running(&this).map(|node| {
            Term::list(node.exports().into_iter().map(|(module, function, arity)| {
                Term::tuple([Term::Atom(module), Term::Atom(function), Term::from(arity as u64)])
            }))
        });
        async move { functions }
    })
}
