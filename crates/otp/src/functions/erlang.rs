//! `erlang`: information about the node.

use std::collections::BTreeSet;

use peerl_node::{Exception, Node, NodeName, Nodes};

use super::{RELEASE, running};
use peerl_term::{Atom, AtomError, Term};

use super::{Outcome, atom};

/// `erlang:node/0`, `nodes/0,1`, `disconnect_node/1`, `memory/0,1` and `system_info/1`, for the shells and tools of
/// the BEAM.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let name = Term::Atom(node.name().as_atom().clone());
    node.export("erlang", "node", move |()| {
        let name = name.clone();
        async move { Ok::<_, Exception>(name) }
    })?;
    let this = node.downgrade();
    node.export("erlang", "nodes", move |()| {
        let nodes = running(&this).map(|node| atoms(node.nodes(Nodes::Visible)));
        async move { nodes }
    })?;
    let this = node.downgrade();
    node.export("erlang", "nodes", move |(which,): (Term,)| {
        let nodes = running(&this).and_then(|node| nodes(&node, &which));
        async move { nodes }
    })?;
    let this = node.downgrade();
    node.export("erlang", "disconnect_node", move |(peer,): (Term,)| {
        let ended = running(&this).and_then(|node| disconnect(&node, &peer));
        async move { ended }
    })?;
    node.export("erlang", "memory", |()| async { Ok::<_, Exception>(Term::list(memory())) })?;
    node.export("erlang", "memory", |(which,): (Term,)| async move { memory_of(&which) })?;
    let this = node.downgrade();
    node.export("erlang", "system_info", move |(item,): (Term,)| {
        let info = running(&this).and_then(|node| system_info(&node, &item));
        async move { info }
    })
}

/// Like the BEAM, returns whether there was a connection.
fn disconnect(node: &Node, peer: &Term) -> Outcome {
    let peer = atom(peer, 1)?;
    Ok(Term::from(NodeName::new(peer.as_str()).is_ok_and(|peer| node.disconnect(&peer))))
}

fn nodes(node: &Node, which: &Term) -> Outcome {
    let mut found = BTreeSet::new();
    for (kind, place) in elements(which) {
        found.extend(match kind.as_atom().map(|kind| kind.as_str()) {
            Some("visible") => node.nodes(Nodes::Visible),
            Some("hidden") => node.nodes(Nodes::Hidden),
            Some("connected") => node.nodes(Nodes::Connected),
            Some("this") => node.nodes(Nodes::This),
            Some("known") => [node.nodes(Nodes::This), node.nodes(Nodes::Connected)].concat(),
            _ => return Err(Exception::bad_argument(1, &format!("{place}no kind of nodes"))),
        });
    }
    Ok(atoms(found))
}

/// The elements of a list, each with its position for errors; or a single non-list argument.
fn elements(argument: &Term) -> Vec<(&Term, String)> {
    match argument {
        Term::List(all) => {
            all.iter().enumerate().map(|(index, element)| (element, format!("element {}: ", index + 1))).collect()
        }
        alone => vec![(alone, String::new())],
    }
}

fn atoms(nodes: impl IntoIterator<Item = NodeName>) -> Term {
    Term::list(nodes.into_iter().filter_map(|node| Atom::new(node.as_str()).ok()).map(Term::Atom))
}

/// The keys of `erlang:memory/0`. Without a BEAM there are no atoms, code or tables: all memory is `system`.
const MEMORY: [&str; 9] =
    ["total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code", "ets"];

fn memory() -> Vec<Term> {
    let resident = resident_bytes();
    let bytes = |key| if matches!(key, "total" | "system") { resident } else { 0 };
    MEMORY.into_iter().map(|key| Term::tuple([Term::atom(key), Term::from(bytes(key))])).collect()
}

fn memory_of(which: &Term) -> Outcome {
    let all = memory();
    let find = |(key, place): (&Term, String)| {
        let pair = all.iter().find(|pair| pair.as_tuple().is_some_and(|pair| pair[0] == *key));
        pair.cloned().ok_or_else(|| Exception::bad_argument(1, &format!("{place}no kind of memory")))
    };
    let mut found = elements(which).into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
    match which {
        Term::List(_) => Ok(Term::list(found)),
        _ => Ok(found.pop().and_then(|pair| Some(pair.as_tuple()?[1].clone())).unwrap_or_else(Term::nil)),
    }
}

/// The memory of this process, if the operating system reports it (Linux); else 0.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn system_info(node: &Node, item: &Term) -> Outcome {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let unknown = || Exception::bad_argument(1, "no item that is known here");
    if let Some([item, which]) = item.as_tuple() {
        let known = item.is_atom("wordsize") && (which.is_atom("internal") || which.is_atom("external"));
        return if known { Ok(Term::from(8)) } else { Err(unknown()) };
    }
    let version = env!("CARGO_PKG_VERSION");
    let value = match item.as_atom().map(|item| item.as_str()) {
        Some("otp_release") => Term::charlist(RELEASE),
        Some("version") => Term::charlist(version),
        Some("system_version") => Term::charlist(&format!("peerl {version}\n")),
        Some("system_architecture") => Term::charlist(&format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        Some("machine") => Term::charlist("peerl"),
        Some("process_count") => Term::from(node.process_count()),
        Some("process_limit") => Term::from(262_144),
        // These do not exist here.
        Some(
            "port_count"
            | "ets_count"
            | "atom_count"
            | "dirty_cpu_schedulers"
            | "dirty_cpu_schedulers_online"
            | "dirty_io_schedulers",
        ) => Term::from(0),
        Some("multi_scheduling_blockers") => Term::nil(),
        Some("scheduler_bind_type") => Term::atom("unbound"),
        Some("dynamic_trace") => Term::atom("none"),
        Some("debug_compiled") => Term::from(cfg!(debug_assertions)),
        Some("endian") => Term::atom(if cfg!(target_endian = "big") { "big" } else { "little" }),
        Some("port_limit") => Term::from(65_536),
        Some("ets_limit") => Term::from(8192),
        Some("atom_limit") => Term::from(1_048_576),
        Some(
            "schedulers"
            | "schedulers_online"
            | "logical_processors"
            | "logical_processors_available"
            | "logical_processors_online",
        ) => Term::from(processors),
        Some("wordsize") => Term::from(8),
        Some("smp_support" | "threads" | "kernel_poll") => Term::from(true),
        Some("multi_scheduling") => Term::atom("enabled"),
        Some("thread_pool_size") => Term::from(processors),
        Some("dist_buf_busy_limit") => Term::from(1_048_576),
        Some("creation") => Term::from(node.creation()),
        Some("start_time") => Term::from(0),
        _ => return Err(unknown()),
    };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_the_keys_that_tools_ask_for() {
        let total = memory_of(&Term::atom("total")).unwrap().as_integer().unwrap();
        assert!(cfg!(not(target_os = "linux")) || total > 1_000_000, "{total}");
        let two = memory_of(&Term::list([Term::atom("ets"), Term::atom("code")])).unwrap();
        assert_eq!(two.as_list().unwrap().len(), 2);
        let wrong = memory_of(&Term::list([Term::atom("ets"), Term::atom("swap")])).unwrap_err();
        assert_eq!(wrong.cause(), Some("argument 1: element 2: no kind of memory"));
        assert_eq!(memory().len(), MEMORY.len());
    }
}
