//! What a command prints on the standard output.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use peerl_term::Term;
use peerl_term::text::{self, Syntax};
use serde::Serialize;

use crate::failure::Failure;
use crate::settings::{Format, Settings};

/// Prints values in the form that the user wants.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    /// Makes an output of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self { format: settings.format(), quiet: settings.quiet > 0 }
    }

    /// The form of the output.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints a value: as the text that is given, as JSON, or as a term.
    ///
    /// # Errors
    /// If the standard output cannot be written to.
    pub fn value<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Text => print(&text()),
            Format::Json => print(&json(value)?),
            Format::Erlang => self.as_term(value, Syntax::Erlang),
            Format::Elixir => self.as_term(value, Syntax::Elixir),
        }
    }

    /// Prints a sequence of values: as the text that is given, as a JSON array with one value a line, or as a term.
    ///
    /// # Errors
    /// If the standard output cannot be written to.
    pub fn rows<T: Serialize>(&self, values: &[T], text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json if !values.is_empty() => {
                let lines = values.iter().map(json).collect::<Result<Vec<_>, _>>()?;
                print(&format!("[\n{}\n]", lines.join(",\n")))
            }
            _ => self.value(&values, text),
        }
    }

    /// Prints one of many values that come one after another: each is one line.
    ///
    /// # Errors
    /// If the standard output cannot be written to.
    pub fn line<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        self.value(value, || visible(&text()))
    }

    /// Prints a term: as text in the syntax that is given, or as plain JSON.
    ///
    /// # Errors
    /// If the standard output cannot be written to.
    pub fn term(&self, term: &Term, syntax: Syntax) -> Result<(), Failure> {
        match self.format {
            Format::Text => print(&syntax.display(term).to_string()),
            Format::Json => print(&text::json::to_plain_string(term).map_err(no_json)?),
            Format::Erlang => print(&Syntax::Erlang.display(term).to_string()),
            Format::Elixir => print(&Syntax::Elixir.display(term).to_string()),
        }
    }

    /// A progress bar on the standard error, if that is a terminal and the user wants to be told.
    pub fn progress(&self, length: usize) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(length as u64), target);
        // The template is part of the program.
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta} left {msg}") {
            bar.set_style(style);
        }
        bar
    }

    /// Tells people something on the standard error that is not part of the result.
    pub fn note(&self, text: &str) {
        if !self.quiet && self.format == Format::Text {
            eprintln!("{text}");
        }
    }

    fn as_term<T: Serialize>(&self, value: &T, syntax: Syntax) -> Result<(), Failure> {
        let options = match syntax {
            Syntax::Elixir => peerl_term::serde::Options::elixir(),
            _ => peerl_term::serde::Options::default(),
        };
        let term = options.to_term(value).map_err(Failure::new)?;
        print(&syntax.display(&term).to_string())
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(no_json)
}

fn no_json(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the value cannot be shown as JSON: {error}")).hint("use --format erlang")
}

/// Prints a line, at once.
///
/// # Errors
/// If the standard output cannot be written to. Where the reader has gone away, the failure is a silent one.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(),
        _ => Failure::new(format!("cannot write to the standard output: {error}")),
    })
}

/// A table for people. On a terminal it is as wide as that.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let width = if io::stdout().is_terminal() { terminal_width() } else { None };
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 40)
}

/// What comes from outside may hold characters that would move a terminal's cursor.
fn visible(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_moves_the_cursor() {
        let rows = [["a", "1"], ["bcd\u{1b}[2J\n", "22"]].map(|row| row.map(str::to_owned).to_vec());
        let shown = table(&["NAME", "N"], rows);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(lines[0].starts_with("NAME"), "{shown}");
        assert_eq!(lines[0].find('N'), Some(0));
        assert!(!shown.contains('\u{1b}'));
    }
}
