//! The functions that tools of the BEAM expect at every node, and some that are useful at each.

use peerl_node::{Exception, Node, WeakNode};
use peerl_term::{Atom, AtomError, Term};

mod code;
mod crypto;
mod erlang;
mod iodata;
mod net_kernel;
mod peerl;
mod process;
mod timer;

/// What a function gives.
type Outcome = Result<Term, Exception>;

/// The release of OTP whose protocol the node speaks; tools of the BEAM read it as a number.
pub const RELEASE: &str = "27";

/// Makes all these functions callable at a node: those of [`export_introspection`], `code:which/1` and its kin,
/// `crypto:hash/2` and `timer:sleep/1`.
///
/// # Errors
/// If a name is none of an atom, which does not happen.
pub fn export(node: &Node) -> Result<(), AtomError> {
    code::register(node)?;
    crypto::register(node)?;
    timer::register(node)?;
    export_introspection(node)
}

/// Makes the functions callable by which others find out what a node is, which processes it has, what can be called there,
/// and with whom it is connected: those of `erlang` and `net_kernel`, and `peerl:functions/0`.
///
/// # Errors
/// If a name is none of an atom, which does not happen.
pub fn export_introspection(node: &Node) -> Result<(), AtomError> {
    erlang::register(node)?;
    net_kernel::register(node)?;
    process::register(node)?;
    peerl::register(node)
}

/// An argument, from 1 on, that has to be an atom.
fn atom(argument: &Term, number: usize) -> Result<&Atom, Exception> {
    argument.as_atom().ok_or_else(|| Exception::bad_argument(number, "not an atom"))
}

/// The node that exports a function, of which the function holds no more than this: else it would keep the node running.
fn running(node: &WeakNode) -> Result<Node, Exception> {
    node.upgrade().ok_or_else(|| Exception::exit(Term::atom("shutdown")))
}
