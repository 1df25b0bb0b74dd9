//! The functions of `pg` that peers call, for the processes of this node.

use std::time::Duration;

use peerl_node::{Atom, CallContext, CallError, Destination, Exception, Functions, Node, Pid, Term};
use peerl_term::{AtomError, Encoded, encode};

use super::Scope;
use super::scopes::shown_by;
use super::server::Request;
use super::shared::Shared;
use super::view::{Reach, View};

type Outcome = Result<Term, Exception>;

/// How long a scope process may take to answer; not for ever, since another process may have the name.
const LIMIT: Duration = Duration::from_secs(30);

/// About how many bytes a pid takes in a list, together with its encoded form.
const PID: usize = 200;

/// Makes `pg:join/2,3`, `leave/2,3`, `get_members/1,2`, `get_local_members/1,2`, `which_groups/0,1` and
/// `which_local_groups/0,1` callable.
///
/// # Errors
/// If a name is not a valid atom, which does not happen.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    export(node, "join", |[group, pids]: [Term; 2]| Ok(Request::Join(group, pids_of(pids)?)))?;
    export(node, "leave", |[group, pids]: [Term; 2]| Ok(Request::Leave(group, pids_of(pids)?)))?;
    let all = Table::<0> {
        length: |view, _| view.lens()[0],
        bytes: |view, _| view.names_memory()[0],
        value: |shown, _, most| Term::list(shown.groups_in_turns(Reach::All, most)),
    };
    let local = Table::<0> {
        length: |view, _| view.lens()[1],
        bytes: |view, _| view.names_memory()[1],
        value: |shown, _, most| Term::list(shown.groups_in_turns(Reach::Local, most)),
    };
    let members = Table {
        length: |view, [group]| view.totals(group)[0],
        bytes: |view, [group]| PID * view.totals(group)[0],
        value: |shown, [group], most| pids(shown.members_in_turns(group, Reach::All, most)),
    };
    let local_members = Table {
        length: |view, [group]| view.totals(group)[1],
        bytes: |view, [group]| PID * view.totals(group)[1],
        value: |shown, [group], most| pids(shown.members_in_turns(group, Reach::Local, most)),
    };
    // On the BEAM these read a table, which may not be there.
    export_table(node, "which_groups", all, || Err(Exception::badarg()))?;
    export_table(node, "which_local_groups", local, || Err(Exception::badarg()))?;
    export_table(node, "get_members", members, || Ok(Term::nil()))?;
    export_table(node, "get_local_members", local_members, || Ok(Term::nil()))
}

fn pids(pids: Vec<Pid>) -> Term {
    Term::list(pids.into_iter().map(Term::from))
}

/// What is read of that which a scope process shows.
struct Table<const N: usize> {
    /// How many elements it has, each of which takes about a microsecond.
    length: fn(&View, &[Term; N]) -> usize,
    /// How many bytes it takes at most.
    bytes: fn(&View, &[Term; N]) -> usize,
    /// So many elements at most.
    value: fn(&Shared, &[Term; N], usize) -> Term,
}

/// Exports a function that reads what a scope process shows, in two forms as [`export`]. The value is made once there is memory for it
/// in the caller's share.
fn export_table<const N: usize>(
    node: &Node,
    name: &str,
    table: Table<N>,
    nothing: fn() -> Outcome,
) -> Result<(), AtomError> {
    let Table { length, bytes, value } = table;
    export_scoped(node, name, N, move |context, scope, arguments| async move {
        let arguments = <[Term; N]>::try_from(arguments).map_err(|_| Exception::badarg())?;
        let shown = context.node()?.whereis(scope.as_str()).and_then(|process| shown_by(&process));
        let Some(shown) = shown else { return nothing().map(|value| encoded(&value)) };
        let mut lease = context.lease(0)?;
        let work = || {
            let (most, bytes) = shown.read(|view| (length(view, &arguments), bytes(view, &arguments)));
            if !lease.resize(bytes) {
                return Err(Exception::system_limit());
            }
            Ok(encoded(&value(&shown, &arguments, most)))
        };
        context.work(shown.read(|view| length(view, &arguments)), work).await?
    })
}

