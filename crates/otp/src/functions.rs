//! Functions that tools of the BEAM expect on every node, and a few more.

use peerl_node::{Exception, Node, RunningService, Service, ServiceError, WeakNode};
use peerl_term::{Atom, AtomError, Term};

mod code;
mod crypto;
mod erlang;
mod iodata;
mod net_kernel;
mod peerl;
mod process;
mod timer;

/// The result of a function.
type Outcome = Result<Term, Exception>;

/// The OTP release whose protocol the node speaks; tools of the BEAM parse it as a number.
pub const RELEASE: &str = "27";

/// Functions for peers to call, as a [service](Service) of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Functions {
    /// Those of [`export`].
    All,
    /// Those of [`export_introspection`].
    Introspection,
}

impl Service for Functions {
    fn start(self: Box<Self>, node: &Node) -> Result<Box<dyn RunningService>, ServiceError> {
        match *self {
            Self::All => export(node)?,
            Self::Introspection => export_introspection(node)?,
        }
        Ok(Box::new(()))
    }
}

/// Exports all these functions: those of [`export_introspection`], `code:which/1` and similar, `crypto:hash/2` and
/// `timer:sleep/1`.
///
/// # Errors
/// If a name is not a valid atom, which does not happen.
pub fn export(node: &Node) -> Result<(), AtomError> {
    code::register(node)?;
    crypto::register(node)?;
    timer::register(node)?;
    export_introspection(node)
}

/// Exports the functions by which other nodes learn the node's kind, processes, functions and connections: those of
/// `erlang` and `net_kernel`, and `peerl:functions/0`.
///
/// # Errors
/// If a name is not a valid atom, which does not happen.
pub fn export_introspection(node: &Node) -> Result<(), AtomError> {
    erlang::register(node)?;
    net_kernel::register(node)?;
    process::register(node)?;
    peerl::register(node)
}

/// Argument `number`, counted from 1, which must be an atom.
fn atom(argument: &Term, number: usize) -> Result<&Atom, Exception> {
    argument.as_atom().ok_or_else(|| Exception::bad_argument(number, "not an atom"))
}

/// The exporting node. Functions hold a weak reference, because a strong one would keep the node running.
pub(crate) fn running(node: &WeakNode) -> Result<Node, Exception> {
    node.upgrade().ok_or_else(|| Exception::exit(Term::atom("shutdown")))
}
