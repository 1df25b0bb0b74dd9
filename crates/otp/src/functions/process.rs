//! `erlang`: the processes of this node, for the shells and observers of the BEAM.

use peerl_node::{Exception, Monitored, Node, ProcessInfo};
use peerl_term::{Atom, AtomError, Pid, Term};

use super::{Outcome, atom, binary, nullary, unary};

/// `erlang:processes/0`, `registered/0`, `whereis/1`, `is_process_alive/1`, `garbage_collect/1` and `process_info/1,2`;
/// and `proc_lib:translate_initial_call/1`.
///
/// A process here is a mailbox and a task of a Rust program. It has no heap, stack or reductions, which are reported
/// as 0, and no dictionary. The initial call of a process that serves a call is the called function.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    nullary(node, "erlang", "processes", |node| Ok(Term::list(node.processes().into_iter().map(Term::from))))?;
    nullary(node, "erlang", "registered", |node| Ok(Term::list(node.registered().into_iter().map(Term::Atom))))?;
    unary(node, "erlang", "whereis", |node, name| {
        let name = atom(name, 1)?;
        Ok(node.whereis(name.as_str()).map_or_else(|| Term::atom("undefined"), Term::from))
    })?;
    unary(node, "erlang", "is_process_alive", is_alive)?;
    // There is no garbage to collect.
    unary(node, "erlang", "garbage_collect", is_alive)?;
    unary(node, "erlang", "process_info", |node, pid| {
        let info = node.process_info(own_pid(node, pid)?);
        Ok(info.map_or_else(|| Term::atom("undefined"), |info| all(&info)))
    })?;
    binary(node, "erlang", "process_info", process_info)?;
    unary(node, "proc_lib", "translate_initial_call", |node, pid| {
        // The BEAM's answer for any process that `proc_lib` has not started.
        own_pid(node, pid).map(|_| Term::tuple([Term::atom("proc_lib"), Term::atom("init_p"), Term::from(5)]))
    })
}

fn is_alive(node: &Node, pid: &Term) -> Outcome {
    Ok(Term::from(node.process_info(own_pid(node, pid)?).is_some()))
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

/// The value of an item of a process.
pub(super) fn value(info: &ProcessInfo, item: &Term) -> Option<Term> {
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
