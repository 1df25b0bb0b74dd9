//! The jobs that a web node keeps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::job::{Job, JobHead};
use super::urls::Urls;

/// The limits of a web node's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobLimits {
    /// The most running jobs.
    pub(crate) running: usize,
    /// The most jobs that are kept; beyond that, the one that ended first is dropped.
    pub(crate) kept: usize,
    /// The approximate size of all jobs in bytes; beyond that, those that ended first are dropped.
    pub(crate) bytes: usize,
    /// How long an ended job is kept.
    pub(crate) age: Duration,
}

impl JobLimits {
    /// The limits of a node that keeps so many bytes for its peers: the jobs may have a quarter of that.
    pub(crate) fn of_memory(memory: usize) -> Self {
        let usual = Self::default();
        Self { bytes: usual.bytes.min(memory / 4).max(Self::LEAST), ..usual }
    }

    /// Room for a job of the most and longest URLs.
    const LEAST: usize = 24 << 20;
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { running: 8, kept: 100, bytes: 256 << 20, age: Duration::from_secs(24 * 3600) }
    }
}

/// Why no new job is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JobsError {
    /// The most jobs are running.
    #[error("{0} jobs are running, which is the limit: wait until one has ended, or cancel one")]
    Busy(usize),
    /// There is no space, and no ended job to drop.
    #[error("the running jobs take all the space for jobs: wait until one has ended, or cancel one")]
    Full,
}

/// The jobs, in the order of their creation.
#[derive(Debug)]
pub(crate) struct Jobs {
    node: String,
    limits: JobLimits,
    kept: Mutex<VecDeque<Arc<Job>>>,
}

impl Jobs {
    /// The jobs of a node with this name.
    pub(crate) fn new(node: &str, limits: JobLimits) -> Self {
        Self { node: node.to_owned(), limits, kept: Mutex::default() }
    }

    /// Makes a job and keeps it.
    ///
    /// # Errors
    /// If there is no space for it.
    pub(crate) fn add(&self, urls: Urls) -> Result<Arc<Job>, JobsError> {
        let mut kept = self.lock();
        kept.retain(|job| job.ended_for().is_none_or(|time| time < self.limits.age));
        self.may_run(&kept)?;
        let job = Arc::new(Job::new(new_id(), &self.node, urls));
        let room = self.limits.bytes.saturating_sub(job.weight());
        while kept.len() >= self.limits.kept || kept.iter().map(|job| job.weight()).sum::<usize>() > room {
            let ended = kept.iter().enumerate().filter_map(|(index, job)| Some((job.ended_for()?, index)));
            let (_, oldest) = ended.max().ok_or(JobsError::Full)?;
            kept.remove(oldest);
        }
        kept.push_back(job.clone());
        Ok(job)
    }

    /// Resets the failed rows of a job. Returns whether there are any.
    ///
    /// # Errors
    /// If the most jobs are running.
    pub(crate) fn retry(&self, job: &Job) -> Result<bool, JobsError> {
        self.may_run(&self.lock())?;
        Ok(job.retry())
    }

    /// The job with this id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// The latest jobs, newest first.
    pub(crate) fn latest(&self, most: usize) -> Vec<JobHead> {
        let jobs: Vec<Arc<Job>> = self.lock().iter().rev().take(most).cloned().collect();
        jobs.iter().map(|job| job.head()).collect()
    }

    /// The running jobs.
    pub(crate) fn running(&self) -> Vec<JobHead> {
        let jobs: Vec<Arc<Job>> = self.lock().iter().filter(|job| job.is_running()).cloned().collect();
        jobs.iter().map(|job| job.head()).collect()
    }

    fn may_run(&self, kept: &VecDeque<Arc<Job>>) -> Result<(), JobsError> {
        let running = kept.iter().filter(|job| job.is_running()).count();
        if running < self.limits.running { Ok(()) } else { Err(JobsError::Busy(running)) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unique id.
fn new_id() -> String {
    let mut random = [0; 12];
    if getrandom::fill(&mut random).is_err() {
        fastrand::fill(&mut random);
    }
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(limits: JobLimits) -> Jobs {
        Jobs::new("n@h", limits)
    }

    fn urls() -> Urls {
        Urls::parse("http://a").unwrap()
    }

    #[test]
    fn what_ended_first_is_forgotten_first() {
        let jobs = jobs(JobLimits { running: 2, kept: 2, ..JobLimits::default() });
        let [first, second] = [jobs.add(urls()).unwrap(), jobs.add(urls()).unwrap()];
        assert_eq!(jobs.add(urls()).unwrap_err(), JobsError::Busy(2));
        second.cancel();
        let third = jobs.add(urls()).unwrap();
        assert!(jobs.get(&second.id).is_none() && jobs.get(&first.id).is_some());
        assert_eq!(jobs.latest(10).iter().map(|head| &head.id).collect::<Vec<_>>(), [&third.id, &first.id]);
        assert_eq!(jobs.running().len(), 2);
        assert_eq!(jobs.retry(&second), Err(JobsError::Busy(2)));
        third.cancel();
        assert_eq!(jobs.retry(&third), Ok(true));
    }

    #[test]
    fn old_and_heavy_jobs_are_forgotten() {
        let jobs = jobs(JobLimits { age: Duration::ZERO, ..JobLimits::default() });
        let old = jobs.add(urls()).unwrap();
        old.cancel();
        jobs.add(urls()).unwrap();
        assert!(jobs.get(&old.id).is_none());
        let narrow = self::jobs(JobLimits { bytes: 1700, ..JobLimits::default() });
        let first = narrow.add(urls()).unwrap();
        assert_eq!(narrow.add(urls()).unwrap_err(), JobsError::Full);
        first.cancel();
        assert!(narrow.add(urls()).is_ok() && narrow.get(&first.id).is_none());
    }
}
