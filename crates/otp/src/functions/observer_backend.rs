//! `observer_backend`: what observer and etop ask a node for.

use std::time::{Duration, SystemTime};

use peerl_node::{CallContext, Exception, Node, Pid, Process, ProcessSummary};
use peerl_term::{AtomError, Term};

use super::memory::memory;
use super::statistics::{io, run_queue, scheduler_wall_time};
use super::system_info::system_info;
use super::{Extent, Outcome, binary, nullary, place_of, receiver};
use crate::places::Places;

const VERSION: &str = concat!("peerl ", env!("CARGO_PKG_VERSION"));

/// The most processes in a message of `procs_info/1`: it stays small, so that the signals of this node do not wait for it.
const CHUNK: usize = 500;

/// The memory that the description of a process takes, the encoded one included.
const DESCRIPTION: usize = 800;

/// The most processes that send statistics, of which a peer has as many as it leaves for the others.
const LOADS: usize = 64;

/// The shortest time between statistics. Observer asks for a second or more.
const INTERVAL: Duration = Duration::from_secs(1);

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
    let places = Places::new(LOADS);
    node.export(MODULE, "fetch_stats", move |process: Process, context: CallContext, (to, every): (Pid, u32)| {
        let place = place_of(&context, &places);
        async move {
            let _place = place?;
            load(process, &context, receiver(&context, &to)?, Duration::from_millis(every.into())).await
        }
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
    let (to, sender, node) = (receiver(context, to)?, context.sender().await?, context.node()?);
    let Extent { steps, bytes } = Extent::pids(node.process_count());
    let _lease = context.lease(bytes + CHUNK * DESCRIPTION)?;
    let send = || {
        for pids in node.processes().chunks(CHUNK) {
            let list = Term::list(pids.iter().filter_map(|pid| described(&node, pid)));
            let part = [Term::atom("procs_info"), context.pid().clone().into(), list];
            if let Err(error) = sender.send_connected(to, &Term::tuple(part)) {
                tracing::debug!(%error, "nobody waits for the processes");
                break;
            }
        }
    };
    context.work(steps * STEPS, send).await?;
    Ok(Term::atom("ok"))
}

/// A table of etop: `{etop_info, Now, Processes, WallClock, Runtime, RunQueue, AllocatedAreas, Memory, ProcessInfos}`.
async fn etop(context: &CallContext, to: &Pid) -> Outcome {
    let (to, sender, node) = (receiver(context, to)?, context.sender().await?, context.node()?);
    let count = node.process_count();
    let _lease = context.lease(count * DESCRIPTION)?;
    let send = || {
        let all: Vec<Term> = node.processes().iter().filter_map(|pid| described(&node, pid)).collect();
        let undefined = || Term::atom("undefined");
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
    };
    context.work(count * STEPS, send).await?;
    Ok(Term::atom("ok"))
}

/// The Load Charts of observer: a message at this interval, until a message comes, or the process that gets them has ended.
async fn load(mut process: Process, context: &CallContext, to: &Pid, every: Duration) -> Outcome {
    process.trap_exit(true);
    process.monitor_connected(to);
    let every = every.max(INTERVAL);
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

/// How many microseconds it takes about to describe a process.
const STEPS: usize = 2;

/// `{etop_proc_info, Pid, Memory, Reductions, Name, Runtime, CurrentFunction, MessageQueue}` of a process. An unnamed one is called by
/// its initial function.
fn described(node: &Node, pid: &Pid) -> Option<Term> {
    let ProcessSummary { name, function, messages, message_bytes, .. } = node.process_summary(pid)?;
    let function = function.map_or_else(
        || Term::atom("undefined"),
        |(module, name, arity)| Term::tuple([module.into(), name.into(), Term::from(arity)]),
    );
    let zero = || Term::from(0);
    Some(Term::tuple([
        Term::atom("etop_proc_info"),
        pid.clone().into(),
        Term::from(message_bytes),
        zero(),
        name.map_or_else(|| function.clone(), Term::Atom),
        zero(),
        function,
        Term::from(messages),
    ]))
}

/// Now, as `erlang:timestamp/0`.
fn timestamp() -> Term {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    Term::tuple([Term::from(seconds / 1_000_000), Term::from(seconds % 1_000_000), Term::from(micros)])
}
