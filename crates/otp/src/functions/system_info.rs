//! `erlang:system_info/1`: what the node is, and its limits.

use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};

use super::{Outcome, RELEASE, unary};

/// `erlang:system_info/1`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    unary(node, "erlang", "system_info", system_info)
}

/// The value of an item.
pub(super) fn system_info(node: &Node, item: &Term) -> Outcome {
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
        // Those of a BEAM's memory do not exist here.
        Some("alloc_util_allocators") => Term::nil(),
        _ => return Err(unknown()),
    };
    Ok(value)
}
