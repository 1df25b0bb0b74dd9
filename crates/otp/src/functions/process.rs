//! `erlang`: the processes of this node, for the shells and observers of the BEAM.

use peerl_node::{Exception, Message, Monitored, Node, ProcessInfo, ProcessSummary};
use peerl_term::{Atom, AtomError, Pid, Term};

use super::{ASKED, Extent, Outcome, Place, atom, elements, extensive, nullary, unary};

/// `erlang:processes/0`, `registered/0`, `whereis/1`, `is_process_alive/1`, `garbage_collect/0,1` and `process_info/1,2`;
/// and `proc_lib:translate_initial_call/1` and `get_label/1`.
///
/// A process here is a mailbox and a task of a Rust program. It has no heap, stack or reductions, which are reported
/// as 0, and no dictionary. The initial call of a process that serves a call is the called function. Other items that OTP documents
/// are `undefined`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    register_lists(node, "erlang", "processes")?;
    unary(node, "erlang", "whereis", whereis)?;
    unary(node, "erlang", "is_process_alive", is_alive)?;
    // There is no garbage to collect.
    unary(node, "erlang", "garbage_collect", is_alive)?;
    nullary(node, "erlang", "garbage_collect", |_| Ok(Term::from(true)))?;
    extensive(node, "erlang", "process_info", extent_of_all, |node, (pid,)| info(node, &pid))?;
    extensive(node, "erlang", "process_info", extent_of, |node, (pid, items)| info_of(node, &pid, &items))?;
    // None is ever set.
    unary(node, "proc_lib", "get_label", |node, pid| own_pid(node, pid).map(|_| Term::atom("undefined")))?;
    unary(node, "proc_lib", "translate_initial_call", |node, pid| {
        // The BEAM's answer for any process that `proc_lib` has not started.
        own_pid(node, pid).map(|_| Term::tuple([Term::atom("proc_lib"), Term::atom("init_p"), Term::from(5)]))
    })
}

/// Registers the list of the processes, and that of their names.
pub(super) fn register_lists(node: &Node, module: &str, processes: &str) -> Result<(), AtomError> {
    let all = |node: &Node, ()| Ok(Term::list(node.processes().into_iter().map(Term::from)));
    extensive(node, module, processes, |node, ()| Ok(Extent::pids(node.process_count())), all)?;
    let names = |node: &Node, ()| Ok(Term::list(node.registered().into_iter().map(Term::Atom)));
    extensive(node, module, "registered", |node, ()| Ok(Extent::pids(node.registered().len())), names)
}

pub(super) fn whereis(node: &Node, name: &Term) -> Outcome {
    let name = atom(name, 1)?;
    Ok(node.whereis(name.as_str()).map_or_else(|| Term::atom("undefined"), Term::from))
}

pub(super) fn is_alive(node: &Node, pid: &Term) -> Outcome {
    Ok(Term::from(node.process_info(own_pid(node, pid)?).is_some()))
}

fn own_pid<'a>(node: &Node, pid: &'a Term) -> Result<&'a Pid, Exception> {
    match pid {
        Term::Pid(pid) if pid.node.as_str() == node.name().as_str() => Ok(pid),
        Term::Pid(_) => Err(Exception::bad_argument(1, "a process of another node")),
        _ => Err(Exception::bad_argument(1, "not a pid")),
    }
}

/// The items of a process that OTP documents.
const ITEMS: [&str; 39] = [
    "async_dist",
    "backtrace",
    "binary",
    "catchlevel",
    "current_function",
    "current_location",
    "current_stacktrace",
    "dictionary",
    "error_handler",
    "fullsweep_after",
    "garbage_collection",
    "garbage_collection_info",
    "group_leader",
    "heap_size",
    "initial_call",
    "label",
    "last_calls",
    "links",
    "max_heap_size",
    "memory",
    "message_queue_data",
    "message_queue_len",
    "messages",
    "min_bin_vheap_size",
    "min_heap_size",
    "monitored_by",
    "monitors",
    "parent",
    "priority",
    "priority_messages",
    "reductions",
    "registered_name",
    "sequential_trace_token",
    "stack_size",
    "status",
    "suspending",
    "total_heap_size",
    "trace",
    "trap_exit",
];

/// Those of `erlang:process_info/1`.
const ALL: [&str; 16] = [
    "current_function",
    "initial_call",
    "status",
    "message_queue_len",
    "links",
    "dictionary",
    "trap_exit",
    "error_handler",
    "priority",
    "group_leader",
    "total_heap_size",
    "heap_size",
    "stack_size",
    "reductions",
    "garbage_collection",
    "suspending",
];

/// The most bytes of waiting messages that are shown: to show them copies them.
const SHOWN: usize = 1 << 20;

/// How much it takes to tell these items of a process.
fn extent(node: &Node, pid: &Pid, items: impl IntoIterator<Item = &'static str>) -> Extent {
    let Some(summary) = node.process_summary(pid) else { return Extent::default() };
    let ProcessSummary { messages, message_bytes, relations, .. } = summary;
    let mut pids = relations;
    let mut copied = 0_usize;
    for item in items {
        match item {
            "links" | "monitors" | "monitored_by" => pids = pids.saturating_add(relations),
            "messages" if message_bytes <= SHOWN => copied += DECODED * message_bytes,
            _ => pids += 1,
        }
    }
    let Extent { steps, bytes } = Extent::pids(pids);
    Extent { steps: steps + messages + copied / DECODED / 100, bytes: bytes.saturating_add(copied) }
}

