//! A job: the rows of its results, and their changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::row::{Row, RowState};
use super::urls::Urls;
use crate::checksum::ChecksumRecord;

/// The error of a cancelled row.
const CANCELLED: &str = "cancelled before a node had taken its checksum";

/// A job at the node that runs it.
///
/// Each change of an item gets a number, the job's version, so that a reader with one version can ask for later
/// changes.
#[derive(Debug)]
pub(crate) struct Job {
    /// The id in the job's address.
    pub(crate) id: String,
    node: String,
    created: SystemTime,
    urls: Urls,
    weight: usize,
    /// For each URL, how many rows it has.
    rows: Vec<u32>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    items: Vec<Item>,
    tally: Tally,
    version: u64,
    phase: Phase,
    ended: Option<SystemTime>,
    task: Option<AbortHandle>,
}

/// A URL, with one or more rows.
#[derive(Debug)]
struct Item {
    state: RowState,
    node: Option<String>,
    record: Option<Box<ChecksumRecord>>,
    version: u64,
}

/// The phase of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Nodes are working on it.
    Running,
    /// Each row has an outcome.
    Done,
    /// A visitor has cancelled it.
    Cancelled,
}

/// The summary of a job. The counts are of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobHead {
    /// The id in the job's address.
    pub(crate) id: String,
    /// The node that runs it.
    pub(crate) node: String,
    /// Whether it goes on.
    pub(crate) phase: Phase,
    /// The time of its creation, in milliseconds since 1970.
    pub(crate) created_ms: u64,
    /// The time of its end.
    pub(crate) ended_ms: Option<u64>,
    /// All rows.
    pub(crate) total: usize,
    /// Rows that no node has begun.
    pub(crate) waiting: usize,
    /// Rows that a node is working on.
    pub(crate) running: usize,
    /// Rows with a sum.
    pub(crate) done: usize,
    /// Failed rows.
    pub(crate) failed: usize,
    /// The share of each node.
    pub(crate) nodes: Vec<Share>,
}

/// A node's share of a job. A page with several rows counts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// The node.
    pub(crate) node: String,
    /// Pages in progress.
    pub(crate) running: usize,
    /// Pages with a sum.
    pub(crate) done: usize,
    /// Failed pages.
    pub(crate) failed: usize,
}

/// A job, and the rows that have changed since a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Update {
    /// The summary of the job.
    pub(crate) job: JobHead,
    /// The changed rows.
    pub(crate) rows: Vec<Row>,
    /// The version that includes them.
    pub(crate) version: u64,
    /// Whether further rows have changed.
    pub(crate) more: bool,
}

impl Job {
    /// Makes a running job of a node with this name.
    pub(crate) fn new(id: String, node: &str, urls: Urls) -> Self {
        let item = |index| Item { state: RowState::Waiting, node: None, record: None, version: index + 1 };
        let version = urls.unique.len() as u64;
        let items = (0..version).map(item).collect();
        let mut rows = vec![0; urls.unique.len()];
        urls.places.iter().for_each(|index| rows[*index as usize] += 1);
        let tally = Tally::of_waiting(urls.len());
        let state = State { items, tally, version, phase: Phase::Running, ended: None, task: None };
        let (node, created, weight) = (node.to_owned(), SystemTime::now(), weight(&urls));
        Self { id, node, created, urls, weight, rows, state: Mutex::new(state), changed: watch::Sender::new(version) }
    }

    /// Its approximate size in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// The version, and its changes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether it goes on.
    pub(crate) fn is_running(&self) -> bool {
        self.lock().phase == Phase::Running
    }

    /// The time since its end; `None` while it runs.
    pub(crate) fn ended_for(&self) -> Option<Duration> {
        self.lock().ended.map(|ended| ended.elapsed().unwrap_or_default())
    }

    /// The URLs that no node has begun, with their indices.
    pub(crate) fn waiting(&self) -> Vec<(u32, String)> {
        let state = self.lock();
        let items = state.items.iter().zip(&self.urls.unique).enumerate();
        items
            .filter(|(_, (item, _))| item.state == RowState::Waiting)
            .map(|(index, (_, url))| (index as u32, url.clone()))
            .collect()
    }

