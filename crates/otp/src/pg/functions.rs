//! The functions of `pg` that peers call, for the processes of this node.

use std::time::Duration;

use peerl_node::{Atom, CallError, Destination, Exception, Functions, Node, Pid, Term, WeakNode};
use peerl_term::{AtomError, Encoded, encode};

use super::Scope;
use super::server::Request;
use crate::functions::running;

type Outcome = Result<Term, Exception>;

/// How long a scope process may take to answer; not for ever, since another process may have the name.
const LIMIT: Duration = Duration::from_secs(30);

/// Makes `pg:join/2,3`, `leave/2,3`, `get_members/1,2`, `get_local_members/1,2`, `which_groups/0,1` and
/// `which_local_groups/0,1` callable.
///
/// # Errors
/// If a name is not a valid atom, which does not happen.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    export(node, "which_groups", |[]: [Term; 0]| Ok(Request::WhichGroups))?;
    export(node, "which_local_groups", |[]: [Term; 0]| Ok(Request::WhichLocalGroups))?;
    export(node, "get_members", |[group]: [Term; 1]| Ok(Request::GetMembers(group)))?;
    export(node, "get_local_members", |[group]: [Term; 1]| Ok(Request::GetLocalMembers(group)))?;
    export(node, "join", |[group, pids]: [Term; 2]| Ok(Request::Join(group, pids_of(pids)?)))?;
    export(node, "leave", |[group, pids]: [Term; 2]| Ok(Request::Leave(group, pids_of(pids)?)))
}

/// Exports a function in two forms: with these arguments, for the default scope, and with a scope before them.
fn export<const N: usize>(
    node: &Node,
    name: &str,
    request: fn([Term; N]) -> Result<Request, Exception>,
) -> Result<(), AtomError> {
    for is_scoped in [false, true] {
        let this = node.downgrade();
        let arity = u8::try_from(N).unwrap_or(u8::MAX) + u8::from(is_scoped);
        node.export_raw("pg", Functions::Exact(name, arity), move |call| {
            let (arguments, this) = (call.arguments.decode(), this.clone());
            let caller = call.context.caller_node();
            async move {
                let Ok(Term::List(arguments)) = arguments else { return Err(Exception::badarg()) };
                let mut arguments = arguments.into_vec();
                let scope = if is_scoped { arguments.remove(0) } else { Term::atom(Scope::DEFAULT) };
                let scope = scope.as_atom().cloned().ok_or_else(|| Exception::bad_argument(1, "not an atom"))?;
                let arguments = <[Term; N]>::try_from(arguments).map_err(|_| Exception::badarg())?;
                let mut encoded = Encoded::default();
                let request = match (request(arguments)?, caller) {
                    (Request::Join(group, pids), Some(node)) => Request::JoinFor(node.as_atom().clone(), group, pids),
                    (request, _) => request,
                };
                encode::term(&ask(&this, scope, request).await?, &mut encoded);
                Ok(encoded)
            }
        })?;
    }
    Ok(())
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

async fn ask(node: &WeakNode, scope: Atom, request: Request) -> Outcome {
    let node = running(node)?;
    match node.gen_call::<Term>(Destination::Name(scope.clone()), &request).timeout(LIMIT).await {
        Ok(Term::Tuple(parts)) if parts[0].is_atom("error") => Err(Exception::system_limit()),
        Ok(Term::Tuple(parts)) if parts.len() == 2 => Err(no_local(parts[1].clone())),
        Ok(value) => Ok(value),
        Err(CallError::Signal(reason)) => match request {
            // On the BEAM these read a table, which is not there.
            Request::GetMembers(_) | Request::GetLocalMembers(_) => Ok(Term::nil()),
            Request::WhichGroups | Request::WhichLocalGroups => Err(Exception::badarg()),
            _ => Err(Exception::exit(in_call(reason, scope))),
        },
        Err(_) => Err(Exception::exit(in_call(Term::atom("timeout"), scope))),
    }
}

/// The exit reason of a failed `gen_server:call/2`.
fn in_call(reason: Term, scope: Atom) -> Term {
    let call = [Term::atom("gen_server"), Term::atom("call"), Term::list([scope.into()])];
    Term::tuple([reason, Term::tuple(call)])
}
