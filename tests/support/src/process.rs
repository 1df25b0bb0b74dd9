//! Processes that end with the test.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::exit_watch;
use crate::output::Output;

/// A process in its own process group, which is killed when this is dropped.
pub(crate) struct Group {
    child: Mutex<Child>,
    pid: u32,
}

impl Group {
    /// Spawns the command; the streams are as the command says.
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let pid = child.id();
        exit_watch::add(pid);
        Ok(Self { child: Mutex::new(child), pid })
    }

    pub(crate) fn with_child<T>(&self, work: impl FnOnce(&mut Child) -> T) -> T {
        work(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the process itself, or to its whole group; does nothing once the process has been waited
    /// for.
    pub(crate) fn signal(&self, signal: Signal, whom: Whom) {
        self.with_child(|child| {
            if !matches!(child.try_wait(), Ok(None)) && whom == Whom::Process {
                return;
            }
            let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
                return;
            };
            // It may have ended by itself.
            let _ = match whom {
                Whom::Process => rustix::process::kill_process(pid, signal),
                Whom::Group => rustix::process::kill_process_group(pid, signal),
            };
        });
    }

    /// Stops the process, or its whole group, without ending it, and waits until no thread of the process runs: a
    /// signal is on its way when it has been sent, and until it arrives the threads go on.
    pub(crate) fn stop(&self, whom: Whom) {
        self.signal(Signal::STOP, whom);
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        // It is left in the state that is waited for, so that it can be stopped twice. An error: it has ended.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), stopped) {}
    }

    /// Lets a stopped process, or its group, go on.
    pub(crate) fn go_on(&self, whom: Whom) {
        self.signal(Signal::CONT, whom);
    }

    /// Kills the whole group and waits for the process.
    pub(crate) fn kill(&self) -> Option<ExitStatus> {
        self.signal(Signal::KILL, Whom::Group);
        self.with_child(|child| child.wait().ok())
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.with_child(Child::try_wait) {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        exit_watch::remove(self.pid);
    }
}

/// The receivers of a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Process,
    Group,
}

/// A program under test, such as a `peerl worker`: its output is collected, and it is killed, with all processes that
/// it has started, when this is dropped. When the test fails, its output is printed.
pub struct ProcessGuard {
    label: String,
    group: Group,
    stdout: Output,
    stderr: Output,
}

/// The most time from the end of a process to that of its output.
const COLLECTED: Duration = Duration::from_secs(10);

impl ProcessGuard {
    /// Spawns a command with its three streams piped.
    ///
    /// # Panics
    ///
    /// When the program can't be started.
    pub fn spawn(command: &mut Command) -> Self {
        let label = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let group = Group::spawn(command).unwrap_or_else(|error| panic!("{label} does not start: {error}"));
        let (stdout, stderr) = (Output::default(), Output::default());
        group.with_child(|child| {
            stdout.collect(child.stdout.take().expect("stdout is piped"));
            stderr.collect(child.stderr.take().expect("stderr is piped"));
        });
        Self { label, group, stdout, stderr }
    }

    /// Writes to the standard input and closes it.
    ///
    /// # Panics
    ///
    /// When called twice, or the process does not read.
    pub fn write_stdin(&self, bytes: &[u8]) {
        let mut stdin = self.group.with_child(|child| child.stdin.take()).expect("stdin is still open");
        stdin.write_all(bytes).expect("the process reads its standard input");
    }

    /// Waits for a line on the standard output that contains `part`, and gives the whole line.
    ///
    /// # Panics
    ///
    /// When the process ends without it, or the time is over.
    pub fn wait_for_line(&self, part: &str, limit: Duration) -> String {
        self.stdout
            .wait_for_line(|line| line.contains(part), limit)
            .unwrap_or_else(|| panic!("{} did not print a line with {part:?} within {limit:?}", self.label))
    }