    /// Sets the task of the job, so that it can be cancelled.
    pub(crate) fn started(&self, task: AbortHandle) {
        let mut state = self.lock();
        match state.phase {
            Phase::Running => state.task = Some(task),
            Phase::Done => {}
            Phase::Cancelled => task.abort(),
        }
    }

    /// A node has begun a URL.
    pub(crate) fn begin(&self, index: u32, node: &str) {
        let node = Some(node.to_owned());
        self.change(index, |version| Item { state: RowState::Running, node, record: None, version });
    }

    /// A URL has an outcome.
    pub(crate) fn finish(&self, index: u32, record: ChecksumRecord) {
        let state = if record.error.is_some() { RowState::Failed } else { RowState::Done };
        let (node, record) = (record.node.clone(), Some(Box::new(record)));
        self.change(index, |version| Item { state, node, record, version });
    }

    /// All work is done.
    pub(crate) fn end(&self) {
        self.close(Phase::Done, "no node has answered");
    }

    /// Cancels the unfinished rows. Returns whether there were any.
    pub(crate) fn cancel(&self) -> bool {
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.abort();
        }
        self.close(Phase::Cancelled, CANCELLED)
    }

    /// Resets the failed rows. Returns whether there are any; then the job runs again.
    pub(crate) fn retry(&self) -> bool {
        let mut state = self.lock();
        let has_failed = state.items.iter().any(|item| item.state == RowState::Failed);
        if state.phase == Phase::Running || !has_failed {
            return false;
        }
        (state.phase, state.ended) = (Phase::Running, None);
        let State { items, tally, version, .. } = &mut *state;
        for (item, rows) in items.iter_mut().zip(&self.rows).filter(|(item, _)| item.state == RowState::Failed) {
            *version += 1;
            let again = Item { state: RowState::Waiting, node: None, record: None, version: *version };
            tally.replace(item, *rows, again);
        }
        self.tell(state);
        true
    }

    /// The summary of the job.
    pub(crate) fn head(&self) -> JobHead {
        self.head_of(&self.lock())
    }

    /// The number of its last change.
    pub(crate) fn version(&self) -> u64 {
        *self.changed.borrow()
    }

    /// The job, and up to about `most` rows that have changed since a version; since version 0 all rows have.
    ///
    /// What is told at a time ends at a multiple of `most`, so that readers who have begun with different versions go on with the same
    /// ones.
    pub(crate) fn update(&self, after: u64, most: usize) -> Update {
        let state = self.lock();
        let most = most.max(1);
        let first = state.items.iter().map(|item| item.version).filter(|version| *version > after).min();
        let end = first.and_then(|first| first.checked_next_multiple_of(most as u64)).unwrap_or(u64::MAX);
        let mut changed: Vec<(u64, u32)> = Vec::new();
        for (place, item) in self.urls.places.iter().enumerate() {
            let version = state.items[*item as usize].version;
            if version > after && version <= end {
                changed.push((version, place as u32));
            }
        }
        changed.sort_unstable();
        let mut kept = changed.len().min(most);
        // The rows of one URL have the same version, and are sent together.
        while kept > 0 && kept < changed.len() && changed[kept].0 == changed[kept - 1].0 {
            kept += 1;
        }
        let last = if kept < changed.len() { changed[kept - 1].0 } else { end };
        let version = last.min(state.version);
        changed.truncate(kept);
        let mut places: Vec<u32> = changed.into_iter().map(|(_, place)| place).collect();
        places.sort_unstable();
        let rows = places.into_iter().map(|place| self.row(&state, place)).collect();
        Update { job: self.head_of(&state), rows, version, more: version < state.version }
    }

    fn row(&self, state: &State, place: u32) -> Row {
        let index = self.urls.places[place as usize] as usize;
        let item = &state.items[index];
        let mut row = Row::waiting(place, &self.urls.unique[index]);
        if let Some(record) = &item.record {
            row.fill(record);
        }
        row.state = item.state;
        row.node.clone_from(&item.node);
        row
    }

    fn head_of(&self, state: &State) -> JobHead {
        let [waiting, running, done, failed] = state.tally.rows;
        JobHead {
            id: self.id.clone(),
            node: self.node.clone(),
            phase: state.phase,
            created_ms: milliseconds(self.created),
            ended_ms: state.ended.map(milliseconds),
            total: self.urls.len(),
            waiting,
            running,
            done,
            failed,
            nodes: state.tally.shares.values().cloned().collect(),
        }
    }

    fn change(&self, index: u32, change: impl FnOnce(u64) -> Item) {
        let mut state = self.lock();
        let State { items, tally, version, phase, .. } = &mut *state;
        // Ignore results that arrive after the end.
        if *phase != Phase::Running {
            return;
        }
        let Some(item) = items.get_mut(index as usize) else { return };
        *version += 1;
        tally.replace(item, self.rows[index as usize], change(*version));
        self.tell(state);
    }

    fn close(&self, phase: Phase, why: &str) -> bool {
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return false;
        }
        (state.phase, state.ended, state.task) = (phase, Some(SystemTime::now()), None);
        let State { items, tally, version, .. } = &mut *state;
        *version += 1;
        for ((item, url), rows) in items.iter_mut().zip(&self.urls.unique).zip(&self.rows) {
            if matches!(item.state, RowState::Waiting | RowState::Running) {
                *version += 1;
                let record = Box::new(ChecksumRecord::failed(url, why));
                let failed = Item { state: RowState::Failed, node: None, record: Some(record), version: *version };
                tally.replace(item, *rows, failed);
            }
        }
        self.tell(state);
        true
    }

    fn tell(&self, state: MutexGuard<'_, State>) {
        let version = state.version;
        drop(state);
        self.changed.send_if_modified(|known| {
            let is_new = *known < version;
            *known = version.max(*known);
            is_new
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counts of a job's rows and of its nodes' pages, kept with each change: many readers ask for them.
#[derive(Debug)]
struct Tally {
    rows: [usize; 4],
    shares: BTreeMap<String, Share>,
}

impl Tally {
    fn of_waiting(rows: usize) -> Self {
        let mut tally = Self { rows: [0; 4], shares: BTreeMap::new() };
        tally.rows[RowState::Waiting as usize] = rows;
        tally
    }

    /// Replaces an item that has so many rows.
    fn replace(&mut self, item: &mut Item, rows: u32, by: Item) {
        self.rows[item.state as usize] -= rows as usize;
        self.rows[by.state as usize] += rows as usize;
        if let Some(count) = self.count(item) {
            *count -= 1;
        }
        if let Some(count) = self.count(&by) {
            *count += 1;
        }
        *item = by;
    }

    /// The count of a node in which an item is.
    fn count(&mut self, item: &Item) -> Option<&mut usize> {
        let node = item.node.as_ref()?;
        if !self.shares.contains_key(node) {
            let none = Share { node: node.clone(), running: 0, done: 0, failed: 0 };
            self.shares.insert(node.clone(), none);
        }
        let share = self.shares.get_mut(node)?;
        match item.state {
            RowState::Waiting => None,
            RowState::Running => Some(&mut share.running),
            RowState::Done => Some(&mut share.done),
            RowState::Failed => Some(&mut share.failed),
        }
    }
}

/// The approximate size of a job with these URLs, in bytes.
fn weight(urls: &Urls) -> usize {
    const ITEM: usize = 1024;
    let text: usize = urls.unique.iter().map(String::len).sum();
    2 * text + ITEM * urls.unique.len() + 8 * urls.len()
}

impl JobHead {
    /// A one-sentence summary of the progress.
    pub(crate) fn summary(&self) -> String {
        let ended = self.done + self.failed;
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        match self.phase {
            Phase::Running => format!("{ended} of {} done{failed}", self.total),
            Phase::Done if self.failed == 0 => format!("All {} done", self.total),
            Phase::Done => format!("{} of {} done{failed}", self.done, self.total),
            Phase::Cancelled => format!("Cancelled: {} of {} done{failed}", self.done, self.total),
        }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> Job {
        Job::new("j".to_owned(), "n@h", Urls::parse(text).unwrap())
    }

    fn sum(url: &str) -> ChecksumRecord {
        ChecksumRecord {
            sha256: Some("ab".repeat(32)),
            error: None,
            node: Some("w@h".to_owned()),
            ..ChecksumRecord::failed(url, "")
        }
    }

    fn states(rows: &[Row]) -> Vec<(u32, &'static str)> {
        rows.iter().map(|row| (row.index, row.state.as_str())).collect()
    }

    #[test]
    fn each_change_is_told_once_at_each_place() {
        let job = job("http://a,http://b,http://a");
        let all = job.update(0, 100);
        assert_eq!(states(&all.rows), [(0, "waiting"), (1, "waiting"), (2, "waiting")]);
        assert!(job.update(all.version, 100).rows.is_empty());
        job.begin(0, "w@h");
        let begun = job.update(all.version, 100);
        assert_eq!(states(&begun.rows), [(0, "running"), (2, "running")]);
        assert_eq!(begun.job.nodes, [Share { node: "w@h".to_owned(), running: 1, done: 0, failed: 0 }]);
        job.finish(0, sum("http://a"));
        job.finish(1, ChecksumRecord::failed("http://b", "no"));
        job.end();
        let ended = job.update(begun.version, 100);
        assert_eq!(states(&ended.rows), [(0, "done"), (1, "failed"), (2, "done")]);
        assert_eq!((ended.job.done, ended.job.failed, ended.job.phase), (2, 1, Phase::Done));
        assert_eq!(ended.job.summary(), "2 of 3 done, 1 failed");
        assert!(job.update(ended.version, 100).rows.is_empty());
    }

    #[test]
    fn long_updates_come_in_pieces() {
        let text: String = (0..1000).map(|number| format!("http://a/{}\n", number % 700)).collect();
        let job = job(&text);
        let (mut after, mut seen, mut pieces) = (0, Vec::new(), 0);
        loop {
            let update = job.update(after, 64);
            seen.extend(update.rows.iter().map(|row| row.index));
            (after, pieces) = (update.version, pieces + 1);
            if !update.more {
                break;
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        assert!(pieces > 10, "{pieces}");
    }

    #[test]
    fn readers_of_different_versions_come_to_the_same_ones() {
        let text: String = (0..300).map(|number| format!("http://a/{number}\n")).collect();
        let job = job(&text);
        let versions = |mut after| {
            let mut versions = Vec::new();
            loop {
                let update = job.update(after, 100);
                versions.push(update.version);
                after = update.version;
                if !update.more {
                    return versions;
                }
            }
        };
        assert_eq!(versions(0), [100, 200, 300]);
        assert_eq!(versions(7), [100, 200, 300]);
        job.begin(0, "w@h");
        job.begin(150, "w@h");
        assert_eq!((versions(0), versions(199)), (vec![100, 200, 300, 302], vec![200, 300, 302]));
        assert_eq!(versions(u64::MAX), [302]);
    }

    #[test]
    fn what_is_cancelled_can_be_done_again() {
        let job = job("http://a,http://b");
        assert!(!job.retry());
        job.finish(0, sum("http://a"));
        assert!(job.cancel() && !job.cancel());
        let cancelled = job.update(0, 10);
        assert_eq!(states(&cancelled.rows), [(0, "done"), (1, "failed")]);
        assert_eq!(cancelled.rows[1].error.as_deref(), Some(CANCELLED));
        // A late result of the cancelled task.
        job.finish(1, sum("http://b"));
        assert!(job.update(cancelled.version, 10).rows.is_empty());
        assert!(job.retry());
        assert_eq!(job.waiting(), [(1, "http://b".to_owned())]);
        assert_eq!(states(&job.update(cancelled.version, 10).rows), [(1, "waiting")]);
        job.finish(1, sum("http://b"));
        job.end();
        assert_eq!(job.head().summary(), "All 2 done");
        assert!(!job.retry());
    }
}
