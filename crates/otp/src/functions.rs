//! Functions that tools of the BEAM expect on every node, and a few more.

use std::fmt;
use std::sync::Arc;

use peerl_node::{
    Arguments, CallContext, Exception, Functions as Scope, Lease, Node, Pid, RawCall, RunningService, Service,
    ServiceError, WeakNode,
};
use peerl_term::{Atom, AtomError, Encoded, Term};

use crate::places::Places;

mod appmon_info;
mod code;
mod crypto;
mod dbg;
mod elixir;
mod erlang;
mod iodata;
mod memory;
mod net_kernel;
mod observer_backend;
mod observer_cli;
mod peerl;
mod process;
mod shell;
mod statistics;
mod system_info;
mod timer;
mod told;

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
    appmon_info::register(node)?;
    dbg::register(node)?;
    elixir::register(node)?;
    erlang::register(node)?;
    memory::register(node)?;
    net_kernel::register(node)?;
    observer_backend::register(node)?;
    observer_cli::register(node)?;
    process::register(node)?;
    shell::register(node)?;
    statistics::register(node)?;
    system_info::register(node)?;
    peerl::register(node)
}

/// Exports a function without arguments.
fn nullary(
    node: &Node,
    module: &str,
    name: &str,
    function: impl Fn(&Node) -> Outcome + Send + Sync + 'static,
) -> Result<(), AtomError> {
    let this = node.downgrade();
    node.export(module, name, move |()| {
        let outcome = running(&this).and_then(|node| function(&node));
        async move { outcome }
    })
}

/// Exports a function of one argument.
fn unary(
    node: &Node,
    module: &str,
    name: &str,
    function: impl Fn(&Node, &Term) -> Outcome + Send + Sync + 'static,
) -> Result<(), AtomError> {
    let this = node.downgrade();
    node.export(module, name, move |(argument,): (Term,)| {
        let outcome = running(&this).and_then(|node| function(&node, &argument));
        async move { outcome }
    })
}

/// Exports a function of two arguments.
fn binary(
    node: &Node,
    module: &str,
    name: &str,
    function: impl Fn(&Node, &Term, &Term) -> Outcome + Send + Sync + 'static,
) -> Result<(), AtomError> {
    let this = node.downgrade();
    node.export(module, name, move |(one, two): (Term, Term)| {
        let outcome = running(&this).and_then(|node| function(&node, &one, &two));
        async move { outcome }
    })
}

/// Takes a place for the peer that calls, until what this returns is dropped.
fn place_of(context: &CallContext, places: &Places) -> Result<Lease, Exception> {
    let (own, peer) = (context.node()?, context.peer());
    places.take(peer.as_ref().unwrap_or(own.name()).as_atom()).ok_or_else(Exception::system_limit)
}

/// How much it takes to make a value.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// The number of steps, each of about a microsecond.
    steps: usize,
    /// The most bytes of memory, those of the encoded value included.
    bytes: usize,
}

impl Extent {
    /// The extent of a list of so many pids, or other terms of their size.
    const fn pids(number: usize) -> Self {
        const PID: usize = 200;
        Self { steps: number, bytes: number.saturating_mul(PID) }
    }
}

/// Exports a function whose value may be far larger than its arguments. `extent` tells how large it is at most: the value is made once
/// there is memory for it in the caller's share, and where no other calls wait for it.
fn extensive<A: Arguments + Send + 'static>(
    node: &Node,
    module: &str,
    name: &str,
    extent: impl Fn(&Node, &A) -> Result<Extent, Exception> + Send + Sync + 'static,
    value: impl Fn(&Node, A) -> Outcome + Send + Sync + 'static,
) -> Result<(), AtomError> {
    let functions = Arc::new((extent, value));
    node.export_raw(module, Scope::Exact(name, A::ARITY), move |RawCall { arguments, context, .. }| {
        let functions = functions.clone();
        async move {
            let node = context.node()?;
            let arguments = A::read(&arguments).map_err(|error| Exception::bad_argument(1, &error.to_string()))?;
            let Extent { steps, bytes } = functions.0(&node, &arguments)?;
            let mut lease = context.lease(bytes)?;
            let work = || {
                // What the value is made of may have grown before its turn came.
                if !lease.resize(functions.0(&node, &arguments)?.bytes) {
                    return Err(Exception::system_limit());
                }
                let value = functions.1(&node, arguments)?;
                let mut encoded = Encoded::default();
                peerl_term::serde::to_sink(&value, &mut encoded)?;
                Ok(encoded)
            };
            context.work(steps, work).await?
        }
    })
}

/// The process to which a function sends what it finds, which must be one of the caller's node: others have not asked for it.
fn receiver<'a>(context: &CallContext, to: &'a Pid) -> Result<&'a Pid, Exception> {
    let is_asking = context.peer().is_some_and(|peer| to.node == *peer.as_atom());
    if is_asking { Ok(to) } else { Err(Exception::bad_argument(1, "a process of another node")) }
}

/// The most items that are asked for at a time: more than there are, as the label of a process may be asked for by many keys.
const ASKED: usize = 256;

/// The elements of a list, or a single argument that is none.
fn elements(argument: &Term) -> impl Iterator<Item = (&Term, Place)> {
    let (all, alone) = match argument {
        Term::List(all) => (&all[..], None),
        alone => (&[][..], Some((alone, Place(None)))),
    };
    all.iter().enumerate().map(|(index, element)| (element, Place(Some(index)))).chain(alone)
}

/// Where a term is in an argument, for the beginning of an error.
struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "element {}: ", index + 1))
    }
}

/// Argument `number`, counted from 1, which must be an atom.
fn atom(argument: &Term, number: usize) -> Result<&Atom, Exception> {
    argument.as_atom().ok_or_else(|| Exception::bad_argument(number, "not an atom"))
}

/// The exporting node. Functions hold a weak reference, because a strong one would keep the node running.
pub(crate) fn running(node: &WeakNode) -> Result<Node, Exception> {
    node.upgrade().ok_or_else(|| Exception::exit(Term::atom("shutdown")))
}
