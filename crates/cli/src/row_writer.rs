//! Rows on the standard output, in the requested format, each as soon as it exists.

use std::time::{Duration, Instant};

use comfy_table::{ColumnConstraint, Table, Width, presets};

use crate::failure::Failure;
use crate::output::{self, trimmed_lines};
use crate::settings::Format;

/// A formatted row.
#[derive(Debug)]
pub enum Row {
    /// The cells of a table.
    Cells(Vec<String>),
    /// JSON, or a term in its syntax.
    Text(Vec<u8>),
}

impl Row {
    /// Its approximate size in bytes.
    pub fn size(&self) -> usize {
        match self {
            Row::Cells(cells) => cells.iter().map(String::len).sum(),
            Row::Text(text) => text.len(),
        }
    }
}

/// Prints rows. The rows of a table are collected for a moment, so that they share the column widths; a later, wider
/// row widens the columns from there on.
#[derive(Debug)]
pub struct RowWriter {
    format: Format,
    head: &'static [&'static str],
    rows: u64,
    is_closed: bool,
    /// The text to print.
    ready: Vec<u8>,
    /// The collected rows of a table, and the time of the first.
    waiting: Vec<Vec<String>>,
    since: Option<Instant>,
    widths: Vec<u16>,
}

impl RowWriter {
    /// How long the rows of a table are collected.
    const WAIT: Duration = Duration::from_millis(200);

    /// The most collected rows.
    const MOST_WAITING: usize = 1000;

    /// How many bytes are printed at a time.
    const CHUNK: usize = 64 << 10;

    /// Prints rows in a format; a table has this header.
    pub fn new(format: Format, head: &'static [&'static str]) -> Self {
        Self {
            format,
            head,
            rows: 0,
            is_closed: false,
            ready: Vec::new(),
            waiting: Vec::new(),
            since: None,
            widths: vec![0; head.len()],
        }
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether everything is printed.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the standard output is not writable.
    pub fn add(&mut self, row: Row) -> Result<(), Failure> {
        match row {
            Row::Cells(cells) => {
                self.waiting.push(cells);
                let since = *self.since.get_or_insert_with(Instant::now);
                if self.waiting.len() >= Self::MOST_WAITING || since.elapsed() >= Self::WAIT {
                    self.lay_out();
                }
            }
            Row::Text(text) => {
                let (first, between, after): (&str, &str, &str) = match self.format {
                    Format::Json => ("[\n", ",\n", ""),
                    Format::Erlang | Format::Elixir => ("[", ",\n ", ""),
                    Format::Text | Format::JsonLines => ("", "", "\n"),
                };
                self.ready.extend_from_slice(if self.rows == 0 { first } else { between }.as_bytes());
                self.ready.extend_from_slice(&text);
                self.ready.extend_from_slice(after.as_bytes());
                self.rows += 1;
            }
        }
        if self.ready.len() >= Self::CHUNK { self.print() } else { Ok(()) }
    }

    /// The remaining time for collecting rows, if there are any.
    pub fn patience(&self) -> Option<Duration> {
        self.since.map(|since| Self::WAIT.saturating_sub(since.elapsed()))
    }

    /// Prints the text, and a table's rows whose time is over.
    ///
    /// # Errors
    /// If the standard output is not writable.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.patience() == Some(Duration::ZERO) {
            self.lay_out();
        }
        self.print()
    }

    /// Prints all rows, and the end of the output.
    ///
    /// # Errors
    /// If the standard output is not writable.
    pub fn close(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        self.end();
        self.print()
    }

    fn end(&mut self) {
        self.lay_out();
        let end = match self.format {
            Format::Json if self.rows > 0 => "\n]\n",
            Format::Erlang | Format::Elixir if self.rows > 0 => "]\n",
            Format::Json | Format::Erlang | Format::Elixir => "[]\n",
            Format::Text | Format::JsonLines => "",
        };
        self.ready.extend_from_slice(end.as_bytes());
    }

    fn lay_out(&mut self) {
        self.since = None;
        if self.waiting.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.rows == 0 {
            table.set_header(self.head.iter().copied());
        }
        self.rows += self.waiting.len() as u64;
        table.add_rows(self.waiting.drain(..));
        for (width, content) in self.widths.iter_mut().zip(table.column_max_content_widths()) {
            *width = content.max(*width);
        }
        for (column, width) in table.column_iter_mut().zip(&self.widths) {
            column.set_padding((0, 2));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + 2)));
        }
        for line in trimmed_lines(&table) {
            self.ready.extend_from_slice(line.as_bytes());
            self.ready.push(b'\n');
        }
    }

    fn print(&mut self) -> Result<(), Failure> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let printed = output::write_bytes(&self.ready);
        self.ready.clear();
        printed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: Format, rows: Vec<Row>) -> String {
        let mut writer = RowWriter::new(format, &["ITEM", "N"]);
        for row in rows {
            writer.add(row).unwrap();
        }
        writer.end();
        String::from_utf8(writer.ready).unwrap()
    }

    #[test]
    fn every_form_is_closed() {
        let rows = || vec![Row::Text(b"1".to_vec()), Row::Text(b"2".to_vec())];
        for (format, both, none) in [
            (Format::Json, "[\n1,\n2\n]\n", "[]\n"),
            (Format::JsonLines, "1\n2\n", ""),
            (Format::Erlang, "[1,\n 2]\n", "[]\n"),
            (Format::Elixir, "[1,\n 2]\n", "[]\n"),
        ] {
            assert_eq!(printed(format, rows()), both);
            assert_eq!(printed(format, Vec::new()), none);
        }
        assert_eq!(printed(Format::Text, Vec::new()), "");
    }

    #[test]
    fn later_rows_stay_in_the_columns_of_the_earlier() {
        let cells = |cells: [&str; 2]| Row::Cells(cells.map(str::to_owned).to_vec());
        assert_eq!(
            printed(Format::Text, vec![cells(["a", "1"]), cells(["long one", "2"])]),
            "ITEM      N\na         1\nlong one  2\n"
        );
        let mut writer = RowWriter::new(Format::Text, &["ITEM", "N"]);
        writer.add(cells(["long one", "1"])).unwrap();
        writer.lay_out();
        writer.ready.clear();
        writer.add(cells(["b", "2"])).unwrap();
        writer.lay_out();
        assert_eq!(String::from_utf8_lossy(&writer.ready), "b         2\n");
    }
}
