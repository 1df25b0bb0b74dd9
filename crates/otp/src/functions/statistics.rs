//! `erlang:statistics/1`: what the node has done, and what waits to be done.

use std::time::Duration;

use parking_lot::Mutex;
use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};
use tokio::runtime::Handle;

use super::{Outcome, unary};

/// `erlang:statistics/1`.
///
/// A scheduler here is a thread of tokio's runtime, and the run queue is the one that its threads share; those of each thread are
/// not known. There is neither garbage to collect nor are there reductions: both are 0. What else OTP documents is `undefined`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let last = Mutex::new(LastTimes::default());
    unary(node, "erlang", "statistics", move |node, item| statistics(node, item, &last))
}

/// The times of the last queries: some items also tell what has been added since.
#[derive(Default)]
struct LastTimes {
    wall_clock: i64,
    runtime: i64,
}

fn statistics(node: &Node, item: &Term, last: &Mutex<LastTimes>) -> Outcome {
    let zero = || Term::from(0);
    let since = |now: i64, last: &mut i64| {
        let added = now - std::mem::replace(last, now);
        Term::tuple([Term::from(now), Term::from(added)])
    };
    Ok(match item.as_atom().map(|item| item.as_str()) {
        Some("wall_clock") => since(milliseconds(node.uptime()), &mut last.lock().wall_clock),
        Some("runtime") => since(milliseconds(processor_time()), &mut last.lock().runtime),
        Some("run_queue" | "total_run_queue_lengths" | "total_run_queue_lengths_all") => Term::from(run_queue()),
        Some("run_queue_lengths" | "run_queue_lengths_all") => Term::list([Term::from(run_queue())]),
        Some("io") => io(node),
        Some("scheduler_wall_time" | "scheduler_wall_time_all") => scheduler_wall_time(node),
        Some("reductions" | "exact_reductions") => Term::tuple([zero(), zero()]),
        Some("garbage_collection") => Term::tuple([zero(), zero(), zero()]),
        Some(
            "active_tasks"
            | "active_tasks_all"
            | "total_active_tasks"
            | "total_active_tasks_all"
            | "context_switches"
            | "microstate_accounting",
        ) => Term::atom("undefined"),
        _ => return Err(Exception::bad_argument(1, "no statistics that are known here")),
    })
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The number of tasks that are ready and have no thread yet.
pub(super) fn run_queue() -> usize {
    Handle::current().metrics().global_queue_depth()
}

/// `{{input, Bytes}, {output, Bytes}}` of all connections with other nodes.
pub(super) fn io(node: &Node) -> Term {
    let bytes = node.transferred();
    let pair = |name, bytes| Term::tuple([Term::atom(name), Term::from(bytes)]);
    Term::tuple([pair("input", bytes.received), pair("output", bytes.sent)])
}

/// `[{Thread, Busy, Total}]` of the runtime's threads, in nanoseconds.
pub(super) fn scheduler_wall_time(node: &Node) -> Term {
    let metrics = Handle::current().metrics();
    let nanoseconds = |time: Duration| Term::from(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let total = node.uptime();
    Term::list((0..metrics.num_workers()).map(|thread| {
        let busy = metrics.worker_total_busy_duration(thread);
        Term::tuple([Term::from(thread + 1), nanoseconds(busy), nanoseconds(total)])
    }))
}

/// The processor time of this program, if the operating system reports it (Linux); else 0.
fn processor_time() -> Duration {
    // In `/proc`, a second has 100 ticks on every architecture. The name of the program may have spaces.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(')') else { return Duration::ZERO };
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    TICK * ticks.sum::<u32>()
}
