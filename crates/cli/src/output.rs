//! The output of commands on the standard output.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use peerl_term::Term;
use peerl_term::text::{self, Syntax};
use serde::Serialize;

use crate::failure::Failure;
use crate::printable::{printable, printable_json, printable_output};
use crate::settings::{Format, Settings};

/// Prints values in the requested format.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    /// Makes an output from the settings.
    pub fn new(settings: &Settings) -> Self {
        Self { format: settings.format(), quiet: settings.quiet > 0 }
    }

    /// The output format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints a value: as the given text, as JSON, or as a term.
    ///
    /// # Errors
    /// If the standard output is not writable.
    pub fn value<T: Serialize, L: Into<Lines>>(&self, value: &T, text: impl FnOnce() -> L) -> Result<(), Failure> {
        match self.format {
            Format::Text => print(&text().into()),
            Format::Json | Format::JsonLines => write(&json(value)?),
            Format::Erlang => self.as_term(value, Syntax::Erlang),
            Format::Elixir => self.as_term(value, Syntax::Elixir),
        }
    }

    /// Prints a sequence of values: as the given text, as a JSON array with one value per line, as JSON lines, or as
    /// a term.
    ///
    /// # Errors
    /// If the standard output is not writable.
    pub fn rows<T: Serialize, L: Into<Lines>>(&self, values: &[T], text: impl FnOnce() -> L) -> Result<(), Failure> {
        match self.format {
            Format::Json if !values.is_empty() => {
                let lines = values.iter().map(json).collect::<Result<Vec<_>, _>>()?;
                write(&format!("[\n{}\n]", lines.join(",\n")))
            }
            Format::JsonLines => values.iter().try_for_each(|value| write(&json(value)?)),
            _ => self.value(&values, text),
        }
    }

    /// Prints a term: as text in this syntax, or as plain JSON.
    ///
    /// # Errors
    /// If the standard output is not writable.
    pub fn term(&self, term: &Term, syntax: Syntax) -> Result<(), Failure> {
        match self.format {
            Format::Text => print(&syntax.display(term).to_string().into()),
            Format::Json | Format::JsonLines => {
                write(&printable_json(&text::json::to_plain_string(term).map_err(no_json)?))
            }
            Format::Erlang => print(&Syntax::Erlang.display(term).to_string().into()),
            Format::Elixir => print(&Syntax::Elixir.display(term).to_string().into()),
        }
    }

    /// A progress bar on the standard error, if that is a terminal, not silenced, and not used otherwise.
    pub fn progress(&self) -> ProgressBar {
        let hidden = self.quiet || io::stdout().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        // The template is a constant of the program.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} done, {per_sec} {msg}") {
            bar.set_style(style);
        }
        bar
    }

    /// Prints a note for people on the standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet && self.format == Format::Text {
            eprintln!("{}", printable(text));
        }
    }

    fn as_term<T: Serialize>(&self, value: &T, syntax: Syntax) -> Result<(), Failure> {
        print(&syntax.display(&to_term(value, syntax)?).to_string().into())
    }
}

/// Text for people. Each line is printed as a single line, whatever it contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(Vec<String>);

impl Lines {
    /// Adds a line.
    pub fn push(&mut self, line: impl AsRef<str>) {
        self.0.push(printable(line.as_ref()).into_owned());
    }

    /// Adds lines.
    pub fn append(&mut self, mut lines: Self) {
        self.0.append(&mut lines.0);
    }
}

impl From<String> for Lines {
    fn from(line: String) -> Self {
        [line].into_iter().collect()
    }
}

impl<L: AsRef<str>> FromIterator<L> for Lines {
    fn from_iter<I: IntoIterator<Item = L>>(lines: I) -> Self {
        Self(lines.into_iter().map(|line| printable(line.as_ref()).into_owned()).collect())
    }
}

