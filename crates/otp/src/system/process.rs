//! The processes that belong to the node itself. Nothing that a peer sends ends one of them, and each can be asked
//! whether it still works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use peerl_node::{
    Atom, Caller, Destination, Lease, MailboxPolicy, Message, Node, Overflow, PacedTasks, Peer, Pid, Process, Refused,
    ServedCall, ServiceError,
};
use peerl_term::{RawTerm, Term};

use crate::panic;

/// How long such a process may take to answer: what it does with a message never waits for anybody.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// How long nothing is taken after a message whose handling has failed: a peer that knows how to make it fail is not to
/// keep the node busy.
const PAUSE: Duration = Duration::from_millis(100);

/// How many messages such a process takes before others run. Senders wait if its mailbox is full meanwhile.
const AT_ONCE: usize = 128;

/// The most messages that wait for such a process. Those of others may have to wait for all of them: some 40 ms.
const MOST_WAITING: usize = 8192;

/// The question that any of them answers, from this node itself.
const PRESENT: Atom = Atom::from_static("$peerl_present");

/// What a process of the node does with the messages that it gets. It must not wait, but may start a task for each.
pub(super) trait SystemProcess: Send + 'static {
    fn handle(&mut self, received: Received<'_>, message: Term);
}

/// What a message came with.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    /// The process that has received it.
    pub(super) process: &'a Process,
    /// For the tasks that messages start.
    pub(super) tasks: &'a PacedTasks,
    /// As it came.
    pub(super) payload: &'a RawTerm,
}

/// The sender has no memory left for what is to be kept of its message.
pub(super) struct NoRoom;

/// A call that has come as a message, and the room for that message.
pub(super) struct BegunCall {
    pub(super) served: ServedCall,
    _kept: Option<Lease>,
}

impl Received<'_> {
    /// Takes from the sender's share of the memory what the message takes as a term, for as long as it is kept. A process of this
    /// node needs none.
    pub(super) fn keep(&self) -> Result<Option<Lease>, NoRoom> {
        self.process.received_from().map(|peer| peer.lease_for(self.payload).ok_or(NoRoom)).transpose()
    }

    /// The same for a message that is encoded once more, to be sent.
    pub(super) fn keep_and_encode(&self) -> Result<Option<Lease>, NoRoom> {
        let mut kept = self.keep()?;
        if let Some(lease) = &mut kept
            && !lease.resize(lease.amount() + self.payload.bytes().len())
        {
            return Err(NoRoom);
        }
        Ok(kept)
    }

    /// Takes a call with the message's arguments.
    pub(super) fn begin_call(&self, node: &Node) -> Result<BegunCall, Refused> {
        let served = node.begin_call(self.process.received_from(), self.payload.bytes().len())?;
        Ok(BegunCall { served, _kept: self.keep().map_err(|NoRoom| Refused::Busy)? })
    }

    /// The node that has sent the message.
    pub(super) fn sender(&self) -> &Atom {
        self.process.received_from().and_then(Peer::node).unwrap_or(&self.process.pid().node)
    }
}

/// Starts a process that does this with its messages for as long as the node runs.
///
/// A BEAM's supervisors would start such a process again if it ended, and end the node if that did not help. Here exit
/// signals do not end it, a full mailbox makes the senders wait, and a panic costs the message that caused it; so its pid,
/// which peers may keep, is always the same.
pub(super) fn start(
    node: &Node,
    names: &[&'static str],
    mut behaviour: impl SystemProcess,
) -> Result<Pid, ServiceError> {
    let mailbox = MailboxPolicy { messages: MOST_WAITING, bytes: 64 << 20, overflow: Overflow::Wait };
    let mut process = node.process_with(mailbox);
    process.ignore_exits();
    process.tell_senders();
    for name in names {
        process.register(Atom::from_static(name))?;
    }
    let pid = process.pid().clone();
    tokio::spawn(async move {
        let tasks = PacedTasks::default();
        let mut handled_at_once = 0;
        while let Ok(message) = process.receive().await {
            let Message::User(payload) = message else { continue };
            if handled_at_once == AT_ONCE {
                handled_at_once = 0;
                tokio::task::yield_now().await;
            }
            handled_at_once += 1;
            tasks.room().await;
            let handled = catch_unwind(AssertUnwindSafe(|| {
                payload.work(|| {
                    let Ok(message) = payload.decode() else { return };
                    match question(&process, &message) {
                        Some(from) => drop(process.reply(&from, &true)),
                        None => {
                            behaviour.handle(Received { process: &process, tasks: &tasks, payload: &payload }, message)
                        }
                    }
                });
            }));
            if let Err(panic) = handled {
                let panic = panic::text(&*panic);
                tracing::error!(pid = ?process.pid(), panic, "a message could not be dealt with");
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    Ok(pid)
}

/// Who asks whether this process is present.
fn question(process: &Process, message: &Term) -> Option<Caller> {
    let [kind, Term::Tuple(from), request] = message.as_tuple()? else { return None };
    let [Term::Pid(pid), tag] = &from[..] else { return None };
    let is_ours = pid.node == process.pid().node && pid.creation == process.pid().creation;
    let is_question = kind.is_atom("$gen_call") && request.is_atom(&PRESENT) && is_ours;
    is_question.then(|| Caller { pid: (**pid).clone(), tag: tag.clone() })
}

/// Waits until a process has dealt with all that was sent to it so far; says whether it has, in time.
pub(super) async fn present(node: &Node, process: impl Into<Destination>) -> bool {
    node.gen_call::<bool>(process, &Term::from(PRESENT)).timeout(ANSWER).await.is_ok()
}
