use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use peerl::Pid;
use tokio::sync::watch;
use tokio::time::Instant;

/// What happens in a run, and what must not.
pub(crate) struct Record {
    start: Instant,
    trace: Mutex<Vec<String>>,
    failures: Mutex<Vec<String>>,
    next_id: AtomicU64,
    /// How often each call was executed.
    executions: Mutex<BTreeMap<u64, u32>>,
    /// The processes that others link to, monitor and send to; one on each host, if it lives.
    targets: Mutex<Vec<Option<Pid>>>,
    /// The processes that get streams of numbers; one on each host that runs.
    collectors: Mutex<Vec<Option<Pid>>>,
    /// How many numbers of each stream have arrived.
    arrived: Mutex<BTreeMap<u64, u64>>,
    /// Whether the long-lived processes are to end.
    pub(crate) ends: watch::Sender<bool>,
}

impl Record {
    pub(crate) fn new(hosts: usize) -> Self {
        Self {
            start: Instant::now(),
            trace: Mutex::default(),
            failures: Mutex::default(),
            next_id: AtomicU64::new(0),
            executions: Mutex::default(),
            targets: Mutex::new(vec![None; hosts]),
            collectors: Mutex::new(vec![None; hosts]),
            arrived: Mutex::default(),
            ends: watch::Sender::new(false),
        }
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        let line = format!("{:>9} ms  {}", self.start.elapsed().as_millis(), line.into());
        self.trace.lock().unwrap().push(line);
    }

    /// An invariant is broken.
    pub(crate) fn fail(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("FAILURE {what}"));
        self.failures.lock().unwrap().push(what);
    }

    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what());
        }
    }

    /// A number that no other call, stream or item of the run has.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn executed(&self, id: u64) {
        *self.executions.lock().unwrap().entry(id).or_default() += 1;
    }

    pub(crate) fn executions(&self, id: u64) -> u32 {
        self.executions.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    pub(crate) fn set_target(&self, host: usize, pid: Option<Pid>) {
        self.targets.lock().unwrap()[host] = pid;
    }

    pub(crate) fn target(&self, host: usize) -> Option<Pid> {
        self.targets.lock().unwrap()[host].clone()
    }

    pub(crate) fn set_collector(&self, host: usize, pid: Option<Pid>) {
        self.collectors.lock().unwrap()[host] = pid;
    }

    pub(crate) fn collector(&self, host: usize) -> Option<Pid> {
        self.collectors.lock().unwrap()[host].clone()
    }

    pub(crate) fn arrives(&self, stream: u64) {
        *self.arrived.lock().unwrap().entry(stream).or_default() += 1;
    }

    pub(crate) fn arrived(&self, stream: u64) -> u64 {
        self.arrived.lock().unwrap().get(&stream).copied().unwrap_or_default()
    }

    /// The trace, and the failures.
    pub(crate) fn finish(&self) -> (Vec<String>, Vec<String>) {
        (std::mem::take(&mut self.trace.lock().unwrap()), std::mem::take(&mut self.failures.lock().unwrap()))
    }
}
