//! `peerl`: functions for finding out whether and what a worker serves.

use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};

/// `peerl:echo(Term)`, which gives its argument back, whatever it is; and `peerl:functions()`, which gives all
/// functions that can be called here as `{Module, Function, Arity}`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("peerl", "echo", 1, |(term,): (Term,)| async move { Ok::<_, Exception>(term) })?;
    let this = node.clone();
    node.export("peerl", "functions", 0, move |_: Vec<Term>| {
        let functions = this.exports().into_iter().map(|(module, function, arity)| {
            Term::tuple([Term::Atom(module), Term::Atom(function), Term::from(arity as u64)])
        });
        let functions = Term::list(functions);
        async move { Ok::<_, Exception>(functions) }
    })
}
