//! Queues for what peers want printed and logged: to format it, their nodes are asked, and no node waits for the answer of another.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use parking_lot::Mutex;
use peerl_node::{Atom, Lease};

use super::process::Received;
use super::unfinished::{Unfinished, Work};
use crate::panic;

/// The most jobs of a node that have not been done: each that is begun has a task, which may wait for long.
const MOST: usize = 1024;

/// Does jobs.
pub(super) trait Worker: Clone + Send + 'static {
    /// Jobs that a node sends with one key are done in their order.
    type Key: Clone + Eq + Hash + Send + 'static;
    type Job: Send + Sync + 'static;

    /// Does a job that this node has sent, and may take it apart. The same worker does the jobs of a queue until there are none left.
    fn work(&mut self, sender: &Atom, job: &mut Self::Job) -> impl Future<Output = ()> + Send;

    /// What is done where a job has panicked.
    fn failed(&self, _: &Self::Job) {}
}

/// A queue of jobs for each node that sends them, and each key. It has a task of its own, which ends when there are none left. A
/// job that panics costs only itself.
pub(super) struct Queues<W: Worker> {
    worker: W,
    jobs: SharedJobs<W>,
    unfinished: Unfinished,
}

type SharedJobs<W> = Arc<Mutex<Jobs<<W as Worker>::Key, Waiting<<W as Worker>::Job>>>>;

/// A job that waits for its turn.
struct Waiting<J> {
    job: J,
    _work: Work,
    _lease: Option<Lease>,
}

impl<W: Worker> Queues<W> {
    pub(super) fn new(worker: W, unfinished: Unfinished) -> Self {
        Self { worker, jobs: SharedJobs::<W>::default(), unfinished }
    }

    /// Has a job done that a message has brought. Returns it if too many of its sender have not been done, or if its sender has no memory left for it.
    pub(super) fn push(&mut self, received: Received<'_>, key: W::Key, job: W::Job) -> Result<(), W::Job> {
        let sender = received.sender();
        if !self.jobs.lock().have_room(sender) {
            return Err(job);
        }
        let Ok(lease) = received.keep_and_encode() else { return Err(job) };
        let waiting = Waiting { job, _work: self.unfinished.begin(), _lease: lease };
        if self.jobs.lock().add(sender, &key, waiting) == Added::First {
            received.tasks.spawn(work(self.worker.clone(), sender.clone(), key, self.jobs.clone()));
        }
        Ok(())
    }

    /// Whether jobs with this key have not been done yet.
    pub(super) fn are_busy(&self, sender: &Atom, key: &W::Key) -> bool {
        self.jobs.lock().have(sender, key)
    }
}

/// Does the jobs of a queue until there are none left.
async fn work<W: Worker>(mut worker: W, sender: Atom, key: W::Key, jobs: SharedJobs<W>) {
    loop {
        let next = jobs.lock().next(&sender, &key);
        let Some(mut waiting) = next else { return };
        if let Err(panic) = AssertUnwindSafe(worker.work(&sender, &mut waiting.job)).catch_unwind().await {
            log_panic(&sender, &*panic);
            worker.failed(&waiting.job);
        }
        drop(waiting);
        jobs.lock().done(&sender);
        // Not every job waits for something: a long queue is not to hold up others.
        tokio::task::yield_now().await;
    }
}

/// Logs a panic of a job of this node.
pub(super) fn log_panic(sender: &Atom, panic: &(dyn Any + Send)) {
    tracing::error!(peer = %sender, panic = panic::text(panic), "could not deal with the output or a log event of a peer");
}

/// The jobs that wait, and the keys of those that are being done.
struct Jobs<K, J> {
    of: HashMap<Atom, OfNode<K, J>>,
}

struct OfNode<K, J> {
    /// How many wait in all queues, or are being done.
    undone: usize,
    queues: HashMap<K, VecDeque<J>>,
}

/// Where a job has been added.
#[derive(Debug, PartialEq, Eq)]
enum Added {
    /// In a new queue.
    First,
    Behind,
}

impl<K: Clone + Eq + Hash, J> Jobs<K, J> {
    fn have_room(&self, sender: &Atom) -> bool {
        self.of.get(sender).is_none_or(|of_node| of_node.undone < MOST)
    }

    fn have(&self, sender: &Atom, key: &K) -> bool {
        self.of.get(sender).is_some_and(|of_node| of_node.queues.contains_key(key))
    }

    fn add(&mut self, sender: &Atom, key: &K, job: J) -> Added {
        if !self.of.contains_key(sender) {
            self.of.insert(sender.clone(), OfNode { undone: 0, queues: HashMap::new() });
        }
        let of_node = self.of.get_mut(sender).expect("it has been inserted");
        of_node.undone += 1;
        match of_node.queues.get_mut(key) {
            Some(queue) => {
                queue.push_back(job);
                Added::Behind
            }
            None => {
                of_node.queues.insert(key.clone(), [job].into());
                Added::First
            }
        }
    }

    /// Takes the next job of a queue. One that is empty goes.
    fn next(&mut self, sender: &Atom, key: &K) -> Option<J> {
        let of_node = self.of.get_mut(sender)?;
        if let Some(job) = of_node.queues.get_mut(key)?.pop_front() {
            return Some(job);
        }
        of_node.queues.remove(key);
        if of_node.queues.is_empty() {
            self.of.remove(sender);
        }
        None
    }

    /// One that was taken has been done.
    fn done(&mut self, sender: &Atom) {
        if let Some(of_node) = self.of.get_mut(sender) {
            of_node.undone -= 1;
        }
    }
}

/// None wait.
impl<K, J> Default for Jobs<K, J> {
    fn default() -> Self {
        Self { of: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Atom = Atom::from_static("one@h");
    const OTHER: Atom = Atom::from_static("other@h");

    #[test]
    fn a_node_fills_the_queues_of_itself() {
        let mut jobs = Jobs::default();
        for number in 0..MOST {
            assert!(jobs.have_room(&ONE));
            assert_eq!(jobs.add(&ONE, &(number % 2), number), if number < 2 { Added::First } else { Added::Behind });
        }
        assert!(!jobs.have_room(&ONE));
        assert!(jobs.have_room(&OTHER));
        assert_eq!(jobs.add(&OTHER, &0, 7), Added::First);
        assert_eq!(jobs.next(&ONE, &0), Some(0));
        assert!(!jobs.have_room(&ONE), "it has not been done");
        jobs.done(&ONE);
        assert!(jobs.have_room(&ONE));
        assert_eq!((jobs.next(&ONE, &0), jobs.next(&ONE, &1), jobs.next(&OTHER, &0)), (Some(2), Some(1), Some(7)));
    }

    #[test]
    fn a_queue_is_there_until_its_last_job_is_done() {
        let mut jobs = Jobs::default();
        jobs.add(&ONE, &'a', 1);
        assert_eq!(jobs.next(&ONE, &'a'), Some(1));
        assert!(jobs.have(&ONE, &'a') && !jobs.have(&ONE, &'b') && !jobs.have(&OTHER, &'a'));
        assert_eq!(jobs.add(&ONE, &'a', 2), Added::Behind);
        assert_eq!((jobs.next(&ONE, &'a'), jobs.next(&ONE, &'a')), (Some(2), None));
        assert!(jobs.of.is_empty());
    }
}
