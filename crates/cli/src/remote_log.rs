//! Log events of remote processes that this program has started: for the user, on the standard error.

use std::io::Write;
use std::time::SystemTime;

use peerl_otp::LogEvent;
use serde_json::json;

use crate::log::LogFormat;
use crate::printable::{printable_json, printable_output};
use crate::settings::Settings;

/// Prints events like log records: all that the nodes send, unless the user wants less.
pub fn show(settings: &Settings) -> impl Fn(&LogEvent) + Send + Sync + 'static {
    let (verbosity, format) = (settings.verbosity(), settings.log_format.unwrap_or_default());
    move |event| {
        let is_error = matches!(event.level.as_str(), "emergency" | "alert" | "critical" | "error");
        if verbosity < -1 || verbosity < 0 && !is_error {
            return;
        }
        let shown = match format {
            LogFormat::Text => text(event),
            LogFormat::Json => json(event),
        };
        // A failure to print cannot be reported.
        let _ = std::io::stderr().lock().write_all(shown.as_bytes());
    }
}

/// The first line has the level and the node; further lines are indented, so that none looks like another event.
fn text(event: &LogEvent) -> String {
    let mut shown = format!("[{}] {}: ", event.level, event.node);
    for (index, line) in event.text.trim_end().split('\n').enumerate() {
        if index > 0 {
            shown.push_str("    ");
        }
        shown.push_str(&printable_output(line));
        shown.push('\n');
    }
    shown
}

fn json(event: &LogEvent) -> String {
    let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    let (level, node) = (event.level.to_uppercase(), event.node.as_str());
    let event =
        json!({ "timestamp": timestamp, "level": level, "node": node, "message": event.text, "target": "erlang" });
    format!("{}\n", printable_json(&event.to_string()))
}

#[cfg(test)]
mod tests {
    use peerl_node::Atom;

    use super::*;

    #[test]
    fn one_event_looks_like_one() {
        let event =
            |text: &str| LogEvent::new("app@10.0.0.5".parse().unwrap(), Atom::from_static("error"), text.to_owned());
        assert_eq!(text(&event("x\n")), "[error] app@10.0.0.5: x\n");
        assert_eq!(text(&event("")), "[error] app@10.0.0.5: \n");
        let forged = text(&event("a\n[error] other@h: b\r\u{1b}[2Jc"));
        assert_eq!(forged, "[error] app@10.0.0.5: a\n    [error] other@h: b\\r\\u{1b}[2Jc\n");
        let parsed: serde_json::Value = serde_json::from_str(&json(&event("a\nb"))).unwrap();
        assert_eq!((&parsed["level"], &parsed["message"]), (&"ERROR".into(), &"a\nb".into()));
    }
}
