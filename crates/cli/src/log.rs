//! The log, on the standard error.

mod background;

use std::fmt::{self, Write};
use std::io;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::printable::{Printable, printable_json};

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines of text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Which changes of membership are logged at the default level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// Nodes that join and leave.
    All,
    /// Nodes that are lost against this node's will.
    Lost,
}

/// Who waits while a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Who logs: no record is lost.
    Direct,
    /// A thread of its own: a node goes on while nobody reads its log. If too many records wait, further ones are lost, and counted.
    Background,
}

/// Writes the records that wait when it is dropped.
#[must_use]
pub struct Log(#[expect(dead_code, reason = "for its drop")] Option<WorkerGuard>);

/// Starts the log: warnings and errors, more with each `-v` (2 means everything of peerl's, 3 of all libraries), less
/// with each `-q` (negative).
pub fn start(verbosity: i8, format: LogFormat, members: Members, writing: Writing) -> Log {
    let level = match verbosity {
        ..=-2 => LevelFilter::OFF,
        -1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let others = if verbosity > 2 { LevelFilter::TRACE } else { level.min(LevelFilter::WARN) };
    // peerl reports the errors of AWS itself; the SDK's own warnings contain internals.
    let sdk = if verbosity > 2 { LevelFilter::TRACE } else { LevelFilter::OFF };
    let targets = Targets::new()
        .with_default(others)
        .with_target(
            "peerl::members",
            if members == Members::All && verbosity == 0 { LevelFilter::INFO } else { level },
        )
        .with_targets(["aws_config", "aws_credential_types", "aws_runtime", "aws_smithy"].map(|name| (name, sdk)))
        .with_targets(["peerl", "peerl_cli", "peerl_node", "peerl_epmd", "peerl_discovery"].map(|name| (name, level)));
    let (sink, guard) = match writing {
        Writing::Direct => (Sink::Direct, None),
        Writing::Background => {
            let (sink, guard) = background::start(io::stderr());
            (Sink::Background(sink), Some(guard))
        }
    };
    let layer = tracing_subscriber::fmt::layer();
    let layer = match format {
        LogFormat::Text => {
            let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
            let layer = layer.with_writer(move || sink.clone()).fmt_fields(TextFields);
            layer.with_ansi(is_terminal).with_target(false).boxed()
        }
        LogFormat::Json => layer.with_writer(move || JsonRecords(sink.clone())).json().flatten_event(true).boxed(),
    };
    // A second start, as in a test, has no effect.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
    Log(guard)
}

/// Takes complete records.
#[derive(Clone)]
enum Sink {
    Direct,
    Background(background::Records),
}

impl io::Write for Sink {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct => io::stderr().write_all(record).map(|()| record.len()),
            Self::Background(sink) => sink.write(record),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the message and the fields of a record on one line.
///
/// They contain text from peers, pages and services. It is escaped, so that it cannot forge a record or control the
/// terminal.
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor { writer, is_first: true, room: LONGEST, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

/// The most bytes of the fields of a record. A longer one is cut; what is cut off is not even formatted.
const LONGEST: usize = 16 << 10;

struct TextVisitor<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    /// The bytes that can still be written.
    room: usize,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn write(&mut self, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        match field.name() {
            "message" => {}
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?;
            }
            name => write!(self.writer, "{name}=")?,
        }
        let mut text = Cut { writer: &mut self.writer, room: self.room };
        let written = write!(Printable(&mut text), "{value:?}");
        self.room = text.room;
        if self.room == 0 { self.writer.write_char('…') } else { written }
    }
}

/// Writes until there is no more room, and fails then.
struct Cut<W> {
    writer: W,
    room: usize,
}

impl<W: Write> Write for Cut<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() < self.room {
            self.room -= text.len();
            return self.writer.write_str(text);
        }
        let end = text.floor_char_boundary(self.room);
        self.room = 0;
        self.writer.write_str(&text[..end])?;
        Err(fmt::Error)
    }
}

impl Visit for TextVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_ok() && self.room > 0 {
            self.result = self.write(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Takes complete JSON records, and escapes characters that JSON allows but a terminal interprets.
struct JsonRecords<W>(W);

impl<W: io::Write> io::Write for JsonRecords<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if record.len() > LONGEST
            && let Ok(mut value) = serde_json::from_slice(record)
        {
            cut_fields(&mut value);
            let text = format!("{}\n", serde_json::Value::from(value));
            self.0.write_all(printable_json(&text).as_bytes())?;
            return Ok(record.len());
        }
        let text = String::from_utf8_lossy(record);
        self.0.write_all(printable_json(&text).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Cuts the fields of a record that is too long.
fn cut_fields(record: &mut serde_json::Map<String, serde_json::Value>) {
    const FIELD: usize = 1 << 10;
    for field in record.values_mut() {
        if let serde_json::Value::String(text) = field {
            text.truncate(text.floor_char_boundary(FIELD));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const HOSTILE: &str = "a\nWARN forged\u{1b}]0;x\u{7}\u{9b}2J\u{202e}@h";

    fn events() {
        let error: &dyn std::error::Error = &io::Error::other(HOSTILE);
        let (name, none) = (Some(HOSTILE), None::<&str>);
        tracing::info!(peer = %HOSTILE, text = HOSTILE, debug = ?HOSTILE, name, none, error, "said {HOSTILE}");
        tracing::info_span!("span", host = %HOSTILE).in_scope(|| tracing::info!(number = 7, "in it"));
    }

    #[test]
    fn a_record_of_the_text_log_is_one_line() {
        for ansi in [false, true] {
            let log = Log::default();
            let writer = log.clone();
            let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).fmt_fields(TextFields);
            let subscriber = tracing_subscriber::registry().with(layer.with_ansi(ansi).with_target(false));
            tracing::subscriber::with_default(subscriber, events);
            let text = log.text();
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(!text.contains(['\u{7}', '\u{9b}', '\u{202e}']) && !text.contains("\u{1b}]"), "{text:?}");
            assert_eq!(text.contains('\u{1b}'), ansi);
            assert!(text.contains(r"said a\nWARN forged\u{1b}]0;x\u{7}\u{9b}2J\u{202e}@h"), "{text}");
            assert!(ansi || text.contains(r"peer=a\nWARN forged\u{1b}]0;x"), "{text}");
            assert!(!text.contains("none"), "{text}");
        }
    }

    #[test]
    fn a_record_is_cut() {
        let long = "é".repeat(1 << 20);
        let event = || tracing::info!(text = long, after = 7, "said {long}");
        let (text, json) = (Log::default(), Log::default());
        let writer = text.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).fmt_fields(TextFields);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.with_ansi(false)), event);
        let text = text.text();
        assert!(text.len() < LONGEST + 200 && text.contains("said é") && text.ends_with("…\n"), "{}", text.len());
        let writer = json.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || JsonRecords(writer.clone()));
        let layer = layer.json().flatten_event(true);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), event);
        let record: serde_json::Value = serde_json::from_str(&json.text()).unwrap();
        assert!(record["message"].as_str().unwrap().len() <= 1024 && record["after"] == 7);
    }

    #[test]
    fn a_record_of_the_json_log_is_one_line() {
        let log = Log::default();
        let writer = log.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || JsonRecords(writer.clone()));
        let subscriber = tracing_subscriber::registry().with(layer.json().flatten_event(true));
        tracing::subscriber::with_default(subscriber, events);
        let text = log.text();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(|c| c != '\n' && peerl_term::text::alters_display(c)), "{text:?}");
        let record: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(record["peer"], HOSTILE);
    }
}
