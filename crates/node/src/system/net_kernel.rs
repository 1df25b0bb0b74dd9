//! `net_kernel`: what pings are sent to.

use std::sync::Arc;

use peerl_term::{Atom, Term};

use crate::node::Inner;
use crate::process::{Message, Process};
use crate::rpc::GenRequest;

pub(super) fn start(node: &Arc<Inner>) {
    let mut process = Process::start(node, Default::default());
    // Nobody else can have the name yet.
    let _ = process.register(Atom::from_static("net_kernel"));
    tokio::spawn(async move {
        while let Ok(message) = process.receive().await {
            let Message::User(payload) = message else { continue };
            let Ok(Ok(call)) = payload.decode().map(GenRequest::from_term) else { continue };
            if let Some(reply) = answer(process.inner(), &call.request) {
                let _ = process.reply(&call.from, &reply);
            }
        }
    });
}

/// What OTP's `net_kernel` answers; unknown requests get no answer there either.
fn answer(node: &Inner, request: &Term) -> Option<Term> {
    match request {
        Term::Tuple(parts) => match &parts[..] {
            [kind, _] if kind.is_atom("is_auth") => Some(Term::atom("yes")),
            _ => None,
        },
        Term::Atom(name) => match name.as_str() {
            "longnames" => Some(Term::from(node.identity.name.is_long())),
            "nodename" => Some(node.identity.atom.clone().into()),
            "ticktime" => Some(Term::from(u64::try_from(node.net_ticktime.as_millis()).unwrap_or(u64::MAX))),
            _ => None,
        },
        _ => None,
    }
}
