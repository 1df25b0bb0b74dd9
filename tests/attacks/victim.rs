//! The worker that is attacked.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use peerl_node::NodeName;
use peerl_test_support::{COOKIE, Epmd, ProcessGuard, unique_name};

pub const MIB: u64 = 1 << 20;

/// Where a node listens.
#[derive(Clone)]
pub struct Target {
    pub name: NodeName,
    pub port: u16,
    /// Its page, if it has one.
    pub page: Option<SocketAddr>,
}

/// A `peerl worker` that has 1 GiB of memory.
pub struct Victim {
    process: ProcessGuard,
    target: Target,
    bound: Option<Cgroup>,
}

impl Victim {
    /// What it may use before the system kills it. Where no cgroup can be made, only the tests compare its peak with it.
    pub const MEMORY: u64 = 1 << 30;

    pub fn start(epmd: &Epmd, peerl: &Command) -> Self {
        Self::start_with(epmd, peerl, &[])
    }

    /// One that serves a page to the host.
    pub fn with_page(epmd: &Epmd, peerl: &Command) -> Self {
        Self::start_with(epmd, peerl, &["--web", "127.0.0.1:0"])
    }

    fn start_with(epmd: &Epmd, peerl: &Command, more: &[&str]) -> Self {
        let name = format!("{}@127.0.0.1", unique_name("victim"));
        let bound = Cgroup::new(Self::MEMORY);
        let mut command = match &bound {
            Some(cgroup) => {
                let mut shell = Command::new("sh");
                let enter = "echo $$ > \"$0\"/cgroup.procs && exec \"$@\"";
                shell.args(["-c", enter]).arg(&cgroup.0).arg(peerl.get_program());
                shell
            }
            None => {
                eprintln!("no cgroup can be made here: nothing but the test bounds the memory of the worker");
                let mut command = Command::new(peerl.get_program());
                command.env("PEERL_MEMORY", (Self::MEMORY / 2).to_string());
                command
            }
        };
        for (variable, _) in peerl.get_envs() {
            command.env_remove(variable);
        }
        command
            .args(["worker", "-v", "--name", &name, "--cookie", COOKIE, "--listen", "127.0.0.1"])
            .args(more)
            .env("ERL_EPMD_PORT", epmd.port().to_string());
        let process = ProcessGuard::spawn(&mut command);
        let ready = process.wait_for_line("ready", Duration::from_secs(60));
        let mut words = ready.split(' ').skip(2);
        let port = words.next().and_then(|port| port.parse().ok()).expect("ready NAME PORT");
        let page = words.next().map(|url| url.trim_start_matches("http://").trim_end_matches('/'));
        let page = page.map(|address| address.parse().expect("ready NAME PORT URL"));
        Self { process, target: Target { name: name.parse().expect("a name"), port, page }, bound }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn is_bounded(&self) -> bool {
        self.bound.is_some()
    }

    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// The resident memory, in bytes; 0 if the process has ended.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory since the last [`reset`](Self::reset).
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.pid())).map_or(0, Iterator::count)
    }

    pub fn reset(&self) {
        // Documented in proc(5): 5 resets the peak.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.process.pid()), "5");
    }

    /// Waits until no more memory than this is resident; the time that it took, if it was at all.
    pub fn settles(&self, most: u64, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        while self.resident() > most {
            if start.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(start.elapsed())
    }

    /// The reasons that the log gives for the ends of connections of peers with such names; each once.
    pub fn reasons(&self, stem: &str) -> Vec<String> {
        let log = self.process.stderr();
        let ends = log.lines().filter(|line| line.contains("node down") && line.contains(stem));
        let mut reasons: Vec<_> =
            ends.filter_map(|line| line.split_once("reason=").map(|(_, reason)| reason.trim().to_owned())).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    pub fn log(&self) -> String {
        self.process.stderr()
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix(field));
        kib.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

/// A group of processes with a bound of memory. Only root may make one, and not in every container.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(bytes: u64) -> Option<Self> {
        let name = unique_name("peerl_victim");
        let (first, second) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (parent, limit) = if first.join("memory.limit_in_bytes").exists() {
            (first, "memory.limit_in_bytes")
        } else {
            // Fails where it is set already, or must not be.
            let _ = fs::write(second.join("cgroup.subtree_control"), "+memory");
            (second, "memory.max")
        };
        fs::create_dir(parent.join(&name)).ok()?;
        let group = Self(parent.join(name));
        fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
