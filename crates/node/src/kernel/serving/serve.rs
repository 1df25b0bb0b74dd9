//! Calls that peers make of this node.

use std::mem;
use std::sync::Arc;

use futures::FutureExt;
use peerl_proto::channel::Fragments;
use peerl_proto::connection::LARGE;
use peerl_proto::control::{ProcessId, SpawnOptions, SpawnReply, SpawnReplyFlags, SpawnRequest, TraceToken};
use peerl_term::{Atom, Binary, Pid, RawTerm, Reference, Term};

use super::active::{Active, Refused};
use super::job::Job;
use super::outcome::fit;
use crate::kernel::batching::TURN;
use crate::kernel::call::CallOrigin;
use crate::kernel::connection::{Added, Connection, QueueError};
use crate::kernel::limits::Limits;
use crate::kernel::long_work;
use crate::kernel::process::{Core, MailboxPolicy};
use crate::kernel::reason::{self, JobEnd, Reason};
use crate::kernel::signal::Delivery;
use crate::kernel::state::Kernel;

/// The error of what does not fit.
pub(crate) const SYSTEM_LIMIT: Atom = Atom::from_static("system_limit");

/// A process that a peer wants spawned.
pub(crate) struct Spawn {
    reference: Reference,
    from: Pid,
    group_leader: Pid,
    module: Atom,
    function: Atom,
    options: SpawnOptions,
    arguments: RawTerm,
    token: Option<Box<TraceToken>>,
    active: Active,
}

/// Takes a request to spawn a process: for a call by `erpc`, or to run an exported function. Refuses what cannot be
/// taken.
///
/// The peer always gets a reply, and, if it asked for a link or a monitor, the exit reason after it.
pub(crate) fn take_spawn(
    node: &Arc<Kernel>,
    connection: &Connection,
    request: &mut SpawnRequest,
    arguments: RawTerm,
    token: Option<Box<TraceToken>>,
) -> Result<Option<Spawn>, QueueError> {
    let reference = mem::replace(&mut request.reference, Reference::VACANT);
    let from = mem::replace(&mut request.from, Pid::VACANT);
    let refused = match request.options {
        Err(_) => Atom::from_static("badopt"),
        // The peer is slow to take its answers.
        Ok(_) if connection.answers.bytes() > node.limits.channel.reassembly => SYSTEM_LIMIT,
        Ok(options) => match begin(node, connection, &arguments, token.as_deref()) {
            Ok(active) => {
                return Ok(Some(Spawn {
                    reference,
                    from,
                    group_leader: mem::replace(&mut request.group_leader, Pid::VACANT),
                    module: request.function.module.clone(),
                    function: request.function.function.clone(),
                    options,
                    arguments: kept(arguments),
                    token,
                    active,
                }));
            }
            Err(Refused::Draining) => Atom::from_static("noconnection"),
            Err(Refused::Busy) => SYSTEM_LIMIT,
        },
    };
    refuse(node, connection, reference, from, refused)?;
    Ok(None)
}

/// Arguments of which a function may keep parts for long: a large binary is a part of the bytes that it is decoded from, and those of
/// the read buffer may be a hundred times as many. A large message has left that buffer.
fn kept(arguments: RawTerm) -> RawTerm {
    if (Binary::SHARED..=LARGE).contains(&arguments.bytes().len()) { arguments.unshared() } else { arguments }
}

/// Takes memory for a call: the process keeps the token, too.
fn begin(
    node: &Arc<Kernel>,
    connection: &Connection,
    arguments: &RawTerm,
    token: Option<&TraceToken>,
) -> Result<Active, Refused> {
    let active = Active::begin(node, &connection.served, arguments.bytes().len())?;
    match token {
        Some(token) => active.with(token.memory()),
        None => Ok(active),
    }
}

/// Says that a process is not spawned.
pub(crate) fn refuse(
    node: &Kernel,
    connection: &Connection,
    reference: Reference,
    from: Pid,
    error: Atom,
) -> Result<(), QueueError> {
    let reply = SpawnReply { reference, to: from, flags: SpawnReplyFlags::empty(), result: Err(error) };
    connection.outbox.send(&node.requester, &connection.forms.spawn_reply(reply), |_| {})
}

