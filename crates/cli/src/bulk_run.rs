//! A bulk run: items in, one after another; calls of the nodes; results out, each as soon as it exists.
//!
//! ```text
//!   items (a thread) ──▶ ItemWindow ──▶ pmap (tasks) ──▶ form (a thread) ──▶ Results ──▶ file, standard output
//!        └── done before ──────────────────────────────▲
//! ```
//!
//! Every queue is bounded, so a run of any length takes the same memory.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use indicatif::ProgressBar;
use peerl_term::text::Syntax;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::failure::{Failure, Status};
use crate::fan_out::WorkerNodes;
use crate::items::{Item, ItemSource, Taken};
use crate::out_file::{EarlierResults, Header};
use crate::output::Output;
use crate::results::{ItemWindow, OutOptions, Ready, Results, Shown};
use crate::shutdown;

/// The parameters of a run.
pub struct BulkRun<'a> {
    /// The source of the items.
    pub items: ItemSource,
    /// The header of the results.
    pub header: Header,
    /// The destination of the results.
    pub out: &'a OutOptions,
    /// The syntax of values in a table.
    pub syntax: Syntax,
    /// The error if there are no items.
    pub none: Failure,
    /// The word for the items.
    pub noun: &'static str,
}

/// Pending work: its answers, and the nodes that give them.
pub struct Work<T> {
    /// The answers as they arrive.
    pub answers: BoxStream<'static, Answer<T>>,
    /// The nodes, if there are any.
    pub workers: Option<WorkerNodes>,
}

/// Executes a run: `begin` takes the indexed items; `record` makes a result of each answer.
///
/// # Errors
/// If the items are unreadable, the work cannot begin, a result cannot be written, or a signal arrives. Earlier
/// results have been written and printed.
pub async fn run<R: Shown, T: Send + 'static>(
    run: BulkRun<'_>,
    output: &Output,
    begin: impl AsyncFnOnce(BoxStream<'static, (usize, Item)>) -> Result<Work<T>, Failure>,
    record: impl Fn(Answer<T>) -> R + Send + 'static,
) -> Result<Status, Failure> {
    let signal = shutdown::signal(shutdown::LIMIT)?;
    let (results, earlier) = Results::open::<R>(run.out, &run.header, output.format())?;
    if let Some(earlier) = earlier.as_ref().filter(|earlier| !earlier.is_empty()) {
        output.note(&format!("{} results of an earlier run are kept", earlier.len()));
    }
    let (form, window) = (results.form(run.syntax), results.window());
    let results = Arc::new(Mutex::new(results));
    let (progress, failure) = (output.progress(), Arc::new(OnceLock::new()));
    let mut workers = None;
    let work = async {
        let (finished, from_work) = mpsc::channel(FINISHED);
        let make = move |finished: Finished<R, T>| match finished {
            Finished::Before(index, record) => form.of_earlier(index, &record),
            Finished::Now(answer) => {
                let index = answer.index;
                form.of_new(index, &record(answer))
            }
        };
        let written = write(results.clone(), from_work, make, progress.clone())?;
        let given = give(run.items, earlier)?;
        let mut items = Items { given, finished: finished.clone(), window, failure: failure.clone(), count: 0 };
        let mut tasks = JoinSet::new();
        match items.next().await {
            Some(first) => {
                let rest = stream::unfold(items, |mut items| async move { Some((items.next().await?, items)) });
                let begun = begin(stream::iter([first]).chain(rest).boxed()).await?;
                let mut answers = begun.answers;
                workers = begun.workers;
                tasks.spawn(async move {
                    while let Some(answer) = answers.next().await {
                        if finished.send(Finished::Now(answer)).await.is_err() {
                            break;
                        }
                    }
                });
            }
            None if items.count == 0 && failure.get().is_none() => return Err(run.none),
            None => drop((items, finished)),
        }
        let written = written.await.unwrap_or_else(|_| Err(Failure::new("the results cannot be written")));
        match tasks.join_next().await {
            Some(Err(error)) => Err(Failure::new(format!("the work has ended too early: {error}"))),
            _ => written,
        }
    };
    let outcome = tokio::select! {
        done = work => Ok(done),
        signal = signal => Err(signal),
    };
    progress.finish_and_clear();
    let (counts, has_file, closed) = {
        let mut results = lock(&results);
        let (counts, has_file) = (results.counts(), results.has_file());
        let is_begun = counts.done > 0 || !matches!(outcome, Ok(Err(_)));
        (counts, has_file, if is_begun { results.close() } else { Ok(()) })
    };
    if let Some(workers) = workers {
        workers.node.shutdown().await;
    }
    match outcome {
        Err(signal) => {
            let failure = Failure::interrupted(format!("interrupted with {} {} done", counts.done, run.noun), signal);
            return Err(match has_file {
                true => failure.hint("a later run with --resume does the rest"),
                false => failure.hint("with --out FILE, a later run can --resume"),
            });
        }
        Ok(done) => done?,
    }
    closed?;
    if let Some(failure) = failure.get() {
        return Err(failure.clone());
    }
    if counts.failed == 0 {
        return Ok(Status::Success);
    }
    output.note(&format!("{} of {} {} failed", counts.failed, counts.done, run.noun));
    if counts.unanswered > 0 {
        output.note("for some, no node has answered; a later run with --out FILE --resume repeats these");
    }
    Ok(Status::Partial)
}