impl<L: AsRef<str>> Extend<L> for Lines {
    fn extend<I: IntoIterator<Item = L>>(&mut self, lines: I) {
        lines.into_iter().for_each(|line| self.push(line));
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The equivalent term of a value in a syntax.
///
/// # Errors
/// If there is none.
pub fn to_term<T: Serialize>(value: &T, syntax: Syntax) -> Result<Term, Failure> {
    let options = match syntax {
        Syntax::Elixir => peerl_term::serde::Options::elixir(),
        _ => peerl_term::serde::Options::default(),
    };
    options.to_term(value).map_err(Failure::new)
}

fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map(|text| printable_json(&text).into_owned()).map_err(no_json)
}

fn no_json(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the value cannot be shown as JSON: {error}")).hint("use --format erlang")
}

/// Prints text for people, unbuffered.
///
/// # Errors
/// If the standard output is not writable. If its reader is gone, the failure is silent.
pub fn print(lines: &Lines) -> Result<(), Failure> {
    write(&lines.to_string())
}

/// Prints the program's own text, such as a script, unchanged.
///
/// # Errors
/// See [`print()`].
pub fn print_script(text: &str) -> Result<(), Failure> {
    write(text)
}

fn write(text: &str) -> Result<(), Failure> {
    write_bytes(&[text.as_bytes(), b"\n"].concat())
}

/// Writes to the standard output, unbuffered.
///
/// # Errors
/// See [`print()`].
pub fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(),
        _ => Failure::new(format!("cannot write to the standard output: {error}")),
    })
}

/// Passes on the output of a called function: unchanged to a file or a program; to a terminal with escapes for all
/// characters except text, line breaks and tabs.
///
/// # Errors
/// If it is not writable.
pub fn pass_on(mut stream: impl Write + IsTerminal, text: &str) -> io::Result<()> {
    match stream.is_terminal() {
        true => stream.write_all(printable_output(text).as_bytes()),
        false => stream.write_all(text.as_bytes()),
    }
}

/// A table for people. On a terminal it has the terminal's width.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Lines {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| shortened(cell, MAX_CELL)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let width = if io::stdout().is_terminal() { terminal_width() } else { None };
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    trimmed_lines(&table).collect()
}

/// The lines of a table, without trailing spaces.
pub fn trimmed_lines(table: &Table) -> impl Iterator<Item = String> {
    table.lines().map(|line| line.trim_end().to_owned())
}

/// The longest text in a table cell.
pub const MAX_CELL: usize = 200;

/// The longest text in a cell of a table with two wide columns, so that a row fits the terminal; a checksum always
/// fits.
pub fn wide_cell() -> usize {
    const CHECKSUM: usize = 64;
    const NARROW_COLUMNS: usize = 36;
    let width = if io::stdout().is_terminal() { terminal_width() } else { None };
    width.map_or(MAX_CELL, |width| (usize::from(width).saturating_sub(NARROW_COLUMNS) / 2).clamp(CHECKSUM, MAX_CELL))
}

/// The beginning of a text, escaped for a terminal, with the size of the text if it is cut.
pub fn shortened(text: impl fmt::Display, most: usize) -> String {
    let mut beginning = TextPrefix { text: String::new(), room: most, size: 0 };
    // Writing to a counter cannot fail.
    let _ = write!(beginning, "{text}");
    let TextPrefix { text, size, .. } = beginning;
    let shown = printable(&text);
    match size > text.len() {
        true => format!("{shown}… ({})", DecimalBytes(size as u64)),
        false => shown.into_owned(),
    }
}

/// Keeps the first characters of a text and counts all bytes.
struct TextPrefix {
    text: String,
    room: usize,
    size: usize,
}

impl fmt::Write for TextPrefix {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.size += more.len();
        let kept = more.chars().take(self.room);
        self.room -= kept.clone().count();
        self.text.extend(kept);
        Ok(())
    }
}

fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_by_its_beginning_and_size() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "abc… (4 B)");
        assert_eq!(shortened("äöü\n", 4), "äöü\\n");
        assert_eq!(shortened("ä".repeat(1_000_000), 2), "ää… (2.00 MB)");
    }

    #[test]
    fn columns_are_aligned_and_nothing_moves_the_cursor() {
        let rows = [["a", "1"], ["bcd\u{1b}[2J\n", "22"]].map(|row| row.map(str::to_owned).to_vec());
        let shown = table(&["NAME", "N"], rows).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(lines[0].starts_with("NAME"), "{shown}");
        assert_eq!(lines[0].find('N'), Some(0));
        assert!(shown.contains(r"bcd\u{1b}[2J\n"), "{shown}");
    }
}
