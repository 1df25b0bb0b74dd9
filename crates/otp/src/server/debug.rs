//! What `sys` has a server record of its own work: a trace, a log and statistics.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use peerl_node::{Pid, Term};
use peerl_term::text::Syntax;

use crate::term_memory::{term_memory, to_keep};

/// The most events that a log keeps, whatever number is asked for: a peer must not fill the memory.
const MOST_EVENTS: usize = 100;

/// The number of events that a log keeps if none is asked for, as in OTP.
const USUAL_EVENTS: usize = 10;

/// Messages, replies and states that take more memory are recorded by their size: a log must not keep many of them.
const LARGE: usize = 64 << 10;

/// The debug options of a server.
#[derive(Debug, Default)]
pub(super) struct Debug {
    traces: bool,
    log: Option<Log>,
    statistics: Option<Statistics>,
}

#[derive(Debug)]
struct Log {
    limit: usize,
    events: VecDeque<Term>,
}

#[derive(Debug)]
struct Statistics {
    since: SystemTime,
    received: u64,
    sent: u64,
}

/// The answer to a debug request, and to one that is not known.
const OK: &str = "ok";
const UNKNOWN: &str = "unknown_debug";

impl Debug {
    /// Whether events are recorded. If not, none is made.
    pub(super) fn is_active(&self) -> bool {
        self.traces || self.log.is_some() || self.statistics.is_some()
    }

    /// A message of this size has come.
    pub(super) fn received(&mut self, pid: &Pid, size: usize, message: Term) {
        if let Some(statistics) = &mut self.statistics {
            statistics.received += 1;
        }
        let shown = if size > LARGE { of_size(size) } else { message };
        self.record(pid, [Term::atom("in"), shown]);
    }

    /// A reply has been sent to this caller; the server's state is this.
    pub(super) fn replied(&mut self, pid: &Pid, reply: Term, to: Term, state: Term) {
        if let Some(statistics) = &mut self.statistics {
            statistics.sent += 1;
        }
        self.record(pid, [Term::atom("out"), reply, to, state]);
    }

    /// A message has been handled without a reply; the server's state is this.
    pub(super) fn handled(&mut self, pid: &Pid, state: Term) {
        self.record(pid, [Term::atom("noreply"), state]);
    }

    fn record<const PARTS: usize>(&mut self, pid: &Pid, event: [Term; PARTS]) {
        if !self.traces && self.log.is_none() {
            return;
        }
        let event = Term::tuple(event.map(kept));
        if self.traces {
            trace(pid, &event);
        }
        if let Some(log) = &mut self.log {
            log.push(event);
        }
    }

    /// The events of the log.
    pub(super) fn events(&self) -> Term {
        Term::list(self.log.iter().flat_map(|log| log.events.iter().cloned()))
    }

    /// The options as `sys:get_status/1` shows them.
    pub(super) fn options(&self) -> Term {
        let option = |name, value| Term::tuple([Term::atom(name), value]);
        let trace = self.traces.then(|| option("trace", Term::from(true)));
        let log = self.log.as_ref().map(|log| option("log", Term::from(log.limit)));
        let statistics = self.statistics.as_ref().map(|statistics| option("statistics", statistics.figures()));
        Term::list([trace, log, statistics].into_iter().flatten())
    }

    /// Handles `{debug, Request}`; gives the answer.
    pub(super) fn request(&mut self, pid: &Pid, request: &Term) -> Term {
        if request.is_atom("no_debug") {
            *self = Self::default();
            return Term::atom(OK);
        }
        let Some([option, value]) = request.as_tuple() else { return Term::atom(UNKNOWN) };
        let Some(option) = option.as_atom() else { return Term::atom(UNKNOWN) };
        match (option.as_str(), switch(value)) {
            ("trace", Some(traces)) => self.traces = traces,
            ("log", Some(false)) => self.log = None,
            ("log", Some(true)) => self.keep_events(USUAL_EVENTS),
            ("log", None) => return self.log_request(pid, value),
            ("statistics", Some(true)) => {
                self.statistics.get_or_insert_with(|| Statistics { since: SystemTime::now(), received: 0, sent: 0 });
            }
            ("statistics", Some(false)) => self.statistics = None,
            ("statistics", None) if value.is_atom("get") => {
                let figures = self.statistics.as_ref().map_or_else(|| Term::atom("no_statistics"), Statistics::figures);
                return Term::tuple([Term::atom(OK), figures]);
            }
            ("log_to_file", Some(false)) | ("remove", _) => {}
            // A peer must not write files here.
            ("log_to_file", _) => return Term::tuple([Term::atom("error"), Term::atom("open_file")]),
            _ => return Term::atom(UNKNOWN),
        }
        Term::atom(OK)
    }

