//! `erlang`: information about the node.

use std::collections::BTreeSet;

use peerl_node::{CallContext, Exception, Node, NodeName, Nodes};

use peerl_term::{Atom, AtomError, Term};

use super::{Outcome, atom, binary, elements, nullary, unary};

/// `erlang:node/0`, `nodes/0,1` and `disconnect_node/1`; and `ports/0` and `port_info/1,2`: there are no ports.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    nullary(node, "erlang", "node", |node| Ok(Term::Atom(node.name().as_atom().clone())))?;
    nullary(node, "erlang", "nodes", |node| Ok(atoms(node.nodes(Nodes::Visible))))?;
    unary(node, "erlang", "nodes", nodes)?;
    node.export("erlang", "disconnect_node", |context: CallContext, (peer,): (Term,)| async move {
        disconnect(&context, &peer)
    })?;
    nullary(node, "erlang", "ports", |_| Ok(Term::nil()))?;
    unary(node, "erlang", "port_info", |_, port| port_info(port))?;
    binary(node, "erlang", "port_info", |_, port, _| port_info(port))
}

/// That of a port that has been closed.
fn port_info(port: &Term) -> Outcome {
    match port {
        // An atom may be the name of one.
        Term::Port(_) | Term::Atom(_) => Ok(Term::atom("undefined")),
        _ => Err(Exception::bad_argument(1, "not a port")),
    }
}

/// Like the BEAM, returns whether there was a connection. A peer disconnects only its own node: who is connected is not for others
/// to say.
fn disconnect(context: &CallContext, peer: &Term) -> Outcome {
    let asked = atom(peer, 1)?;
    let own = context.peer().filter(|peer| peer.as_atom() == asked);
    let node = context.node()?;
    Ok(Term::from(own.is_some_and(|peer| node.disconnect(&peer))))
}

pub(super) fn nodes(node: &Node, which: &Term) -> Outcome {
    // Each kind is looked for once, however often it is asked for.
    let (mut this, mut visible, mut hidden) = (false, false, false);
    for (kind, place) in elements(which) {
        match kind.as_atom().map(|kind| kind.as_str()) {
            Some("visible") => visible = true,
            Some("hidden") => hidden = true,
            Some("connected") => (visible, hidden) = (true, true),
            Some("this") => this = true,
            Some("known") => (this, visible, hidden) = (true, true, true),
            _ => return Err(Exception::bad_argument(1, &format!("{place}no kind of nodes"))),
        }
    }
    let kinds = [(this, Nodes::This), (visible, Nodes::Visible), (hidden, Nodes::Hidden)];
    let wanted = kinds.into_iter().filter(|(is_wanted, _)| *is_wanted);
    Ok(atoms(wanted.flat_map(|(_, kind)| node.nodes(kind)).collect::<BTreeSet<_>>()))
}

pub(super) fn atoms(nodes: impl IntoIterator<Item = NodeName>) -> Term {
    Term::list(nodes.into_iter().filter_map(|node| Atom::new(node.as_str()).ok()).map(Term::Atom))
}
