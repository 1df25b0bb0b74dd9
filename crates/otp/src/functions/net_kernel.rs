//! `net_kernel` and `init`: functions by which other nodes form a mesh.

use peerl_node::{CallContext, Exception, Node, NodeName, Visibility};
use peerl_term::{AtomError, Term};

use super::{Outcome, atom, nullary, place_of};
use crate::places::Places;

/// The most pending connections on behalf of other nodes, which share them. Each times out after some seconds.
const DIALS: usize = 128;

/// `net_kernel:connect_node(Node)`, which returns whether the node is then connected;
/// `net_kernel:get_net_ticktime()`; `init:get_status()`; and `init:get_argument(Flag)`, of which only the flag `hidden` can be
/// set.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let dials = Places::new(DIALS);
    node.export("net_kernel", "connect_node", move |context: CallContext, (peer,): (Term,)| {
        let dials = dials.clone();
        async move { connect(&context, &dials, &peer).await }
    })?;
    // In seconds, like OTP.
    let ticktime = node.net_ticktime().as_secs();
    node.export("net_kernel", "get_net_ticktime", move |()| async move { Ok::<_, Exception>(Term::from(ticktime)) })?;
    nullary(node, "init", "get_status", |node| {
        let status = || Term::atom(if node.is_draining() { "stopping" } else { "started" });
        Ok(Term::tuple([status(), status()]))
    })?;
    let hidden = node.visibility() == Visibility::Hidden;
    node.export("init", "get_argument", move |(flag,): (Term,)| async move {
        let given = hidden && flag.is_atom("hidden");
        let found = || Term::tuple([Term::atom("ok"), Term::list([Term::nil()])]);
        Ok::<_, Exception>(if given { found() } else { Term::atom("error") })
    })
}

async fn connect(context: &CallContext, dials: &Places, peer: &Term) -> Outcome {
    let node = context.node()?;
    let peer = atom(peer, 1)?;
    // Like OTP: a node with an invalid name cannot be connected.
    let Ok(peer) = NodeName::new(peer.as_str()) else { return Ok(Term::from(false)) };
    if peer == *node.name() {
        return Ok(Term::from(true));
    }
    let _dial = place_of(context, dials)?;
    let asker = context.peer().unwrap_or_else(|| node.name().clone());
    let connected =
        node.connect_for(&asker, &peer).await.inspect_err(|error| tracing::info!(%peer, %error, "cannot be connected"));
    Ok(Term::from(connected.is_ok()))
}

#[cfg(test)]
mod tests {
    use peerl_node::{Epmd, Mfa, NodeBuilder};

    use super::*;

    #[tokio::test]
    async fn answers_as_otp() {
        let node = NodeBuilder::new("a@127.0.0.1").cookie("c").epmd(Epmd::Unregistered).start().await.unwrap();
        super::register(&node).unwrap();
        let call = async |module: &str, function: &str, argument: Term| {
            node.call::<Term>(node.name(), Mfa::new(module, function, (argument,)).unwrap()).await
        };
        let connect = async |argument| call("net_kernel", "connect_node", argument).await;
        assert_eq!(connect(Term::atom("a@127.0.0.1")).await.unwrap(), Term::from(true));
        assert_eq!(connect(Term::atom("nobody")).await.unwrap(), Term::from(false));
        assert_eq!(connect(Term::atom("nobody@short")).await.unwrap(), Term::from(false));
        assert!(connect(Term::from("a@127.0.0.1")).await.is_err());
        assert_eq!(call("init", "get_argument", Term::atom("hidden")).await.unwrap(), Term::atom("error"));
    }
}