/// How many items are read ahead.
const LOOK_AHEAD: usize = 64;

/// How many answers may wait for formatting.
const FINISHED: usize = 4;

/// The outcome of an item.
enum Finished<R, T> {
    Before(usize, R),
    Now(Answer<T>),
}

/// An item as read.
enum Given<R> {
    Done(R),
    ToDo(Item),
}

/// Reads the items in a thread, because reading from a terminal or a pipe blocks.
fn give<R: Shown>(
    source: ItemSource,
    mut earlier: Option<EarlierResults<R>>,
) -> Result<mpsc::Receiver<Result<Given<R>, Failure>>, Failure> {
    let (sender, receiver) = mpsc::channel(LOOK_AHEAD);
    spawn("items", move || {
        let mut take = |item: Item| {
            let given = match earlier.as_mut().map(|earlier| earlier.take(&item.name)) {
                Some(Ok(Some(record))) => Ok(Given::Done(record)),
                Some(Err(error)) => Err(Failure::new(format!("cannot read the earlier results: {error}"))),
                Some(Ok(None)) | None => Ok(Given::ToDo(item)),
            };
            let is_failure = given.is_err();
            match sender.blocking_send(given) {
                Ok(()) if !is_failure => Taken::More,
                _ => Taken::Enough,
            }
        };
        if let Err(failure) = source.read(&mut take) {
            // Without a receiver the run has ended otherwise.
            let _ = sender.blocking_send(Err(failure));
        }
    })?;
    Ok(receiver)
}

/// The items to do. Items with earlier results bypass the work.
struct Items<R, T> {
    given: mpsc::Receiver<Result<Given<R>, Failure>>,
    finished: mpsc::Sender<Finished<R, T>>,
    window: ItemWindow,
    /// Why the items have ended early.
    failure: Arc<OnceLock<Failure>>,
    count: usize,
}

impl<R, T> Items<R, T> {
    async fn next(&mut self) -> Option<(usize, Item)> {
        loop {
            let given = match self.given.recv().await? {
                Ok(given) => given,
                Err(failure) => {
                    self.failure.get_or_init(|| failure);
                    return None;
                }
            };
            let index = self.count;
            self.count += 1;
            self.window.pass(index).await;
            match given {
                Given::ToDo(item) => return Some((index, item)),
                Given::Done(record) => self.finished.send(Finished::Before(index, record)).await.ok()?,
            }
        }
    }
}

/// Formats, writes and prints results in a thread: large ones take time, and the reader of the output may block.
fn write<F: Send + 'static>(
    results: Arc<Mutex<Results>>,
    mut from_work: mpsc::Receiver<F>,
    make: impl Fn(F) -> Result<Ready, Failure> + Send + 'static,
    progress: ProgressBar,
) -> Result<oneshot::Receiver<Result<(), Failure>>, Failure> {
    let (ended, end) = oneshot::channel();
    let mut next = {
        let results = results.clone();
        move || loop {
            match from_work.try_recv() {
                Ok(finished) => return Ok(Some(finished)),
                Err(mpsc::error::TryRecvError::Disconnected) => return Ok(None),
                Err(mpsc::error::TryRecvError::Empty) => {}
            }
            let patience = {
                let mut results = lock(&results);
                results.rows().flush()?;
                results.rows().patience()
            };
            match patience {
                Some(patience) => thread::sleep(patience.min(Duration::from_millis(5))),
                None => return Ok::<_, Failure>(from_work.blocking_recv()),
            }
        }
    };
    spawn("results", move || {
        let mut all = || {
            while let Some(finished) = next()? {
                let ready = make(finished)?;
                let mut results = lock(&results);
                results.add(ready)?;
                progress.inc(1);
                match results.counts().failed {
                    0 => {}
                    failed => progress.set_message(format!("{failed} failed")),
                }
            }
            Ok(())
        };
        // Without a receiver a signal has ended the run.
        let _ = ended.send(all());
    })?;
    Ok(end)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| Failure::new(format!("cannot start a thread: {error}")))
}

fn lock(results: &Mutex<Results>) -> MutexGuard<'_, Results> {
    results.lock().unwrap_or_else(PoisonError::into_inner)
}
