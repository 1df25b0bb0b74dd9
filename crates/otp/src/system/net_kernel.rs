//! `net_kernel`: what pings are sent to.

use peerl_node::{Atom, GenRequest, Node, Pid, ServiceError};
use peerl_term::Term;

use super::process::{self, Received, SystemProcess};

pub(super) fn start(node: &Node) -> Result<Pid, ServiceError> {
    let ticktime = u64::try_from(node.net_ticktime().as_millis()).unwrap_or(u64::MAX);
    let net_kernel = NetKernel { name: node.name().as_atom().clone(), has_long_name: node.name().is_long(), ticktime };
    process::start(node, &["net_kernel"], net_kernel)
}

struct NetKernel {
    name: Atom,
    has_long_name: bool,
    /// In milliseconds.
    ticktime: u64,
}

impl SystemProcess for NetKernel {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Ok(call) = GenRequest::from_term(message) else { return };
        if let Some(reply) = self.answer(&call.request) {
            let _ = received.process.reply(&call.from, &reply);
        }
    }
}

impl NetKernel {
    /// What OTP's `net_kernel` answers; unknown requests get no answer there either.
    fn answer(&self, request: &Term) -> Option<Term> {
        match request {
            Term::Tuple(parts) => match &parts[..] {
                [kind, _] if kind.is_atom("is_auth") => Some(Term::atom("yes")),
                _ => None,
            },
            Term::Atom(name) => match name.as_str() {
                "longnames" => Some(Term::from(self.has_long_name)),
                "nodename" => Some(self.name.clone().into()),
                "ticktime" => Some(Term::from(self.ticktime)),
                _ => None,
            },
            _ => None,
        }
    }
}