/// Runs the functions of requests that came together, in one task: most have their value at once, and their answers
/// are written together. One that has to wait goes on in a task of its own.
///
/// Only functions that are known to be quick are evaluated here: the
/// [`Evaluation`](crate::kernel::exports::Evaluation) of another one begins in a task of its own. Each is measured, so that one
/// that is not quick any more delays those that came with it once.
///
/// Waits while the peer has many requests that have not begun.
pub(crate) async fn serve(node: &Arc<Kernel>, connection: &Arc<Connection>, spawns: &mut Vec<Spawn>) {
    if spawns.is_empty() {
        return;
    }
    let spawns = mem::take(spawns);
    let waiting = connection.served.wait(spawns.len()).await;
    let (node, connection) = (node.clone(), connection.clone());
    tokio::spawn(async move {
        let (mut calls, mut bytes) = (0, 0);
        for spawn in spawns {
            if calls == TURN || bytes > LARGE {
                // Neither the writer nor another connection waits for all of them.
                tokio::task::yield_now().await;
                (calls, bytes) = (0, 0);
            }
            calls += 1;
            bytes += spawn.arguments.bytes().len();
            connection.served.tasks.room().await;
            if spawn.arguments.is_long() {
                connection.served.tasks.spawn(start_long(node.clone(), connection.clone(), spawn));
            } else {
                start(&node, &connection, spawn);
            }
        }
        drop(waiting);
    });
}

/// Starts a process whose arguments take long to decode, where no other call waits for it. A peer gets one after another.
async fn start_long(node: Arc<Kernel>, connection: Arc<Connection>, spawn: Spawn) {
    let _of_peer = connection.served.long.lock().await;
    let _turn = long_work::turn().await;
    long_work::run(|| start(&node, &connection, spawn));
}