/// How many times as much memory as its bytes an item of a message takes, decoded and encoded.
const DECODED: usize = 40;

/// How much it takes to answer `erlang:process_info/1`.
pub(super) fn extent_of_all(node: &Node, (pid,): &(Term,)) -> Result<Extent, Exception> {
    Ok(extent(node, own_pid(node, pid)?, ALL))
}

/// How much it takes to answer `erlang:process_info/2`.
pub(super) fn extent_of(node: &Node, (pid, items): &(Term, Term)) -> Result<Extent, Exception> {
    let pid = own_pid(node, pid)?;
    if items.as_list().is_some_and(|items| items.len() > ASKED) {
        return Err(Exception::system_limit().of_argument(2, &format!("more than {ASKED} items")));
    }
    Ok(extent(node, pid, asked(items)?.into_iter().map(|(_, name)| name)))
}

/// `erlang:process_info/1`.
pub(super) fn info(node: &Node, pid: &Term) -> Outcome {
    let Some(info) = node.process_info(own_pid(node, pid)?) else { return Ok(Term::atom("undefined")) };
    // Without a name there is no such item.
    let items = (!info.names.is_empty()).then_some("registered_name").into_iter().chain(ALL);
    Ok(Term::list(items.map(|item| Term::tuple([Term::atom(item), value(node, &info, item)]))))
}

/// `erlang:process_info/2`.
pub(super) fn info_of(node: &Node, pid: &Term, items: &Term) -> Outcome {
    let pid = own_pid(node, pid)?;
    let asked = asked(items)?;
    let Some(info) = node.process_info(pid) else { return Ok(Term::atom("undefined")) };
    let mut told = asked.into_iter().map(|(item, name)| Term::tuple([item.clone(), value(node, &info, name)]));
    Ok(match items {
        Term::List(_) => Term::list(told),
        // As on the BEAM: an unnamed process has no such item, but in a list of items it has one.
        item if item.is_atom("registered_name") && info.names.is_empty() => Term::nil(),
        _ => told.next().unwrap_or_else(Term::nil),
    })
}

/// The items, and their names.
fn asked(items: &Term) -> Result<Vec<(&Term, &'static str)>, Exception> {
    let known = |(item, place)| Ok((item, known(item).ok_or_else(|| unknown(&place))?));
    elements(items).map(known).collect()
}

fn unknown(place: &Place) -> Exception {
    Exception::bad_argument(2, &format!("{place}no item of a process that is known here"))
}

/// The name of an item.
fn known(item: &Term) -> Option<&'static str> {
    match item.as_tuple() {
        // The value of a key.
        Some([kind, _]) => kind.is_atom("dictionary").then_some("label"),
        _ => ITEMS.into_iter().find(|name| item.is_atom(name)),
    }
}

/// The value of an item. What has no meaning here, or is not known, is `undefined`.
pub(super) fn value(node: &Node, info: &ProcessInfo, item: &str) -> Term {
    let pids = |pids: &[Pid]| Term::list(pids.iter().cloned().map(Term::from));
    let function = info
        .function
        .as_ref()
        .map(|(module, function, arity)| [module.clone().into(), function.clone().into(), Term::from(*arity)]);
    // The place in a file is not known.
    let place = || function.clone().map(|function| Term::tuple(function.into_iter().chain([Term::nil()])));
    let undefined = || Term::atom("undefined");
    match item {
        "registered_name" => info.names.first().cloned().map_or_else(Term::nil, Term::Atom),
        // `undefined` is what the BEAM reports for native code.
        "current_function" | "initial_call" => function.map_or_else(undefined, Term::tuple),
        "current_location" => place().unwrap_or_else(undefined),
        "current_stacktrace" => Term::list(place()),
        "message_queue_len" => Term::from(info.messages),
        "messages" => messages(node, info),
        "memory" => Term::from(info.message_bytes),
        "links" => pids(&info.links),
        "monitors" => Term::list(info.monitors.iter().filter_map(monitor)),
        "monitored_by" => pids(&info.monitored_by),
        "trap_exit" => Term::from(info.traps_exits),
        "group_leader" => Term::from(info.group_leader.clone()),
        // All are alike.
        "priority" => Term::atom("normal"),
        "total_heap_size" | "heap_size" | "stack_size" | "reductions" | "trace" => Term::from(0),
        "dictionary" | "suspending" | "binary" | "garbage_collection" | "garbage_collection_info" => Term::nil(),
        "sequential_trace_token" if !info.is_traced => Term::nil(),
        "last_calls" => Term::from(false),
        _ => undefined(),
    }
}

/// The messages in the mailbox, if they are not too many to be copied.
fn messages(node: &Node, info: &ProcessInfo) -> Term {
    let messages = node.waiting_messages(&info.pid, SHOWN);
    // A malformed message is one that its receiver cannot read either.
    let read = |messages: Vec<Message>| Term::list(messages.into_iter().filter_map(|message| message.into_term().ok()));
    messages.map_or_else(|| Term::atom("undefined"), read)
}

fn monitor(monitored: &Monitored) -> Option<Term> {
    let object = match monitored {
        Monitored::Process(pid) => Term::from(pid.clone()),
        Monitored::Name(name, node) => Term::tuple([name.clone().into(), Atom::new(node.as_str()).ok()?.into()]),
    };
    Some(Term::tuple([Term::atom("process"), object]))
}
