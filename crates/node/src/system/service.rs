//! The processes that belong to the node itself. Nothing that a peer sends ends one of them, and each can be asked
//! whether it still works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use peerl_term::{Atom, Pid, Term};
use tokio::time::timeout;

use crate::inner::Inner;
use crate::kernel::process::{Core, MailboxPolicy, Message, Overflow};
use crate::process::{Payload, Process};
use crate::rpc::Caller;

/// How long such a process may take to answer: what it does with a message never waits for anybody.
const ANSWER: Duration = Duration::from_secs(2);

/// How long nothing is taken after a message whose handling has failed: a peer that knows how to make it fail is not to
/// keep the node busy.
const PAUSE: Duration = Duration::from_millis(100);

/// The question that any of them answers, from this node itself.
const PRESENT: Atom = Atom::from_static("$peerl_present");

/// What a process of the node does with the messages that it gets. It must not wait.
pub(super) trait Service: Send + 'static {
    fn handle(&mut self, process: &Process, message: Term);
}

/// Starts a process that does this with its messages for as long as the node runs.
///
/// A BEAM's supervisors would start such a process again if it ended, and end the node if that did not help. Here exit
/// signals do not end it, a full mailbox makes the senders wait, and a panic costs the message that caused it; so its pid,
/// which peers may keep, is always the same.
pub(super) fn start(node: &Arc<Inner>, names: &[Atom], mut service: impl Service) -> Pid {
    let mailbox = MailboxPolicy { messages: 100_000, bytes: 64 << 20, overflow: Overflow::Wait };
    let mut process = Process::start(node, mailbox);
    process.ignore_exits();
    for name in names {
        // Nobody else can have the name yet.
        let _ = process.register(name.clone());
    }
    let pid = process.pid().clone();
    tokio::spawn(async move {
        while let Ok(message) = process.receive().await {
            let Message::User(payload) = message else { continue };
            let Ok(message) = payload.decode() else { continue };
            let handled = catch_unwind(AssertUnwindSafe(|| match question(&process, &message) {
                Some(from) => drop(process.reply(&from, &true)),
                None => service.handle(&process, message),
            }));
            if handled.is_err() {
                tracing::error!(pid = ?process.pid(), "a message could not be dealt with");
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    pid
}

/// Who asks whether this process is present.
fn question(process: &Process, message: &Term) -> Option<Caller> {
    let [kind, Term::Tuple(from), request] = message.as_tuple()? else { return None };
    let [Term::Pid(pid), tag] = &from[..] else { return None };
    let is_ours =
        kind.is_atom("$gen_call") && request.is_atom(&PRESENT) && process.inner().kernel.identity.is_local(pid);
    is_ours.then(|| Caller { pid: (**pid).clone(), tag: tag.clone() })
}

/// Waits until a process has dealt with all that was sent to it so far; says whether it has, in time.
pub(super) async fn present(node: &Arc<Inner>, process: Arc<Core>) -> bool {
    let mut asking = Process::start(node, MailboxPolicy::default());
    let from = Term::tuple([asking.pid().clone().into(), node.kernel.identity.next_reference().into()]);
    let question = Term::tuple([Term::atom("$gen_call"), from, PRESENT.into()]);
    let answered = async {
        node.send_here(Some(process), Payload::Term(&question)).await;
        asking.receive().await.is_ok()
    };
    timeout(ANSWER, answered).await.unwrap_or(false)
}
