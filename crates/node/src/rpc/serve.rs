//! Calls that peers make of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use peerl_proto::control::{SpawnReply, SpawnReplyFlags, SpawnRequest};
use peerl_term::{Atom, DecodeError, Decoder, Limits, RawTerm, Term};
use tokio::sync::Notify;

use super::apply;
use super::outcome::{erpc_badarg, erpc_reason, exit_reason};
use crate::connection::{Connection, SendError};
use crate::node::{Inner, Node};
use crate::process::{Core, MailboxPolicy};

/// The calls of peers that are under way.
#[derive(Debug, Default)]
pub(crate) struct Served {
    active: AtomicUsize,
    ended: Notify,
}

impl Node {
    /// Takes no more calls of peers (they get `system_limit`, and ask another node), and waits until those under
    /// way have been answered.
    pub async fn drain(&self) {
        self.inner.draining.store(true, Ordering::SeqCst);
        loop {
            let ended = self.inner.served.ended.notified();
            if self.inner.served.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The number of calls of peers that are under way.
    pub fn calls_served(&self) -> usize {
        self.inner.served.active.load(Ordering::Relaxed)
    }
}

/// Spawns a process for a peer: for a call by `erpc`, or to run an exported function.
///
/// The peer always gets a reply, and, if it asked for a link or a monitor, the exit reason after it.
pub(crate) fn serve(
    node: &Arc<Inner>,
    connection: &Arc<Connection>,
    request: SpawnRequest,
    arguments: RawTerm,
) -> Result<(), SendError> {
    let refused = match request.spawn_options() {
        Err(_) => Some("badopt"),
        Ok(_) if node.draining.load(Ordering::Relaxed) => Some("system_limit"),
        Ok(_) if node.served.active.load(Ordering::Relaxed) >= node.limits.calls => Some("system_limit"),
        Ok(_) => None,
    };
    let options = request.spawn_options().unwrap_or_default();
    if let Some(reason) = refused {
        let reply = SpawnReply {
            reference: request.reference,
            to: request.from,
            flags: SpawnReplyFlags::empty(),
            result: Err(Atom::from_static(reason)),
        };
        return connection.outbox.send(&node.requester, &reply, |_| {});
    }
    let process = Core::new(node.identity.next_pid(), MailboxPolicy::default());
    let mut flags = SpawnReplyFlags::empty();
    if let Some(mut state) = process.alive() {
        if options.link {
            flags |= SpawnReplyFlags::LINK;
            state.links.linked_by(request.from.clone());
        }
        if options.monitor {
            flags |= SpawnReplyFlags::MONITOR;
            state.spawner = Some((request.reference.clone(), request.from.clone()));
        }
        state.group_leader = Some(request.group_leader);
    }
    node.processes.insert(process.clone());
    let reply = SpawnReply { reference: request.reference, to: request.from, flags, result: Ok(process.pid.clone()) };
    connection.outbox.send(&process.pid, &reply, |_| {})?;
    node.served.active.fetch_add(1, Ordering::Relaxed);
    let (node, function) = (node.clone(), request.function);
    tokio::spawn(async move {
        let reason = tokio::select! {
            biased;
            reason = run(&node, function.module, function.function, arguments) => reason,
            // Ended by a signal: what runs is dropped.
            reason = process.ended() => reason,
        };
        node.end(&process, &reason);
        node.served.active.fetch_sub(1, Ordering::SeqCst);
        if node.draining.load(Ordering::Relaxed) {
            node.served.ended.notify_waiters();
        }
    });
    Ok(())
}

/// Runs what the process was spawned for; gives its exit reason.
async fn run(node: &Arc<Inner>, module: Atom, function: Atom, arguments: RawTerm) -> RawTerm {
    match (module.as_str(), function.as_str()) {
        ("erpc", "execute_call") => match Execution::parse(&arguments, true) {
            Ok(call) => {
                let result = call.result.unwrap_or_else(Term::nil);
                match call.function {
                    Some((module, function, arguments)) => {
                        erpc_reason(&result, apply(node, module, function, arguments).await)
                    }
                    None => erpc_badarg(result),
                }
            }
            Err(_) => crate::reason::atom("badarg"),
        },
        ("erpc", "execute_cast") => match Execution::parse(&arguments, false) {
            Ok(Execution { function: Some((module, function, arguments)), .. }) => {
                if let Err(exception) = apply(node, module, function, arguments).await {
                    tracing::warn!(%exception, "a cast function failed");
                }
                crate::reason::atom("normal")
            }
            _ => crate::reason::atom("badarg"),
        },
        _ => exit_reason(apply(node, module, function, arguments).await),
    }
}

/// The arguments of `erpc:execute_call(Result, Module, Function, Arguments)` and `erpc:execute_cast/3`.
struct Execution {
    result: Option<Term>,
    /// `None`, if what stands there cannot be a function and its arguments.
    function: Option<(Atom, Atom, RawTerm)>,
}

impl Execution {
    fn parse(arguments: &RawTerm, has_result: bool) -> Result<Self, DecodeError> {
        let limits = Limits::default();
        let mut decoder = Decoder::new(arguments.bytes(), arguments.atoms(), &limits);
        decoder.list_header()?;
        let result = has_result.then(|| decoder.term()).transpose()?;
        let mut function = || -> Result<_, DecodeError> {
            let (module, function) = (decoder.atom()?, decoder.atom()?);
            let start = decoder.position();
            decoder.skip_term()?;
            let list = arguments.bytes().slice(start..decoder.position());
            Ok((module, function, RawTerm::new(list, arguments.atoms().clone())))
        };
        let function = function().ok().filter(|(_, _, list)| super::apply::list_len(list).is_some());
        Ok(Self { result, function })
    }
}
