//! `erlang`: the processes of this node, for the shells and observers of the BEAM.

use peerl_node::{Exception, Monitored, Node, ProcessInfo, WeakNode};
use peerl_term::{Atom, AtomError, Pid, Term};

use super::{Outcome, atom, running};

/// `erlang:processes/0`, `registered/0`, `whereis/1`, `is_process_alive/1` and `process_info/1,2`.
///
/// A process here is a mailbox and a task of a Rust program. It has no heap, stack or reductions, which are reported
/// as 0, and no dictionary. The initial call of a process that serves a call is the called function.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let this = node.downgrade();
    node.export("erlang", "processes", move |()| {
        let pids = running(&this).map(|node| Term::list(node.processes().into_iter().map(Term::from)));
        async move { pids }
    })?;
    let this = node.downgrade();
    node.export("erlang", "registered", move |()| {
        let names = running(&this).map(|node| Term::list(node.registered().into_iter().map(Term::Atom)));
        async move { names }
    })?;
    export(node, "whereis", |node, name| {
        let name = atom(name, 1)?;
        Ok(node.whereis(name.as_str()).map_or_else(|| Term::atom("undefined"), Term::from))
    })?;
    export(node, "is_process_alive", |node, pid| Ok(Term::from(node.process_info(own_pid(node, pid)?).is_some())))?;
    export(node, "process_info", |node, pid| {
        let info = node.process_info(own_pid(node, pid)?);
        Ok(info.map_or_else(|| Term::atom("undefined"), |info| all(&info)))
    })?;
    let this = node.downgrade();
    node.export("erlang", "process_info", move |(pid, items): (Term, Term)| {
        let info = running(&this).and_then(|node| process_info(&node, &pid, &items));
        async move { info }
    })
}

/// Exports a function of `erlang` that has one argument.
fn export(
    node: &Node,
    name: &str,
    function: impl Fn(&Node, &Term) -> Outcome + Send + Sync + 'static,
) -> Result<(), AtomError> {
    let this: WeakNode = node.downgrade();
    node.export("erlang", name, move |(argument,): (Term,)| {
        let outcome = running(&this).and_then(|node| function(&node, &argument));
        async move { outcome }
    })
}

fn own_pid<'a>(node: &Node, pid: &'a Term) -> Result<&'a Pid, Exception> {
    match pid {
        Term::Pid(pid) if pid.node.as_str() == node.name().as_str() => Ok(pid),
        Term::Pid(_) => Err(Exception::bad_argument(1, "a process of another node")),
        _ => Err(Exception::bad_argument(1, "not a pid")),
    }
}

/// The items of `erlang:process_info/1` that exist here.
const ALL: [&str; 13] = [
    "current_function",
    "initial_call",
    "status",
    "message_queue_len",
    "links",
    "dictionary",
    "trap_exit",
    "priority",
    "group_leader",
    "total_heap_size",
    "heap_size",
    "stack_size",
    "reductions",
];

fn all(info: &ProcessInfo) -> Term {
    // Without a name there is no such item.
    let items = (!info.names.is_empty()).then_some("registered_name").into_iter().chain(ALL);
    Term::list(items.map(Term::atom).filter_map(|item| {
        let value = value(info, &item)?;
        Some(Term::tuple([item, value]))
    }))
}

fn process_info(node: &Node, pid: &Term, items: &Term) -> Outcome {
    let Some(info) = node.process_info(own_pid(node, pid)?) else { return Ok(Term::atom("undefined")) };
    match items {
        Term::List(items) => {
            let told = items.iter().enumerate().map(|(index, item)| {
                let value = value(&info, item).ok_or_else(|| unknown(&format!("element {}: ", index + 1)))?;
                Ok(Term::tuple([item.clone(), value]))
            });
            Ok(Term::list(told.collect::<Result<Vec<_>, Exception>>()?))
        }
        // As on the BEAM: an unnamed process has no such item, but in a list of items it has one.
        item if item.is_atom("registered_name") && info.names.is_empty() => Ok(Term::nil()),
        item => Ok(Term::tuple([item.clone(), value(&info, item).ok_or_else(|| unknown(""))?])),
    }
}

fn unknown(place: &str) -> Exception {
    Exception::bad_argument(2, &format!("{place}no item of a process that is known here"))
}

fn value(info: &ProcessInfo, item: &Term) -> Option<Term> {
    let pids = |pids: &[Pid]| Term::list(pids.iter().cloned().map(Term::from));
    if let Some([kind, _]) = item.as_tuple() {
        return kind.is_atom("dictionary").then(|| Term::atom("undefined"));
    }
    Some(match item.as_atom()?.as_str() {
        "registered_name" => info.names.first().cloned().map_or_else(Term::nil, Term::Atom),
        "current_function" | "initial_call" => match &info.function {
            Some((module, function, arity)) => {
                Term::tuple([module.clone().into(), function.clone().into(), Term::from(*arity)])
            }
            // What the BEAM reports for native code.
            None => Term::atom("undefined"),
        },
        "status" => Term::atom("waiting"),
        "message_queue_len" => Term::from(info.messages),
        "memory" => Term::from(info.message_bytes),
        "links" => pids(&info.links),
        "monitors" => Term::list(info.monitors.iter().filter_map(monitor)),
        "monitored_by" => pids(&info.monitored_by),
        "trap_exit" => Term::from(info.traps_exits),
        "priority" => Term::atom("normal"),
        "group_leader" => Term::from(info.group_leader.clone()),
        "total_heap_size" | "heap_size" | "stack_size" | "reductions" | "trace" => Term::from(0),
        "dictionary" | "suspending" | "current_stacktrace" | "sequential_trace_token" | "binary" => Term::nil(),
        "label" => Term::atom("undefined"),
        _ => return None,
    })
}

fn monitor(monitored: &Monitored) -> Option<Term> {
    let object = match monitored {
        Monitored::Process(pid) => Term::from(pid.clone()),
        Monitored::Name(name, node) => Term::tuple([name.clone().into(), Atom::new(node.as_str()).ok()?.into()]),
    };
    Some(Term::tuple([Term::atom("process"), object]))
}
