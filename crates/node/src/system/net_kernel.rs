//! `net_kernel`: what pings are sent to.

use std::sync::Arc;

use peerl_term::{Atom, Term};

use super::service::{self, Service};
use crate::inner::Inner;
use crate::process::Process;
use crate::rpc::GenRequest;

pub(super) fn start(node: &Arc<Inner>) {
    service::start(node, &[Atom::from_static("net_kernel")], NetKernel);
}

struct NetKernel;

impl Service for NetKernel {
    fn handle(&mut self, process: &Process, message: Term) {
        let Ok(call) = GenRequest::from_term(message) else { return };
        if let Some(reply) = answer(process.inner(), &call.request) {
            let _ = process.reply(&call.from, &reply);
        }
    }
}

/// What OTP's `net_kernel` answers; unknown requests get no answer there either.
fn answer(node: &Inner, request: &Term) -> Option<Term> {
    match request {
        Term::Tuple(parts) => match &parts[..] {
            [kind, _] if kind.is_atom("is_auth") => Some(Term::atom("yes")),
            _ => None,
        },
        Term::Atom(name) => match name.as_str() {
            "longnames" => Some(Term::from(node.kernel.identity.name.is_long())),
            "nodename" => Some(node.kernel.identity.atom.clone().into()),
            "ticktime" => Some(Term::from(u64::try_from(node.network.net_ticktime.as_millis()).unwrap_or(u64::MAX))),
            _ => None,
        },
        _ => None,
    }
}