    fn log_request(&mut self, pid: &Pid, request: &Term) -> Term {
        if request.is_atom("get") {
            return Term::tuple([Term::atom(OK), self.events()]);
        }
        if request.is_atom("print") {
            for event in self.log.iter().flat_map(|log| &log.events) {
                trace(pid, event);
            }
            return Term::atom(OK);
        }
        match request.as_tuple() {
            Some([on, Term::Integer(events @ 1..)]) if on.is_atom("true") => {
                self.keep_events(usize::try_from(*events).unwrap_or(MOST_EVENTS));
                Term::atom(OK)
            }
            _ => Term::atom(UNKNOWN),
        }
    }

    /// Begins a log. As in OTP, one that is there keeps its length.
    fn keep_events(&mut self, events: usize) {
        self.log.get_or_insert_with(|| Log { limit: events.min(MOST_EVENTS), events: VecDeque::new() });
    }
}

/// A part of an event as it is recorded: in memory of its own, and only its size if that is large.
fn kept(part: Term) -> Term {
    match term_memory(&part) {
        ..=LARGE => to_keep(&part),
        memory => of_size(memory),
    }
}

fn of_size(bytes: usize) -> Term {
    Term::tuple([Term::atom("bytes"), Term::from(bytes)])
}

fn switch(value: &Term) -> Option<bool> {
    match value.as_atom()?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn trace(pid: &Pid, event: &Term) {
    tracing::info!(target: "peerl::sys", server = ?pid, event = %Syntax::Erlang.display(event), "event");
}

impl Log {
    fn push(&mut self, event: Term) {
        if self.events.len() == self.limit {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Statistics {
    /// A server in Rust has no reductions.
    fn figures(&self) -> Term {
        let figure = |name, value| Term::tuple([Term::atom(name), value]);
        Term::list([
            figure("start_time", date_and_time(self.since)),
            figure("current_time", date_and_time(SystemTime::now())),
            figure("reductions", Term::from(0)),
            figure("messages_in", Term::from(self.received)),
            figure("messages_out", Term::from(self.sent)),
        ])
    }
}

/// `{{Year, Month, Day}, {Hour, Minute, Second}}` in UTC.
fn date_and_time(time: SystemTime) -> Term {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last of one; eras have 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let triple = |values: [u64; 3]| Term::tuple(values.map(Term::from));
    Term::tuple([triple([year, month, day]), triple([second / 3_600, second / 60 % 60, second % 60])])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerl_node::Atom;

    use super::*;

    fn at(seconds: u64) -> String {
        Syntax::Erlang.display(&date_and_time(UNIX_EPOCH + Duration::from_secs(seconds))).to_string()
    }

    #[test]
    fn a_log_keeps_no_large_states_replies_or_messages() {
        let mut debug = Debug::default();
        let pid = Pid { node: Atom::from_static("a@b"), id: 1, serial: 0, creation: 1 };
        let log = Term::tuple([Term::atom("log"), Term::tuple([Term::from(true), Term::from(100)])]);
        assert!(debug.request(&pid, &log).is_atom("ok"));
        let large = || Term::list((0..100_000).map(Term::from));
        for _ in 0..100 {
            debug.received(&pid, 5, large());
            debug.replied(&pid, large(), Term::from(1), large());
            debug.handled(&pid, large());
        }
        assert!(term_memory(&debug.events()) < 100 * 4 * LARGE);
        debug.replied(&pid, Term::from(2), Term::from(1), Term::from(3));
        let events = debug.events();
        let [.., last] = events.as_list().unwrap() else { panic!("{events:?}") };
        assert_eq!(Syntax::Erlang.display(last).to_string(), "{out,2,1,3}");
    }

    #[test]
    fn dates() {
        assert_eq!(at(0), "{{1970,1,1},{0,0,0}}");
        assert_eq!(at(951_868_799), "{{2000,2,29},{23,59,59}}");
        assert_eq!(at(951_868_800), "{{2000,3,1},{0,0,0}}");
        assert_eq!(at(4_107_542_399), "{{2100,2,28},{23,59,59}}");
        assert_eq!(at(1_798_761_599), "{{2026,12,31},{23,59,59}}");
    }
}
