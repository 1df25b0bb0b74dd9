//! `code`: the node has no BEAM modules, and cannot load any.

use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};

use super::{Outcome, atom, running};

/// `code:ensure_loaded(Module)`, `is_loaded(Module)` and `which(Module)`, which remote shells and observers call
/// first; `code:all_loaded()`; `code:load_binary/3`, by which they load their own modules; `application:which_applications/0,1`; and
/// `erlang:function_exported/3`, for the functions exported here.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let error = |reason| Ok::<_, Exception>(Term::tuple([Term::atom("error"), Term::atom(reason)]));
    node.export("code", "ensure_loaded", move |(module,): (Term,)| async move {
        let wrong = || Exception::error(Term::atom("function_clause")).of_argument(1, "not an atom");
        module.as_atom().ok_or_else(wrong)?;
        error("nofile")
    })?;
    node.export("code", "is_loaded", |(module,): (Term,)| async move { atom(&module, 1).map(|_| Term::from(false)) })?;
    node.export(
        "code",
        "which",
        |(module,): (Term,)| async move { atom(&module, 1).map(|_| Term::atom("non_existing")) },
    )?;
    node.export("code", "load_binary", move |_: (Term, Term, Term)| async move { error("badarg") })?;
    node.export("code", "all_loaded", |()| async { Ok::<_, Exception>(Term::nil()) })?;
    node.export("application", "which_applications", |()| async { Ok::<_, Exception>(Term::nil()) })?;
    node.export("application", "which_applications", |_: (Term,)| async { Ok::<_, Exception>(Term::nil()) })?;
    let this = node.downgrade();
    node.export("erlang", "function_exported", move |(module, function, arity): (Term, Term, Term)| {
        let exported = running(&this).and_then(|node| exported(&node, &module, &function, &arity));
        async move { exported }
    })
}

fn exported(node: &Node, module: &Term, function: &Term, arity: &Term) -> Outcome {
    let (module, function) = (atom(module, 1)?, atom(function, 2)?);
    let arity = arity.as_integer().ok_or_else(|| Exception::bad_argument(3, "not a number"))?;
    // As at the BEAM, no function has an arity below 0.
    Ok(Term::from(usize::try_from(arity).is_ok_and(|arity| node.is_exported(module, function, arity))))
}
