//! Functions of Elixir's modules `Process` and `Node`, by which its programs look at the processes of other nodes.

use peerl_node::{Node, Nodes};
use peerl_term::{AtomError, Term};

use super::erlang::{atoms, nodes};
use super::process::{extent_of, extent_of_all, info, info_of, is_alive, register_lists, whereis};
use super::{extensive, nullary, unary};

/// `Process.info/1,2`, `alive?/1`, `list/0`, `registered/0` and `whereis/1`; `Node.self/0`, `alive?/0` and `list/0,1`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    const PROCESS: &str = "Elixir.Process";
    const NODE: &str = "Elixir.Node";
    extensive(node, PROCESS, "info", extent_of_all, |node, (pid,)| info(node, &pid).map(or_nil))?;
    extensive(node, PROCESS, "info", extent_of, |node, (pid, item)| {
        let value = info_of(node, &pid, &item)?;
        let unnamed = item.is_atom("registered_name") && value == Term::nil();
        Ok(if unnamed { Term::tuple([item.clone(), Term::nil()]) } else { or_nil(value) })
    })?;
    unary(node, PROCESS, "alive?", is_alive)?;
    register_lists(node, PROCESS, "list")?;
    unary(node, PROCESS, "whereis", |node, name| whereis(node, name).map(or_nil))?;
    nullary(node, NODE, "self", |node| Ok(Term::Atom(node.name().as_atom().clone())))?;
    nullary(node, NODE, "alive?", |_| Ok(Term::from(true)))?;
    nullary(node, NODE, "list", |node| Ok(atoms(node.nodes(Nodes::Visible))))?;
    unary(node, NODE, "list", nodes)
}

/// Elixir has `nil` for `undefined`.
fn or_nil(value: Term) -> Term {
    if value.is_atom("undefined") { Term::atom("nil") } else { value }
}
