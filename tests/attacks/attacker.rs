//! A connection of an attacker: it writes as fast as the worker reads, and counts what comes back.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::iter::Sum;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use peerl_node::Term;
use peerl_proto::channel::Message;
use peerl_proto::control::{ProcessId, Signal};
use peerl_term::{Pid, Reference};
use peerl_test_support::unique_name;

use super::Target;
use crate::intruder::Intruder;

/// How far a write got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    All,
    /// The worker has not read all in time. The connection is of no more use.
    Late,
    /// The worker has ended the connection.
    Closed,
}

/// Whether an attacker reads what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Read,
    Unread,
}

impl Reading {
    /// Connects such an attacker.
    pub fn connect(self, target: &Target) -> Attacker {
        match self {
            Self::Read => Attacker::connect(target),
            Self::Unread => Attacker::deaf(target),
        }
    }
}

/// What became of the attackers.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// Requests that succeeded.
    pub answers: u64,
    /// Requests that failed by `system_limit`.
    pub refusals: u64,
    /// Connections, and those of them that the worker has ended.
    pub connections: u64,
    pub closed: u64,
    /// What was sent, in whatever unit counts: terms, monitors, calls, bytes.
    pub sent: u64,
}

impl Sum for Fate {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            answers: sum.answers + one.answers,
            refusals: sum.refusals + one.refusals,
            connections: sum.connections + one.connections,
            closed: sum.closed + one.closed,
            sent: sum.sent + one.sent,
        })
    }
}

pub struct Attacker {
    pub intruder: Intruder,
    pub sent: u64,
    numbers: u32,
    tally: Arc<Tally>,
    reader: Option<JoinHandle<()>>,
    closed: bool,
}

#[derive(Default)]
struct Tally {
    answers: AtomicU64,
    refusals: AtomicU64,
    closed: AtomicBool,
    /// Monitors of processes of the attacker: the monitoring process, and the monitor.
    monitors: Mutex<VecDeque<(Pid, Reference)>>,
    /// The pid that a call has returned.
    pid: Mutex<Option<Pid>>,
    /// The process that was spawned last.
    spawned: Mutex<Option<Pid>>,
}

impl Attacker {
    /// The names of all attackers begin with it.
    pub const STEM: &str = "attacker";

    /// Connects, and reads what comes.
    pub fn connect(target: &Target) -> Self {
        let mut attacker = Self::deaf(target);
        let mut reader = attacker.intruder.reader();
        let tally = attacker.tally.clone();
        attacker.reader = Some(std::thread::spawn(move || {
            while let Some(message) = reader.next_message() {
                tally.count(&message);
            }
            tally.closed.store(true, Ordering::Relaxed);
        }));
        attacker
    }

    /// Connects, and reads nothing.
    pub fn deaf(target: &Target) -> Self {
        Self::deaf_as(&format!("{}@127.0.0.1", unique_name(Self::STEM)), target)
    }

    /// The same with this name, in the place of one that has it.
    pub fn deaf_as(name: &str, target: &Target) -> Self {
        let intruder = Intruder::connect_to(name, &target.name, target.port);
        intruder.socket.set_write_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        Self { intruder, sent: 0, numbers: 0, tally: Arc::default(), reader: None, closed: false }
    }

    /// A process of the attacker.
    pub fn process(&self, id: u32) -> Pid {
        Pid { id, ..self.intruder.pid() }
    }

    pub fn reference(&mut self) -> Reference {
        self.numbers += 1;
        Reference::new(self.intruder.pid().node, 9, &[self.numbers, 1, 0]).expect("three words")
    }

    /// The process with this name.
    pub fn pid_of(&mut self, name: &'static str, end: Instant) -> Option<Term> {
        self.ask("whereis", [Term::atom(name)], end)
    }

    /// The group leader of the processes of the worker.
    pub fn group_leader(&mut self, end: Instant) -> Option<Term> {
        let rex = self.pid_of("rex", end)?;
        self.ask("process_info", [rex, Term::atom("group_leader")], end)
    }

    /// The process that the worker has spawned for a request of this connection.
    pub fn spawned(&self, end: Instant) -> Option<Term> {
        self.await_pid(&self.tally.spawned, end)
    }

    pub fn refusals(&self) -> u64 {
        self.tally.refusals.load(Ordering::Relaxed)
    }

    /// Whether the worker has ended the connection.
    pub fn is_closed(&self) -> bool {
        self.closed || self.tally.closed.load(Ordering::Relaxed)
    }