/// Exports a function that asks a scope process.
fn export<const N: usize>(
    node: &Node,
    name: &str,
    request: fn([Term; N]) -> Result<Request, Exception>,
) -> Result<(), AtomError> {
    export_scoped(node, name, N, move |context, scope, arguments| async move {
        let arguments = <[Term; N]>::try_from(arguments).map_err(|_| Exception::badarg())?;
        let node = context.node()?;
        let request = match request(arguments)? {
            Request::Join(group, pids) => match context.peer() {
                Some(peer) => Request::JoinFor(peer.as_atom().clone(), group, pids),
                None => Request::Join(group, pids),
            },
            request => request,
        };
        Ok(encoded(&ask(&node, scope, request).await?))
    })
}

/// Exports a function in two forms: with so many arguments, for the default scope, and with a scope before them.
fn export_scoped<Fut: Future<Output = Result<Encoded, Exception>> + Send + 'static>(
    node: &Node,
    name: &str,
    arity: usize,
    function: impl Fn(CallContext, Atom, Vec<Term>) -> Fut + Clone + Send + Sync + 'static,
) -> Result<(), AtomError> {
    for is_scoped in [false, true] {
        let function = function.clone();
        let arity = u8::try_from(arity).unwrap_or(u8::MAX) + u8::from(is_scoped);
        node.export_raw("pg", Functions::Exact(name, arity), move |call| {
            let (arguments, function) = (call.arguments.decode(), function.clone());
            async move {
                let Ok(Term::List(arguments)) = arguments else { return Err(Exception::badarg()) };
                let mut arguments = arguments.into_vec();
                let scope = if is_scoped { arguments.remove(0) } else { Term::atom(Scope::DEFAULT) };
                let scope = scope.as_atom().cloned().ok_or_else(|| Exception::bad_argument(1, "not an atom"))?;
                function(call.context, scope, arguments).await
            }
        })?;
    }
    Ok(())
}

fn encoded(value: &Term) -> Encoded {
    let mut encoded = Encoded::default();
    encode::term(value, &mut encoded);
    encoded
}

/// What `ensure_local` of `pg` takes, but for the node of the processes.
fn pids_of(pids: Term) -> Result<Vec<Pid>, Exception> {
    match pids {
        Term::Pid(pid) => Ok(vec![*pid]),
        Term::List(pids) => {
            let pid = |term: Term| match term {
                Term::Pid(pid) => Ok(*pid),
                other => Err(no_local(other)),
            };
            pids.into_vec().into_iter().map(pid).collect()
        }
        _ => Err(Exception::error(Term::atom("function_clause"))),
    }
}

fn no_local(term: Term) -> Exception {
    Exception::error(Term::tuple([Term::atom("nolocal"), term]))
}

async fn ask(node: &Node, scope: Atom, request: Request) -> Outcome {
    match node.gen_call::<Term>(Destination::Name(scope.clone()), &request).timeout(LIMIT).await {
        Ok(Term::Tuple(parts)) => Err(match &parts[..] {
            [error, _] if error.is_atom("error") => Exception::system_limit(),
            [_, pid] => no_local(pid.clone()),
            _ => Exception::badarg(),
        }),
        Ok(value) => Ok(value),
        Err(CallError::Signal(reason)) => Err(Exception::exit(in_call(reason, scope))),
        Err(_) => Err(Exception::exit(in_call(Term::atom("timeout"), scope))),
    }
}

/// The exit reason of a failed `gen_server:call/2`.
fn in_call(reason: Term, scope: Atom) -> Term {
    let call = [Term::atom("gen_server"), Term::atom("call"), Term::list([scope.into()])];
    Term::tuple([reason, Term::tuple(call)])
}
