use std::fs;
use std::time::Duration;

/// For how long this process and all that it has started, directly or not, have run on a processor.
pub(crate) struct Processor(Vec<u32>);

impl Processor {
    /// Of the processes that run now.
    pub(crate) fn of_all() -> Self {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc").expect("Linux").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            parents.extend(parent(pid).map(|parent| (parent, pid)));
        }
        let mut all = vec![std::process::id()];
        let mut next = 0;
        while let Some(&process) = all.get(next) {
            all.extend(parents.iter().filter(|(parent, _)| *parent == process).map(|(_, child)| child));
            next += 1;
        }
        Self(all)
    }

    /// Of one process.
    pub(crate) fn of(process: u32) -> Self {
        Self(vec![process])
    }

    /// The time up to now.
    pub(crate) fn time(&self) -> Duration {
        let tasks = self.0.iter().filter_map(|process| fs::read_dir(format!("/proc/{process}/task")).ok());
        let nanos = |task: fs::DirEntry| {
            let times = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            times.split_whitespace().next().and_then(|time| time.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.flatten().flatten().map(nanos).sum())
    }
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may contain anything.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}
