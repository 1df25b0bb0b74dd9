//! `erlang:system_info/1`: what the node is, and its limits.

use peerl_node::{Exception, Limits, Node};
use peerl_term::{AtomError, Term};
use tokio::runtime::Handle;

use super::{Outcome, RELEASE, unary};

/// `erlang:system_info/1`.
///
/// A scheduler is a thread of tokio's runtime. What does not exist here is counted as 0 or is an empty list. Any other item that
/// OTP documents is `undefined`: it is not known here, or has no meaning.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    unary(node, "erlang", "system_info", system_info)
}

/// The value of an item.
pub(super) fn system_info(node: &Node, item: &Term) -> Outcome {
    let unknown = || Exception::bad_argument(1, "no item that is known here");
    if let Some([item, which]) = item.as_tuple() {
        return of_kind(item, which).ok_or_else(unknown);
    }
    let item = item.as_atom().map(|item| item.as_str()).ok_or_else(unknown)?;
    let value = own(node, item).or_else(|| absent(item));
    value.or_else(|| UNKNOWN.contains(&item).then(undefined)).ok_or_else(unknown)
}

fn undefined() -> Term {
    Term::atom("undefined")
}

/// What this node knows of itself and its machine.
fn own(node: &Node, item: &str) -> Option<Term> {
    let version = env!("CARGO_PKG_VERSION");
    Some(match item {
        "otp_release" => Term::charlist(RELEASE),
        "version" => Term::charlist(version),
        "system_version" => Term::charlist(&format!("peerl {version}\n")),
        "system_architecture" => Term::charlist(&format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        "machine" => Term::charlist("peerl"),
        "build_type" => Term::atom(if cfg!(debug_assertions) { "debug" } else { "opt" }),
        "debug_compiled" => Term::from(cfg!(debug_assertions)),
        "endian" => Term::atom(if cfg!(target_endian = "big") { "big" } else { "little" }),
        "wordsize" => word(),
        "creation" => Term::from(node.creation()),
        "process_count" => Term::from(node.process_count()),
        "schedulers" | "schedulers_online" => Term::from(schedulers()),
        "scheduler_bind_type" => Term::atom("unbound"),
        "scheduler_bindings" => Term::tuple((0..schedulers()).map(|_| Term::atom("unbound"))),
        "multi_scheduling" => Term::atom("enabled"),
        "smp_support" | "threads" => Term::from(true),
        "logical_processors" | "logical_processors_available" | "logical_processors_online" => {
            let processors = std::thread::available_parallelism();
            processors.map_or_else(|_| Term::atom("unknown"), |processors| Term::from(processors.get()))
        }
        "dist_buf_busy_limit" => Term::from(Limits::BUSY),
        _ => return None,
    })
}

/// What does not exist here, in the form of OTP.
fn absent(item: &str) -> Option<Term> {
    Some(match item {
        // No ports, tables, table of atoms, or threads for calls that take long.
        "port_count"
        | "ets_count"
        | "atom_count"
        | "dirty_cpu_schedulers"
        | "dirty_cpu_schedulers_online"
        | "dirty_io_schedulers" => Term::from(0),
        // The memory is not divided as that of a BEAM.
        "alloc_util_allocators" | "allocated_areas" | "heap_sizes" | "garbage_collection" => Term::nil(),
        "allocator" => Term::tuple([undefined(), Term::nil(), Term::nil(), Term::nil()]),
        "c_compiler_used" => Term::tuple([undefined(), undefined()]),
        "check_io"
        | "dist_ctrl"
        | "multi_scheduling_blockers"
        | "normal_multi_scheduling_blockers"
        | "taints"
        | "os_monotonic_time_source"
        | "os_system_time_source" => Term::nil(),
        "dynamic_trace" => Term::atom("none"),
        "dynamic_trace_probes" | "port_parallelism" => Term::from(false),
        "sequential_tracer" => Term::tuple([Term::atom("sequential_tracer"), Term::from(false)]),
        _ => return None,
    })
}

/// What OTP documents, and is not known here.
const UNKNOWN: [&str; 41] = [
    "async_dist",
    "atom_limit",
    "compat_rel",
    "cpu_quota",
    "cpu_topology",
    "delayed_node_table_gc",
    "dist",
    "driver_version",
    "eager_check_io",
    "emu_flavor",
    "emu_type",
    "end_time",
    "ets_limit",
    "fullsweep_after",
    "halt_flush_timeout",
    "heap_type",
    "info",
    "kernel_poll",
    "loaded",
    "max_heap_size",
    "message_queue_data",
    "min_bin_vheap_size",
    "min_heap_size",
    "modified_timing_level",
    "nif_version",
    "outstanding_system_requests_limit",
    "port_limit",
    "process_limit",
    "procs",
    "scheduler_id",
    "schedulers_active",
    "schedulers_state",
    "start_time",
    "system_logger",
    "thread_pool_size",
    "time_correction",
    "time_offset",
    "time_warp_mode",
    "tolerant_timeofday",
    "trace_control_word",
    "update_cpu_info",
];

/// Items that are a pair.
fn of_kind(item: &Term, which: &Term) -> Option<Term> {
    match (item.as_atom()?.as_str(), which) {
        ("wordsize", which) if which.is_atom("internal") || which.is_atom("external") => Some(word()),
        ("cpu_topology", which) if ["defined", "detected", "used"].iter().any(|kind| which.is_atom(kind)) => {
            Some(undefined())
        }
        ("allocator" | "allocator_sizes", Term::Atom(_)) => Some(undefined()),
        ("allocator" | "allocator_sizes", Term::List(_)) => Some(Term::nil()),
        _ => None,
    }
}

/// The bytes of a machine word.
fn word() -> Term {
    Term::from(size_of::<usize>())
}

/// The threads of the runtime.
fn schedulers() -> usize {
    Handle::current().metrics().num_workers()
}