/// Starts a process. The reply is queued before the function runs, so that it goes out before anything that the function
/// sends; it is written together with what has been sent by the function's first wait.
fn start(node: &Arc<Kernel>, connection: &Arc<Connection>, spawn: Spawn) {
    let Spawn { reference, from, group_leader, module, function, options, arguments, token, active } = spawn;
    let pid = node.identity.next_pid();
    let origin = CallOrigin {
        node: Some(&from.node),
        caller: Some(&from),
        calls: Some(&connection.served),
        group_leader: Some(&group_leader),
        process: &pid,
    };
    let mut job = Job::new(node, origin, module, function, arguments);
    #[cfg(feature = "spans")]
    job.set_span(&from.node, &reference);
    if let Some(error) = job.refusal() {
        // If it cannot be queued, the connection is about to end.
        let _ = refuse(node, connection, reference, from, error);
        return;
    }
    // No process, if the peer has no memory left for its link or monitor.
    let process = |pid, reference: Reference, from: Pid, job: &mut Job| {
        let process = Core::new(pid, MailboxPolicy::default());
        let mut replaced = None;
        if let Some(mut state) = process.alive() {
            let tie = options.link.then(|| connection.ties.tie(&process.pid)).flatten();
            if options.link && !state.links.linked_by_peer(from.clone(), &connection.memory, tie) {
                return None;
            }
            job.begin_in(&process, &mut state);
            if options.monitor {
                match connection.monitors.add(reference.clone(), process.clone()) {
                    Added::NoRoom => return None,
                    Added::Closed => state.spawner_gone(),
                    Added::New => state.spawner = Some((reference, from)),
                    Added::Replaced(before) => {
                        state.spawner = Some((reference.clone(), from));
                        replaced = Some((before, reference));
                    }
                }
            }
            state.group_leader = Some(group_leader);
        }
        if let Some((before, reference)) = replaced {
            before.unwatch(&connection.atom, &reference);
        }
        node.processes.insert(process.clone());
        Some(process)
    };
    let reply = spawned(reference.clone(), from.clone(), options, pid.clone());
    let reply = connection.forms.spawn_reply(reply);
    if !connection.memory.has_room(Limits::MONITOR) {
        let _ = refuse(node, connection, reference, from, SYSTEM_LIMIT);
        return;
    }
    if options.link || !job.is_call() || token.is_some() || job.receives() {
        // Signals may come as soon as the peer knows the pid.
        let Some(process) = process(pid, reference.clone(), from.clone(), &mut job) else {
            let _ = refuse(node, connection, reference, from, SYSTEM_LIMIT);
            return;
        };
        if options.link && connection.closed.is_cancelled() {
            // The links of the peer's processes may have been broken before this one was made.
            return node.end(&process, &reason::atom("noconnection"));
        }
        let token = token.map(|token| process.begin_trace(*token));
        // If it cannot be queued, the connection is about to end.
        let reply = connection.forms.with_token(reply, token.as_ref());
        let _ = connection.outbox.send_held(&process.pid, &reply);
        match (&mut job).now_or_never() {
            Some(ended) => node.end(&process, &fit(ended, &connection.memory).into_reason()),
            None => connection.served.tasks.spawn(go_on(active, connection.clone(), process, job)),
        }
        return connection.outbox.release();
    }
    // Callers by `erpc` are not told the pid. Most calls have their value at once, and need no process.
    let _ = connection.outbox.send_held(&pid, &reply);
    let sent = match (&mut job).now_or_never().map(|ended| fit(ended, &connection.memory)) {
        Some(_) if !options.monitor => Ok(Delivery::NotOffered),
        Some(JobEnd::Returned(returned)) if returned.value.bytes().len() > Fragments::LARGE => {
            let (tasks, connection) = (connection.served.tasks.clone(), connection.clone());
            tasks.spawn(async move {
                if ready(active.kernel(), &connection, &pid, returned.value.bytes().len()).await.is_ok() {
                    let _ = connection.send_returned(pid, from, reference, returned);
                }
            });
            Ok(Delivery::NotOffered)
        }
        Some(JobEnd::Returned(returned)) => connection.send_returned(pid, from, reference, returned),
        Some(JobEnd::Other(reason)) => {
            connection.send_down(&pid, ProcessId::Pid(pid.clone()), from, reference, &reason)
        }
        None => match process(pid.clone(), reference.clone(), from.clone(), &mut job) {
            Some(process) => {
                connection.served.tasks.spawn(go_on(active, connection.clone(), process, job));
                Ok(Delivery::NotOffered)
            }
            None => {
                let reason = Reason::from(Term::from(SYSTEM_LIMIT));
                connection.send_down(&pid, ProcessId::Pid(pid.clone()), from, reference, &reason)
            }
        },
    };
    if sent != Ok(Delivery::Done) {
        connection.outbox.release();
    }
}

fn spawned(reference: Reference, to: Pid, options: SpawnOptions, pid: Pid) -> SpawnReply {
    let mut flags = SpawnReplyFlags::empty();
    flags.set(SpawnReplyFlags::LINK, options.link);
    flags.set(SpawnReplyFlags::MONITOR, options.monitor);
    SpawnReply { reference, to, flags, result: Ok(pid) }
}

/// Waits until the peer takes a large answer.
async fn ready(node: &Kernel, connection: &Connection, from: &Pid, size: usize) -> Result<(), QueueError> {
    connection.answers.ready(&connection.outbox, from, size, node.limits.queued).await
}

/// Waits for a function that did not have its value at once.
async fn go_on(active: Active, connection: Arc<Connection>, process: Arc<Core>, job: Job) {
    let done = async {
        let reason = fit(job.await, &connection.memory).into_reason();
        if let Reason::Returned { value, .. } = &reason
            && value.bytes().len() > Fragments::LARGE
        {
            // If the connection ends, the answer is dropped.
            let _ = ready(active.kernel(), &connection, &process.pid, value.bytes().len()).await;
        }
        reason
    };
    let reason = tokio::select! {
        biased;
        reason = done => reason,
        // A signal has ended the process and told its links and monitors: the function is dropped.
        () = process.ended() => return,
    };
    active.kernel().end(&process, &reason);
}
