//! Work that takes long is not done on the threads of the runtime, on which all connections and calls wait.

use std::cell::Cell;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Held by the thread whose turn it is: others' short work finds a processor.
static TURN: Mutex<()> = Mutex::new(());

/// How long work waits for its turn. What holds the turn may wait for something itself.
const PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    static IS_BEGUN: Cell<bool> = const { Cell::new(false) };
}

/// Does work that may take more than a few milliseconds, while another thread takes over the tasks of this one. A runtime of one
/// thread has no other: there it is done at once.
pub(crate) fn run<T>(work: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            IS_BEGUN.set(false);
        }
    }
    let has_threads = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if !has_threads || IS_BEGUN.replace(true) {
        return work();
    }
    let _end = End;
    block_in_place(|| {
        let _turn = TURN.try_lock_for(PATIENCE);
        work()
    })
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