    /// The next monitor of the worker, of a process of the attacker.
    pub fn monitor(&self, end: Instant) -> Option<(Pid, Reference)> {
        while Instant::now() < end && !self.is_closed() {
            let monitor = self.tally.monitors.lock().expect("no panic").pop_front();
            if monitor.is_some() {
                return monitor;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Writes all parts, unless the worker does not read them before the end.
    pub fn write(&mut self, parts: &[&[u8]], end: Instant) -> Written {
        for part in parts {
            let mut left = *part;
            while !left.is_empty() {
                match self.intruder.socket.write(left) {
                    Ok(count) => left = &left[count..],
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        self.closed = true;
                        return Written::Closed;
                    }
                }
                if Instant::now() >= end && !left.is_empty() {
                    return Written::Late;
                }
            }
        }
        Written::All
    }

    /// The pid in what this function of `erlang` returns.
    fn ask<const N: usize>(&mut self, function: &'static str, arguments: [Term; N], end: Instant) -> Option<Term> {
        let (from, reference) = (self.process(1), self.reference());
        let call = [reference.clone().into(), Term::atom("erlang"), Term::atom(function), Term::list(arguments)];
        self.intruder.frame(erpc(&from, &reference), Some(Term::list(call)));
        self.await_pid(&self.tally.pid, end)
    }

    fn await_pid(&self, place: &Mutex<Option<Pid>>, end: Instant) -> Option<Term> {
        while Instant::now() < end && !self.is_closed() {
            if let Some(pid) = place.lock().expect("no panic").take() {
                return Some(pid.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Waits, while the connection lasts.
    pub fn wait(&self, end: Instant) {
        while Instant::now() < end && !self.is_closed() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until all that was sent has been answered, while the connection lasts.
    pub fn wait_for_answers(&self, end: Instant) {
        let answered = || self.tally.answers.load(Ordering::Relaxed) + self.refusals();
        while answered() < self.sent && Instant::now() < end && !self.is_closed() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What became of it. Its connection ends.
    pub fn fate(mut self) -> Fate {
        let closed = self.is_closed();
        let _ = self.intruder.socket.shutdown(std::net::Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        Fate {
            answers: self.tally.answers.load(Ordering::Relaxed),
            refusals: self.refusals(),
            connections: 1,
            closed: closed.into(),
            sent: self.sent,
        }
    }
}

impl Tally {
    fn count(&self, message: &Message) {
        match &message.signal {
            Signal::SpawnReply { result: Err(reason), .. } if reason.as_str() == "system_limit" => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
            }
            Signal::SpawnReply { result: Ok(pid), .. } => *self.spawned.lock().expect("no panic") = Some(pid.clone()),
            Signal::SpawnReply { .. } | Signal::MonitorExit { .. } => {
                let small = message.payload.as_ref().filter(|payload| payload.bytes().len() < 1024);
                let reason = small.and_then(|payload| payload.decode().ok());
                if let Some([_, _, value]) = reason.as_ref().and_then(Term::as_tuple)
                    && let Some(pid) = value.as_pid().or_else(|| value.as_tuple()?.last()?.as_pid())
                {
                    *self.pid.lock().expect("no panic") = Some(pid.clone());
                    return;
                }
                let refused = reason.is_some_and(|reason| reason.to_string().contains("system_limit"));
                let count = if refused { &self.refusals } else { &self.answers };
                count.fetch_add(1, Ordering::Relaxed);
            }
            Signal::Monitor { from, to: ProcessId::Pid(_), reference } => {
                self.monitors.lock().expect("no panic").push_back((from.clone(), reference.clone()));
            }
            _ => {}
        }
    }
}

/// The head of a frame with a distribution header without atoms, and this control message.
pub fn head(control: &Term, payload: usize) -> Vec<u8> {
    let control = control.encode();
    // 131 of the control message stands for that of the header.
    let length = u32::try_from(2 + control.len() + payload).expect("a frame");
    let mut head = length.to_be_bytes().to_vec();
    head.extend_from_slice(&[131, 68, 0]);
    head.extend_from_slice(&control[1..]);
    head
}

/// The control message of an `erpc` call, `{29, Ref, From, GroupLeader, {erpc, execute_call, 4}, [monitor]}`.
pub fn erpc(from: &Pid, reference: &Reference) -> Term {
    let function = Term::tuple([Term::atom("erpc"), Term::atom("execute_call"), 4.into()]);
    let options = Term::list([Term::atom("monitor")]);
    Term::tuple([29.into(), reference.clone().into(), from.clone().into(), from.clone().into(), function, options])
}

/// The arguments of `erpc:execute_call/4` before those of the function, which is called with one argument. After the argument comes
/// [`END`].
pub fn one_argument(reference: &Reference, module: &'static str, function: &'static str) -> Vec<u8> {
    let mut bytes = vec![108, 0, 0, 0, 4];
    for term in [reference.clone().into(), Term::atom(module), Term::atom(function)] {
        bytes.extend_from_slice(&term.encode()[1..]);
    }
    bytes.extend_from_slice(&[108, 0, 0, 0, 1]);
    bytes
}

/// Ends the list of one argument, and the list of four.
pub const END: [u8; 2] = [106, 106];
