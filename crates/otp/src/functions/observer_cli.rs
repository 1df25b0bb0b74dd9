//! `observer_cli`: it brings its modules to the node that it shows, and no node of this kind can load them.

use peerl_node::{CallContext, Exception, Node};
use peerl_term::{AtomError, Term};

use super::Outcome;
use super::told::tell_user;

/// `observer_cli:start(Interval)`, which observer_cli has the node call, and `observer_cli_escriptize:ensure_set_env/2`, which its
/// escript has it call later. Its user is told what else shows the node.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("observer_cli", "start", |context: CallContext, _: (Term,)| async move {
        tell_user(
            &context,
            "and cannot run observer_cli. observer and etop -tracing off show it, and erlang:memory(), erlang:processes() and \
             others answer calls by rpc",
        );
        refused()
    })?;
    node.export("observer_cli_escriptize", "ensure_set_env", |_: (Term, Term)| async { refused() })
}

fn refused() -> Outcome {
    Err(Exception::exit(Term::atom("no_modules_can_be_loaded")))
}
