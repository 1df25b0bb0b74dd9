//! The functions that a worker serves.

use peerl_node::{Exception, Node, WeakNode};
use peerl_term::{Atom, AtomError, Term};

use crate::page_client::PageClient;

mod cluster_scrape;
mod code;
mod crypto;
mod erlang;
mod iodata;
mod net_kernel;
mod page;
mod peerl;
mod process;
mod timer;

/// What a function gives.
type Outcome = Result<Term, Exception>;

/// The release of OTP whose protocol the node speaks; tools of the BEAM read it as a number.
pub const RELEASE: &str = "27";

/// Makes all functions of a worker callable at this node, which fetches pages with this client.
pub fn register(node: &Node, pages: &PageClient) -> Result<(), AtomError> {
    page::register(node, pages)?;
    cluster_scrape::register(node, pages)?;
    code::register(node)?;
    crypto::register(node)?;
    timer::register(node)?;
    register_member(node)
}

/// Makes the functions callable by which others find out what this node is, and with whom it is connected.
pub fn register_member(node: &Node) -> Result<(), AtomError> {
    erlang::register(node)?;
    net_kernel::register(node)?;
    process::register(node)?;
    peerl::register(node)
}

/// The text of a binary or of a charlist.
fn text(term: &Term) -> Option<String> {
    match term {
        Term::Binary(bytes) => bytes.as_str().map(str::to_owned),
        Term::List(list) => list.to_text(),
        _ => None,
    }
}

/// An argument, from 1 on, that has to be an atom.
fn atom(argument: &Term, number: usize) -> Result<&Atom, Exception> {
    argument.as_atom().ok_or_else(|| Exception::bad_argument(number, "not an atom"))
}

/// The node's name as an atom.
fn node_atom(node: &Node) -> Term {
    // A node name has at most as many characters as an atom.
    Atom::new(node.name().as_str()).map_or_else(|_| Term::atom("undefined"), Term::Atom)
}

/// The node that exports a function, of which the function holds no more than this: else it would keep the node running.
fn running(node: &WeakNode) -> Result<Node, Exception> {
    node.upgrade().ok_or_else(|| Exception::exit(Term::atom("shutdown")))
}
