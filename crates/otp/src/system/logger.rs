//! The logger: log events of what this node has others do.
//!
//! OTP's logger forwards an event to the node of the group leader of the process that logs: to `logger_proxy` there, or to
//! `logger`.

use std::sync::Arc;
use std::time::Duration;

use peerl_node::{Atom, CallError, Mfa, Node, NodeName, Pid, Repeats, ServiceError, WeakNode};
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

/// The longest text that a peer is asked for, in characters, so that an event with a large term does not fill the screen.
const LONGEST_FORMATTED: u32 = 65_536;

/// The longest text of an event that its node does not format, in characters: a record of the log has no more.
const LONGEST_UNFORMATTED: usize = 16_384;

/// The bytes of the largest event that its node is asked to format: it would be copied for that.
const LARGEST_FORMATTED: usize = 1 << 20;

pub(super) fn start(node: &Node, output: LogOutput, unfinished: Unfinished) -> Result<Pid, ServiceError> {
    let writer = Writer { node: node.downgrade(), output, unanswered: None };
    let logger = Logger { queues: Queues::new(writer, unfinished), dropped: Arc::default() };
    process::start(node, &["logger", "logger_proxy"], logger)
}

/// The events of a node are shown in their order, and do not wait for those of other nodes. If too many wait, further ones are
/// dropped, as OTP's handlers do.
struct Logger {
    queues: Queues<Writer>,
    dropped: Arc<Repeats>,
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
    is_large: bool,
    level: Atom,
    message: Term,
    metadata: Term,
}

impl SystemProcess for Logger {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Some(mut event) = Event::from_term(message) else { return };
        event.is_large = received.payload.bytes().len() > LARGEST_FORMATTED;
        if self.queues.push(received, (), event).is_err() {
            let warning = || format!("dropped a log event of {}: too many wait to be formatted", received.sender());
            self.dropped.warn("log events dropped", warning);
        }
    }
}

impl Event {
    /// `{log, Level, Format, Arguments, Metadata}`, where the format may be `string` or `report`; or
    /// `{log, Level, StringOrReport, Metadata}`.
    fn from_term(message: Term) -> Option<Self> {
        let Term::Tuple(parts) = message else { return None };
        let mut parts = parts.into_vec().into_iter();
        let is_log = parts.next()?.is_atom("log");
        let (Term::Atom(level), first, second, third) = (parts.next()?, parts.next()?, parts.next()?, parts.next())
        else {
            return None;
        };
        let (message, metadata) = match third {
            Some(metadata) => (Term::tuple([first, second]), metadata),
            None => {
                let message = match first {
                    Term::Tuple(_) => first,
                    report @ Term::Map(_) => Term::tuple([Term::atom("report"), report]),
                    text => {
                        let is_text = chardata::chardata(&text, Encoding::Unicode).is_some();
                        Term::tuple([Term::atom(if is_text { "string" } else { "report" }), text])
                    }
                };
                (message, second)
            }
        };
        let is_event = is_log && parts.next().is_none() && matches!(metadata, Term::Map(_));
        is_event.then(|| Self { came: Instant::now(), is_large: false, level, message, metadata })
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
    async fn work(&mut self, sender: &Atom, event: &mut Event) {
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
        if event.is_large || self.unanswered.is_some_and(|unanswered| event.came <= unanswered) {
            return None;
        }
        match event.formatted(node, peer).await {
            Ok(text) => {
                let mut text = chardata::chardata(&text, Encoding::Unicode)?;
                // The peer may give more than it was asked for.
                if let Some((end, _)) = text.char_indices().nth(LONGEST_FORMATTED as usize) {
                    text.truncate(end);
                }
                Some(text)
            }
            Err(CallError::Exception(_)) => None,
            Err(_) => {
                self.unanswered = Some(Instant::now());
                None
            }
        }
    }
}