    /// Waits for a line on the standard error that contains `part`, and gives the whole line.
    ///
    /// # Panics
    ///
    /// When the process ends without it, or the time is over.
    pub fn wait_for_error_line(&self, part: &str, limit: Duration) -> String {
        self.stderr
            .wait_for_line(|line| line.contains(part), limit)
            .unwrap_or_else(|| panic!("{} did not report {part:?} within {limit:?}", self.label))
    }

    /// Waits for the process to end by itself, and for the end of its output.
    ///
    /// # Panics
    ///
    /// When the time is over.
    pub fn wait(&self, limit: Duration) -> ExitStatus {
        let status = self.group.wait(limit).unwrap_or_else(|| panic!("{} did not end within {limit:?}", self.label));
        self.stdout.wait_for_end(COLLECTED);
        self.stderr.wait_for_end(COLLECTED);
        status
    }

    /// Sends SIGTERM to the process (not to its children).
    pub fn sigterm(&self) {
        self.group.signal(Signal::TERM, Whom::Process);
    }

    /// Sends SIGINT to the process (not to its children).
    pub fn sigint(&self) {
        self.group.signal(Signal::INT, Whom::Process);
    }

    /// Stops the process without ending it (SIGSTOP).
    pub fn sigstop(&self) {
        self.group.stop(Whom::Process);
    }

    /// Lets a stopped process go on (SIGCONT).
    pub fn sigcont(&self) {
        self.group.go_on(Whom::Process);
    }

    /// Kills the process (SIGKILL) and all processes that it has started, and waits for it.
    pub fn kill(&self) {
        self.group.kill();
    }

    /// Kills the process (SIGKILL) but no process that it has started, and waits for it.
    pub fn kill_alone(&self) {
        self.group.signal(Signal::KILL, Whom::Process);
        self.group.with_child(|child| child.wait().ok());
    }

    /// The process' id.
    pub fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// True until the process has ended.
    pub fn is_running(&self) -> bool {
        matches!(self.group.with_child(Child::try_wait), Ok(None))
    }

    /// The standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        self.group.kill();
        if std::thread::panicking() {
            self.stdout.wait_for_end(COLLECTED);
            self.stderr.wait_for_end(COLLECTED);
            eprintln!("---- {}: stdout\n{}\n---- stderr\n{}\n----", self.label, self.stdout.text(), self.stderr.text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_collected_and_lines_are_waited_for() {
        let process = ProcessGuard::spawn(Command::new("sh").args(["-c", "echo one; read x; echo got $x; exit 3"]));
        assert_eq!(process.wait_for_line("one", Duration::from_secs(10)), "one");
        process.write_stdin(b"two\n");
        assert_eq!(process.wait(Duration::from_secs(10)).code(), Some(3));
        assert_eq!(process.stdout(), "one\ngot two\n");
        assert!(!process.is_running());
    }

    #[test]
    fn a_stopped_process_has_no_thread_that_runs() {
        let spins = "import threading\ndef spin():\n  while True: pass\nprint('started', flush=True)\n\
                     for _ in range(4): threading.Thread(target=spin).start()";
        let process = ProcessGuard::spawn(Command::new("python3").args(["-c", spins]));
        process.wait_for_line("started", Duration::from_secs(10));
        let tasks = format!("/proc/{}/task", process.pid());
        for _ in 0..20 {
            process.sigstop();
            process.sigstop();
            for task in std::fs::read_dir(&tasks).unwrap() {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
                assert!(stat.contains(") T "), "{stat}");
            }
            process.sigcont();
        }
        process.kill();
        process.sigstop();
    }

    #[test]
    fn drop_kills_the_children_too() {
        let process = ProcessGuard::spawn(Command::new("sh").args(["-c", "sleep 1000 & echo $!; wait"]));
        let child = process.wait_for_line("", Duration::from_secs(10));
        let alive = || std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(alive());
        drop(process);
        let end = Instant::now() + Duration::from_secs(10);
        while alive() {
            assert!(Instant::now() < end, "the child is still alive");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
