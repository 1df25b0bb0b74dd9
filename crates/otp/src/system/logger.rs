//! The logger: log events of what this node has others do.
//!
//! OTP's logger forwards an event to the node of the group leader of the process that logs: to `logger_proxy` there, or to
//! `logger`.

use std::time::Duration;

use peerl_node::{Atom, Lease, Mfa, Node, NodeName, Pid, ServiceError, WeakNode};
use peerl_term::Term;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::LogOutput;
use super::log_event::LogEvent;
use super::process::{self, Received, SystemProcess};
use super::unfinished::{Unfinished, Work};
use crate::chardata::{self, Encoding};

/// How long a peer may take to format an event.
const FORMATTING: Duration = Duration::from_secs(5);

/// The most events that wait to be formatted; those beyond are dropped, as OTP's handlers do.
const MOST_WAITING: usize = 4096;

/// How often it is told that events were dropped, at most.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest text of an event, in characters, so that one with a large term does not fill the screen.
const LONGEST: u32 = 65_536;

pub(super) fn start(node: &Node, output: LogOutput, unfinished: Unfinished) -> Result<Pid, ServiceError> {
    let (events, waiting) = mpsc::channel(MOST_WAITING);
    tokio::spawn(write(node.downgrade(), output, waiting));
    process::start(node, &["logger", "logger_proxy"], Logger { events, unfinished, dropped: 0, told: None })
}

struct Logger {
    events: mpsc::Sender<Waiting>,
    unfinished: Unfinished,
    /// How many events were dropped since that was told, and when that was.
    dropped: u64,
    told: Option<Instant>,
}

/// An event that waits to be formatted.
struct Waiting {
    event: Event,
    _work: Work,
    _lease: Option<Lease>,
}

/// An event as it came.
struct Event {
    level: Atom,
    message: Term,
    metadata: Term,
}

impl SystemProcess for Logger {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Some(event) = Event::from_term(&message) else { return };
        let sent = received.keep().is_ok_and(|lease| {
            self.events.try_send(Waiting { event, _work: self.unfinished.begin(), _lease: lease }).is_ok()
        });
        if !sent {
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
        matches!(metadata, Term::Map(_)).then(|| Self { level: level.clone(), message, metadata: metadata.clone() })
    }

    /// The node of the process that has logged this.
    fn node(&self) -> Option<NodeName> {
        let Term::Map(metadata) = &self.metadata else { return None };
        let Term::Pid(pid) = metadata.get(&Term::atom("pid"))? else { return None };
        NodeName::new(&pid.node).ok()
    }

    /// The text as the formatter of the node that has logged it makes it: the functions that format reports are there.
    async fn text(&self, node: &Node, peer: &NodeName) -> Option<String> {
        let event =
            [("level", self.level.clone().into()), ("msg", self.message.clone()), ("meta", self.metadata.clone())];
        let options = [
            ("template", Term::list([Term::atom("msg")])),
            ("single_line", Term::from(false)),
            ("chars_limit", Term::from(LONGEST)),
        ];
        let map = |pairs: [(&'static str, Term); 3]| Term::map(pairs.map(|(key, value)| (Term::atom(key), value)));
        let (module, function) = (Atom::from_static("logger_formatter"), Atom::from_static("format"));
        let mfa = Mfa::with_terms(module, function, vec![map(event), map(options)]);
        let text = node.call::<Term>(peer, mfa).if_connected().timeout(FORMATTING).await.ok()?;
        chardata::chardata(&text, Encoding::Unicode)
    }
}

/// Hands the events on, in their order.
async fn write(node: WeakNode, output: LogOutput, mut events: mpsc::Receiver<Waiting>) {
    while let Some(waiting) = events.recv().await {
        let event = &waiting.event;
        let Some(node) = node.upgrade() else { return };
        let Some(peer) = event.node() else { continue };
        let text = event.text(&node, &peer).await;
        // What its own node cannot format is shown as it is.
        let text = text.unwrap_or_else(|| event.message.shown(LONGEST as usize));
        output(&LogEvent::new(peer, event.level.clone(), text));
    }
}
