use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use parking_lot::RwLock;
use peerl_node::{Pid, Term};
use tokio::sync::mpsc;

use super::message::Change;
use super::state::Origin;
use super::view::{MonitorId, Reach, Subject, Update, View};

/// What a scope process shows to the tasks of its program: they read it without asking the process, as BEAM processes read
/// the table of `pg`.
#[derive(Debug, Default)]
pub(super) struct Shared(RwLock<Shown>);

#[derive(Debug, Default)]
struct Shown {
    view: View,
    receivers: BTreeMap<MonitorId, mpsc::Sender<Update>>,
    /// How many scope processes have ended.
    ended: u64,
    is_over: bool,
}

/// The updates that wait for one that is told of them.
const QUEUE: usize = 16_384;

/// How many groups or members are read at a time.
const TURN: usize = 512;

impl Shared {
    /// Applies a change, and tells of it.
    pub(super) fn apply(&self, origin: Origin, change: Change) {
        let mut shown = self.0.write();
        for (id, update) in shown.view.apply(origin, change) {
            let Some(receiver) = shown.receivers.get(&id) else { continue };
            // It has not received for long.
            if receiver.try_send(update).is_err() {
                shown.receivers.remove(&id);
                shown.view.demonitor(id);
            }
        }
    }

    /// Another scope process starts.
    pub(super) fn begin(&self) {
        self.0.write().is_over = false;
    }

    /// The scope process has ended: nothing is known any more.
    pub(super) fn end(&self) {
        let mut shown = self.0.write();
        let former = shown.view.clear();
        shown.receivers.clear();
        shown.is_over = true;
        shown.ended += 1;
        // Nobody waits for that.
        drop(shown);
        drop(former);
    }

    /// The groups, so many at most. Who changes groups does not wait until all are read: one that comes or goes meanwhile may be there
    /// or not.
    pub(super) fn groups_in_turns(&self, reach: Reach, most: usize) -> Vec<Term> {
        let (mut groups, mut last) = (Vec::new(), None);
        while groups.len() < most {
            let next = self.read(|view| view.groups_after(last.as_ref(), reach, TURN.min(most - groups.len())));
            let Some(end) = next.last() else { break };
            last = Some(end.clone());
            groups.extend(next.iter().map(|group| Term::clone(group)));
        }
        groups
    }

    /// The members of a group, so many at most, in the same way.
    pub(super) fn members_in_turns(&self, group: &Term, reach: Reach, most: usize) -> Vec<Pid> {
        let (mut members, mut last) = (Vec::new(), None);
        while members.len() < most {
            let next = self.read(|view| view.members_after(group, last.as_ref(), reach, TURN));
            let Some((end, _)) = next.last() else { break };
            last = Some(end.clone());
            members.extend(next.into_iter().flat_map(|(pid, count)| repeat_n(pid, count)).take(most - members.len()));
        }
        members
    }

    /// Reads what is shown.
    pub(super) fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.0.read().view)
    }

    /// Reads what is shown, and has later changes told: none is missing, and none is told that was read.
    pub(super) fn monitor<T>(self: &Arc<Self>, subject: Subject, read: impl FnOnce(&View) -> T) -> (T, Updates) {
        let mut shown = self.0.write();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let id = shown.view.monitor(subject);
        // Dropped at once, if the scope process has ended.
        if !shown.is_over {
            shown.receivers.insert(id, sender);
        }
        (read(&shown.view), Updates { id, ended: shown.ended, shared: self.clone(), receiver })
    }
}

/// The changes of a group, or of all groups of a scope, from a moment on, as `pg:monitor/2` and `pg:monitor_scope/1` tell
/// them.
///
/// As a [`Stream`] it ends where [`recv`](Self::recv) gives an error.
#[derive(Debug)]
pub struct Updates {
    id: MonitorId,
    /// The scope processes that had ended when this one was there.
    ended: u64,
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Update>,
}

/// There are no more updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdatesEnded {
    /// The scope process has ended.
    #[error("the scope has ended")]
    Scope,
    /// They were not received: too many were waiting.
    #[error("more than {QUEUE} updates were waiting to be received")]
    Lagging,
}

impl Updates {
    /// Waits for the next update.
    ///
    /// # Errors
    /// If there are no more.
    pub async fn recv(&mut self) -> Result<Update, UpdatesEnded> {
        self.receiver.recv().await.ok_or_else(|| {
            let shown = self.shared.0.read();
            match shown.is_over || shown.ended != self.ended {
                true => UpdatesEnded::Scope,
                false => UpdatesEnded::Lagging,
            }
        })
    }
}

impl Stream for Updates {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.receiver.poll_recv(cx)
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        let mut shown = self.shared.0.write();
        shown.receivers.remove(&self.id);
        shown.view.demonitor(self.id);
    }
}

/// All groups with their members.
pub(super) fn all(view: &View) -> BTreeMap<Term, Arc<[Pid]>> {
    view.groups().into_iter().map(|group| (group.clone(), view.members(&group))).collect()
}

#[cfg(test)]
mod tests {
    use peerl_node::Atom;

    use super::*;

    fn change(joined: bool) -> Change {
        let pids = vec![Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 1 }];
        let (joined, left) = if joined { (pids, vec![]) } else { (vec![], pids) };
        Change { group: Arc::new(Term::atom("g")), joined, left }
    }

    #[tokio::test]
    async fn who_does_not_receive_is_told_no_more() {
        let shared = Arc::new(Shared::default());
        let ((), mut updates) = shared.monitor(Subject::Scope, |_| ());
        for number in 0..=QUEUE {
            shared.apply(Origin::Local, change(number % 2 == 0));
        }
        assert!(shared.0.read().receivers.is_empty());
        for _ in 0..QUEUE {
            updates.recv().await.unwrap();
        }
        assert_eq!(updates.recv().await, Err(UpdatesEnded::Lagging));
    }

    #[tokio::test]
    async fn updates_end_with_their_scope_and_leave_nothing_behind_when_dropped() {
        let shared = Arc::new(Shared::default());
        let ((), dropped) = shared.monitor(Subject::Group(Term::atom("g")), |_| ());
        drop(dropped);
        assert!(shared.0.read().receivers.is_empty());
        let ((), mut updates) = shared.monitor(Subject::Scope, |_| ());
        shared.apply(Origin::Local, change(true));
        shared.end();
        assert!(updates.recv().await.is_ok());
        assert_eq!(updates.recv().await, Err(UpdatesEnded::Scope));
        let (members, mut late) = shared.monitor(Subject::Scope, all);
        assert!(members.is_empty());
        assert_eq!(late.recv().await, Err(UpdatesEnded::Scope));

        // Those of the process before do not disturb those of the next one.
        shared.begin();
        let ((), mut next) = shared.monitor(Subject::Scope, |_| ());
        assert_eq!(updates.recv().await, Err(UpdatesEnded::Scope));
        drop((updates, late));
        shared.apply(Origin::Local, change(true));
        assert!(next.recv().await.is_ok());
    }
}
