//! `observer_backend`: what observer and etop ask a node for.

use std::time::{Duration, SystemTime};

use peerl_node::{CallContext, Exception, Node, Pid, Process};
use peerl_term::{AtomError, Term};

use super::memory::memory;
use super::process::value;
use super::statistics::{io, run_queue, scheduler_wall_time};
use super::system_info::system_info;
use super::{Outcome, binary, nullary};

const VERSION: &str = concat!("peerl ", env!("CARGO_PKG_VERSION"));

/// The most processes in a message of `procs_info/1`: it stays small, so that the signals of this node do not wait for it.
const CHUNK: usize = 500;

/// `observer_backend:vsn/0`, `sys_info/0`, `procs_info/1`, `etop_collect/1`, `fetch_stats/2`, `get_table_list/2`,
/// `get_port_list/0`, `get_socket_list/0` and `socket_info/0`.
///
/// Tools spawn `procs_info/1`, `etop_collect/1` and `fetch_stats/2`, whose processes send what they find. A process has no
/// reductions and no heap: 0; its memory is that of its mailbox.
///
/// `vsn/0`, by which etop and `ttb` know a node that has such functions, is the version of peerl.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    const MODULE: &str = "observer_backend";
    nullary(node, MODULE, "vsn", |_| Ok(Term::tuple([Term::atom("ok"), Term::charlist(VERSION)])))?;
    nullary(node, MODULE, "sys_info", |node| Ok(system(node)))?;
    for none in ["get_port_list", "get_socket_list", "socket_info"] {
        nullary(node, MODULE, none, |_| Ok(Term::nil()))?;
    }
    binary(node, MODULE, "get_table_list", |node, kind, _| tables(node, kind))?;
    node.export(
        MODULE,
        "procs_info",
        |context: CallContext, (to,): (Pid,)| async move { processes(&context, &to).await },
    )?;
    node.export(
        MODULE,
        "etop_collect",
        |context: CallContext, (to,): (Pid,)| async move { etop(&context, &to).await },
    )?;
    node.export(MODULE, "fetch_stats", |process: Process, context: CallContext, (to, every): (Pid, u32)| async move {
        load(process, &context, &to, Duration::from_millis(every.into())).await
    })
}

/// The System tab of observer.
fn system(node: &Node) -> Term {
    const ITEMS: [&str; 23] = [
        "logical_processors",
        "logical_processors_online",
        "logical_processors_available",
        "schedulers",
        "schedulers_online",
        "otp_release",
        "version",
        "system_architecture",
        "kernel_poll",
        "smp_support",
        "threads",
        "thread_pool_size",
        "process_count",
        "process_limit",
        "atom_count",
        "atom_limit",
        "port_count",
        "port_limit",
        "ets_count",
        "ets_limit",
        "dist_buf_busy_limit",
        "creation",
        "system_version",
    ];
    let pair = |name: &'static str, value: Term| Term::tuple([Term::atom(name), value]);
    let uptime = u64::try_from(node.uptime().as_millis()).unwrap_or(u64::MAX);
    let bytes = node.transferred();
    let value = |name| system_info(node, &Term::atom(name)).unwrap_or_else(|_| Term::atom("undefined"));
    let named = [
        pair("uptime", uptime.into()),
        pair("run_queue", run_queue().into()),
        pair("io_input", bytes.received.into()),
        pair("io_output", bytes.sent.into()),
        pair("schedulers_available", value("schedulers")),
        pair("wordsize_internal", value("wordsize")),
        pair("wordsize_external", value("wordsize")),
        pair("alloc_info", Term::nil()),
    ];
    Term::list(named.into_iter().chain(ITEMS.into_iter().map(|name| pair(name, value(name)))).chain(memory(node)))
}

/// The Tables tab of observer: there are none, and there is no Mnesia, which observer shows by this exception of OTP.
fn tables(node: &Node, kind: &Term) -> Outcome {
    if !kind.is_atom("mnesia") {
        return Ok(Term::nil());
    }
    let text = format!("Mnesia is not running on: {}", node.name());
    Err(Exception::throw(Term::tuple([Term::atom("error"), Term::charlist(&text)])))
}

/// The Processes tab of observer.
async fn processes(context: &CallContext, to: &Pid) -> Outcome {
    let sender = context.sender().await?;
    let all = described(&context.node()?);
    for chunk in all.chunks(CHUNK) {
        let part = [Term::atom("procs_info"), context.pid().clone().into(), Term::list(chunk.iter().cloned())];
        if let Err(error) = sender.send_connected(to, &Term::tuple(part)) {
            tracing::debug!(%error, "nobody waits for the processes");
            break;
        }
    }
    Ok(Term::atom("ok"))
}

/// A table of etop: `{etop_info, Now, Processes, WallClock, Runtime, RunQueue, AllocatedAreas, Memory, ProcessInfos}`.
async fn etop(context: &CallContext, to: &Pid) -> Outcome {
    let (sender, node) = (context.sender().await?, context.node()?);
    let (undefined, all) = (|| Term::atom("undefined"), described(&node));
    let info = Term::tuple([
        Term::atom("etop_info"),
        timestamp(),
        Term::from(all.len()),
        undefined(),
        scheduler_wall_time(&node),
        Term::from(run_queue()),
        Term::nil(),
        Term::list(memory(&node)),
        Term::list(all),
    ]);
    if let Err(error) = sender.send_connected(to, &Term::tuple([context.pid().clone().into(), info])) {
        tracing::debug!(%error, "nobody waits for the table");
    }
    Ok(Term::atom("ok"))
}

/// The Load Charts of observer: a message at this interval, until a message comes, or the process that gets them has ended.
async fn load(mut process: Process, context: &CallContext, to: &Pid, every: Duration) -> Outcome {
    process.trap_exit(true);
    process.monitor_connected(to);
    // No tool wants more.
    let every = every.max(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = process.receive() => return Ok(Term::from(false)),
            () = tokio::time::sleep(every) => {}
        }
        let node = context.node()?;
        let memory = Term::list(memory(&node));
        let stats = [Term::atom("stats"), Term::from(1), scheduler_wall_time(&node), io(&node), memory];
        if process.send_connected(to, &Term::tuple(stats)).is_err() {
            return Ok(Term::from(false));
        }
    }
}

/// `{etop_proc_info, Pid, Memory, Reductions, Name, Runtime, CurrentFunction, MessageQueue}` of all processes. An unnamed one is
/// called by its initial function.
fn described(node: &Node) -> Vec<Term> {
    let all = node.processes().into_iter();
    all.filter_map(|pid| {
        let info = node.process_info(&pid)?;
        let item = |name| value(node, &info, name);
        let name = info.names.first().cloned().map_or_else(|| item("initial_call"), Term::Atom);
        let zero = || Term::from(0);
        Some(Term::tuple([
            Term::atom("etop_proc_info"),
            pid.into(),
            item("memory"),
            zero(),
            name,
            zero(),
            item("current_function"),
            item("message_queue_len"),
        ]))
    })
    .collect()
}

/// Now, as `erlang:timestamp/0`.
fn timestamp() -> Term {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    Term::tuple([Term::from(seconds / 1_000_000), Term::from(seconds % 1_000_000), Term::from(micros)])
}
