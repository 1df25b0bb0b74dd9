//! Work that takes long is not done on the threads of the runtime, on which all connections and calls wait.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::block_in_place;
use tokio_util::sync::PollSemaphore;

/// Held by the thread whose turn it is: others' short work finds a processor.
static TURN: Mutex<()> = Mutex::new(());

/// The tasks that wait for their turn. One that has it seldom finds the turn taken.
static QUEUE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));

/// How many threads do long work at most, or wait for their turn. Each takes memory; and a runtime has a limit of them, beyond which
/// none takes over the tasks of another one.
static THREADS: Semaphore = Semaphore::const_new(64);

/// How long work waits for its turn. What holds the turn may wait for something itself.
const PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    static IS_BEGUN: Cell<bool> = const { Cell::new(false) };
}

/// Does work that may take more than a few milliseconds, while another thread takes over the tasks of this one. A runtime of one
/// thread has no other: there it is done at once. So it is, too, when very many threads are at it: what any number of peers may have
/// done at the same time waits for its [turn] first.
pub(crate) fn run<T>(work: impl FnOnce() -> T) -> T {
    apart(work, || TURN.try_lock_for(PATIENCE))
}

/// Waits for what another thread does that may be at long work, while another one takes over the tasks of this one.
pub(crate) fn wait<T>(wait: impl FnOnce() -> T) -> T {
    // Not for a turn: the other thread may have it.
    apart(wait, || ())
}

fn apart<T, B>(work: impl FnOnce() -> T, before: impl FnOnce() -> B) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            IS_BEGUN.set(false);
        }
    }
    if is_begun() || !has_threads() {
        return work();
    }
    let Ok(_thread) = THREADS.try_acquire() else { return work() };
    IS_BEGUN.set(true);
    let _end = End;
    block_in_place(|| {
        let _before = before();
        work()
    })
}

/// Waits until it is the turn of this task to [run] long work, which it keeps until what this returns is dropped. The task keeps no
/// thread meanwhile, however many others wait.
pub(crate) async fn turn() -> Option<OwnedSemaphorePermit> {
    if !has_threads() {
        return None;
    }
    // Nothing closes the semaphore.
    QUEUE.clone().acquire_owned().await.ok()
}

/// The turns of a future that does long work whenever it is polled.
#[derive(Debug)]
pub(crate) struct Turns(PollSemaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(PollSemaphore::new(QUEUE.clone()))
    }
}

impl Turns {
    /// As [`turn`]; within long work, it is the turn of what belongs to it.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if is_begun() || !has_threads() {
            return Poll::Ready(None);
        }
        self.0.poll_acquire(cx)
    }
}

fn is_begun() -> bool {
    IS_BEGUN.get()
}

fn has_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Whether work of so many steps, each of which takes about a microsecond, takes long.
pub(crate) fn is_long(steps: usize) -> bool {
    const FEW: usize = 1000;
    steps > FEW
}

/// Does work of so many steps, each of which takes about a microsecond: while many are done, another thread of the runtime takes over the
/// tasks of this one. For what a process has to do at once that goes through tables which peers fill.
pub fn long_work<T>(steps: usize, work: impl FnOnce() -> T) -> T {
    run_if(is_long(steps), work)
}

/// As [`run`], if the work is known to be long.
pub(crate) fn run_if<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    if is_long { run(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_runtime_of_one_thread_does_it_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { run(|| run(|| 7)) }), 7);
        assert_eq!(run(|| 7), 7);
    }

    /// A thousand threads would be more than a runtime has.
    #[test]
    fn tasks_run_while_very_many_wait_for_their_turn() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let is_done = Arc::new(AtomicBool::new(false));
        let seen = is_done.clone();
        runtime.block_on(async move {
            let first = tokio::spawn(async move {
                let _turn = turn().await;
                run(|| while !seen.load(Ordering::SeqCst) {});
            });
            let others: Vec<_> = (0..1000)
                .map(|_| {
                    tokio::spawn(async {
                        let _turn = turn().await;
                        run(|| {});
                    })
                })
                .collect();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                is_done.store(true, Ordering::SeqCst);
            });
            for task in std::iter::once(first).chain(others) {
                task.await.unwrap();
            }
        });
    }

    /// Whether a future that does long work has its turn when it is polled within that of another.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn long_work_within_long_work_has_its_turn() {
        let mut turns = Turns::default();
        let mut poll = move || turns.poll_next(&mut Context::from_waker(std::task::Waker::noop())).is_ready();
        let turn = turn().await;
        assert!(tokio::spawn(async move { run(&mut poll) && !poll() }).await.unwrap());
        drop(turn);
    }

    #[test]
    fn tasks_run_meanwhile() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let is_done = Arc::new(AtomicBool::new(false));
        let seen = is_done.clone();
        let long = runtime.spawn(async move {
            tokio::spawn(async move { is_done.store(true, Ordering::SeqCst) });
            run(|| run(|| while !seen.load(Ordering::SeqCst) {}));
        });
        runtime.block_on(long).unwrap();
    }
}
