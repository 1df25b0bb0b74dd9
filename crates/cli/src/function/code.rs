//! `code`: there are no modules of a BEAM here, and none can be loaded.

use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};

use super::{Outcome, running};

/// `code:ensure_loaded(Module)`, which remote shells and observers ask before they begin; `code:load_binary/3`, by which they
/// bring modules of their own; and `erlang:function_exported/3`, which tells what is exported here.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let error = |reason| Ok::<_, Exception>(Term::tuple([Term::atom("error"), Term::atom(reason)]));
    node.export("code", "ensure_loaded", 1, move |(module,): (Term,)| async move {
        module.as_atom().ok_or_else(|| Exception::error(Term::atom("function_clause")))?;
        error("nofile")
    })?;
    node.export("code", "load_binary", 3, move |_: (Term, Term, Term)| async move { error("badarg") })?;
    let this = node.downgrade();
    node.export("erlang", "function_exported", 3, move |(module, function, arity): (Term, Term, Term)| {
        let exported = running(&this).and_then(|node| exported(&node, &module, &function, &arity));
        async move { exported }
    })
}

fn exported(node: &Node, module: &Term, function: &Term, arity: &Term) -> Outcome {
    let (Some(module), Some(function)) = (module.as_atom(), function.as_atom()) else {
        return Err(Exception::badarg());
    };
    let arity = arity.as_integer().and_then(|arity| usize::try_from(arity).ok()).ok_or_else(Exception::badarg)?;
    Ok(Term::from(node.is_exported(module, function, arity)))
}
