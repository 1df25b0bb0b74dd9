//! The logger: log events of what this node has others do.
//!
//! OTP's logger forwards an event to the node of the group leader of the process that logs: to `logger_proxy` there, or to
//! `logger`.

use std::time::Duration;

use peerl_node::{Atom, CallError, Mfa, Node, NodeName, Pid, ServiceError, WeakNode};
use peerl_term::Term;
use tokio::time::Instant;

use super::LogOutput;
use super::log_event::LogEvent;
use super::process::{self, Received, SystemProcess};
use super::queues::{Queues, Worker};
use super::unfinished::Unfinished;
use crate::chardata::{self, Encoding};

/// How long a peer may take to format an event.
const FORMATTING: Duration = Duration::from_secs(5);

/// How often it is told that events were dropped, at most.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest text that a peer is asked for, in characters, so that an event with a large term does not fill the screen.
const LONGEST_FORMATTED: u32 = 65_536;

/// The longest text of an event that its node does not format, in characters: a record of the log has no more.
const LONGEST_UNFORMATTED: usize = 16_384;

pub(super) fn start(node: &Node, output: LogOutput, unfinished: Unfinished) -> Result<Pid, ServiceError> {
    let writer = Writer { node: node.downgrade(), output, unanswered: None };
    let logger = Logger { queues: Queues::new(writer, unfinished), dropped: 0, told: None };
    process::start(node, &["logger", "logger_proxy"], logger)
}

/// The events of a node are shown in their order, and do not wait for those of other nodes. If too many wait, further ones are
/// dropped, as OTP's handlers do.
struct Logger {
    queues: Queues<Writer>,
    /// How many events were dropped since that was told, and when that was.
    dropped: u64,
    told: Option<Instant>,
}

/// What shows the events of a node.
#[derive(Clone)]
struct Writer {
    node: WeakNode,
    output: LogOutput,
    /// When the node last failed to answer. It is not asked to format what has come before.
    unanswered: Option<Instant>,
}

/// An event as it came.
struct Event {
    came: Instant,
    level: Atom,
    message: Term,
    metadata: Term,
}

impl SystemProcess for Logger {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Some(event) = Event::from_term(&message) else { return };
        if self.queues.push(received, (), event).is_err() {
            self.note_dropped();
        }
    }
}

impl Logger {
    /// Tells at most every [`PAUSE`] how many events were dropped: who sends them is not to fill the log with that.
    fn note_dropped(&mut self) {
        self.dropped += 1;
        if self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            let events = std::mem::take(&mut self.dropped);
            self.told = Some(Instant::now());
            tracing::warn!(events, "dropped log events: too many wait to be formatted");
        }
    }
}

impl Event {
    /// `{log, Level, Format, Arguments, Metadata}`, where the format may be `string` or `report`; or
    /// `{log, Level, StringOrReport, Metadata}`.
    fn from_term(message: &Term) -> Option<Self> {
        let (level, message, metadata) = match message.as_tuple()? {
            [kind, Term::Atom(level), format, arguments, metadata] if kind.is_atom("log") => {
                (level, Term::tuple([format.clone(), arguments.clone()]), metadata)
            }
            [kind, Term::Atom(level), Term::Tuple(message), metadata] if kind.is_atom("log") => {
                (level, Term::Tuple(message.clone()), metadata)
            }
            [kind, Term::Atom(level), report @ Term::Map(_), metadata] if kind.is_atom("log") => {
                (level, Term::tuple([Term::atom("report"), report.clone()]), metadata)
            }
            [kind, Term::Atom(level), text, metadata] if kind.is_atom("log") => {
                let kind = if chardata::chardata(text, Encoding::Unicode).is_some() { "string" } else { "report" };
                (level, Term::tuple([Term::atom(kind), text.clone()]), metadata)
            }
            _ => return None,
        };
        matches!(metadata, Term::Map(_)).then(|| Self {
            came: Instant::now(),
            level: level.clone(),
            message,
            metadata: metadata.clone(),
        })
    }

    /// The text as the formatter of the node that has logged it makes it: the functions that format reports are there.
    async fn formatted(&self, node: &Node, peer: &NodeName) -> Result<Term, CallError> {
        let event =
            [("level", self.level.clone().into()), ("msg", self.message.clone()), ("meta", self.metadata.clone())];
        let options = [
            ("template", Term::list([Term::atom("msg")])),
            ("single_line", Term::from(false)),
            ("chars_limit", Term::from(LONGEST_FORMATTED)),
        ];
        let map = |pairs: [(&'static str, Term); 3]| Term::map(pairs.map(|(key, value)| (Term::atom(key), value)));
        let (module, function) = (Atom::from_static("logger_formatter"), Atom::from_static("format"));
        let mfa = Mfa::with_terms(module, function, vec![map(event), map(options)]);
        node.call::<Term>(peer, mfa).if_connected().timeout(FORMATTING).await
    }
}

impl Worker for Writer {
    /// All events of a node stay in their order.
    type Key = ();
    type Job = Event;

    /// OTP's logger sends an event from the node of the process that has logged it, whatever pid its metadata have.
    async fn work(&mut self, sender: &Atom, event: &Event) {
        let Some(node) = self.node.upgrade() else { return };
        let Ok(peer) = NodeName::new(sender) else { return };
        let text = self.formatted(&node, &peer, event).await;
        // What its own node cannot format is shown as it is.
        let text = text.unwrap_or_else(|| event.message.shown(LONGEST_UNFORMATTED));
        (self.output)(&LogEvent::new(peer, event.level.clone(), text));
    }
}

impl Writer {
    /// The text, if the node formats it.
    async fn formatted(&mut self, node: &Node, peer: &NodeName, event: &Event) -> Option<String> {
        if self.unanswered.is_some_and(|unanswered| event.came <= unanswered) {
            return None;
        }
        match event.formatted(node, peer).await {
            Ok(text) => chardata::chardata(&text, Encoding::Unicode),
            Err(CallError::Exception(_)) => None,
            Err(_) => {
                self.unanswered = Some(Instant::now());
                None
            }
        }
    }
}
