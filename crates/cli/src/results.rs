//! The results of a run: each is written to the file at once, and to the standard output, in the order of the items
//! where that is promised.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use peerl_term::Term;
use peerl_term::text::Syntax;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::out_file::{EarlierResults, Header, Keep, OutFile, Record, line_of};
use crate::output;
use crate::printable::{printable, printable_json};
use crate::row_writer::{Row, RowWriter};
use crate::settings::Format;

/// The destination of the results, besides the standard output.
#[derive(Args, Clone, Debug, Default)]
pub struct OutOptions {
    /// A file for the results, one JSON object a line, each written as soon as it is there; - is the standard output,
    /// in place of what --format would print.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Keep what an earlier run of the same call has written to the file, and do only what is missing.
    #[arg(long, requires = "out")]
    pub resume: bool,

    /// As --resume, but what failed in the earlier run is done again, too.
    #[arg(long, requires = "out")]
    pub retry_failed: bool,
}

impl OutOptions {
    /// The file, unless it is the standard output.
    fn file(&self) -> Option<&Path> {
        self.out.as_deref().filter(|path| *path != Path::new("-"))
    }

    fn keep(&self) -> Option<Keep> {
        match (self.retry_failed, self.resume) {
            (true, _) => Some(Keep::Successes),
            (false, true) => Some(Keep::All),
            (false, false) => None,
        }
    }
}

/// A result that can be printed.
pub trait Shown: Record {
    /// The header of its table.
    const HEAD: &'static [&'static str];

    /// The cells of its table row, each shortened to this number of characters.
    fn cells(&self, syntax: Syntax, most: usize) -> Vec<String>;

    /// Its term.
    ///
    /// # Errors
    /// If there is none.
    fn term(&self, syntax: Syntax) -> Result<Term, Failure> {
        output::to_term(self, syntax)
    }
}

/// Formats results for writing and printing. This can take long, and needs no shared state.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    format: Format,
    syntax: Syntax,
    has_file: bool,
    most: usize,
}

/// A formatted result.
#[derive(Debug)]
pub struct Ready {
    index: usize,
    line: Option<Vec<u8>>,
    row: Row,
    has_failed: bool,
    is_answered: bool,
}

impl Form {
    /// Formats a result of this run.
    ///
    /// # Errors
    /// If it has no such form.
    pub fn of_new<R: Shown>(&self, index: usize, record: &R) -> Result<Ready, Failure> {
        self.make(index, record, self.has_file && record.is_answered())
    }

    /// Formats a result that an earlier run has written.
    ///
    /// # Errors
    /// If it has no such form.
    pub fn of_earlier<R: Shown>(&self, index: usize, record: &R) -> Result<Ready, Failure> {
        self.make(index, record, false)
    }

    fn make<R: Shown>(&self, index: usize, record: &R, is_written: bool) -> Result<Ready, Failure> {
        let is_json = matches!(self.format, Format::Json | Format::JsonLines);
        let mut line = match is_json || is_written {
            true => Some(line_of(record).map_err(|error| Failure::new(format!("a result has no JSON: {error}")))?),
            false => None,
        };
        let row = match self.format {
            Format::Text => Row::Cells(record.cells(self.syntax, self.most)),
            Format::Json | Format::JsonLines => {
                let line = if is_written { line.clone() } else { line.take() }.unwrap_or_default();
                Row::Text(safe_json(line))
            }
            Format::Erlang | Format::Elixir => {
                let syntax = if self.format == Format::Erlang { Syntax::Erlang } else { Syntax::Elixir };
                let text = syntax.display(&record.term(syntax)?).to_string();
                Row::Text(printable(&text).into_owned().into_bytes())
            }
        };
        Ok(Ready { index, line, row, has_failed: record.has_failed(), is_answered: record.is_answered() })
    }
}

/// A line of JSON without its end and without characters that alter a terminal's display.
fn safe_json(mut line: Vec<u8>) -> Vec<u8> {
    line.pop();
    let escaped = match std::str::from_utf8(&line).map(printable_json) {
        Ok(Cow::Owned(escaped)) => escaped,
        _ => return line,
    };
    escaped.into_bytes()
}

/// The numbers of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub done: u64,
    /// The failures.
    pub failed: u64,
    /// The failures without an answer from any node.
    pub unanswered: u64,
}

/// The results of a run: written, printed, and dropped. Those that wait for an earlier item are few and small, due to
/// [`ItemWindow`].
#[derive(Debug)]
pub struct Results {
    out: Option<OutFile>,
    rows: RowWriter,
    /// The results that wait for an earlier one.
    held: BTreeMap<usize, Row>,
    position: watch::Sender<PrintPosition>,
    counts: Counts,
}

/// The progress of printing.
#[derive(Clone, Copy, Debug, Default)]
struct PrintPosition {
    /// The index of the next result to print.
    next: usize,
    /// The size of the results that wait for it.
    held: usize,
}

impl Results {
    /// Prepares the file and the output.
    ///
    /// # Errors
    /// If the file is unusable.
    pub fn open<R: Shown>(
        options: &OutOptions,
        header: &Header,
        format: Format,
    ) -> Result<(Self, Option<EarlierResults<R>>), Failure> {
        let (out, earlier) = match (options.file(), options.keep()) {
            (Some(path), Some(keep)) => {
                let (out, earlier) = OutFile::resume(path, header, keep)?;
                (Some(out), Some(earlier))
            }
            (Some(path), None) => (Some(OutFile::create(path, header)?), None),
            (None, Some(_)) => {
                return Err(Failure::usage("the standard output has no results of an earlier run")
                    .hint("give --out the name of a file"));
            }
            (None, None) => (None, None),
        };
        let is_out = options.out.is_some() && out.is_none();
        let rows = RowWriter::new(if is_out { Format::JsonLines } else { format }, R::HEAD);
        let position = watch::Sender::new(PrintPosition::default());
        Ok((Self { out, rows, held: BTreeMap::new(), position, counts: Counts::default() }, earlier))
    }

    /// The requested form; the text form shows values in this syntax.
    pub fn form(&self, syntax: Syntax) -> Form {
        Form { format: self.rows.format(), syntax, has_file: self.out.is_some(), most: output::wide_cell() }
    }

    /// The back-pressure from the results to the items.
    pub fn window(&self) -> ItemWindow {
        ItemWindow { position: self.is_ordered().then(|| self.position.subscribe()) }
    }

    /// Whether a later run can resume the file.
    pub fn has_file(&self) -> bool {
        self.out.is_some()
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds a result. Dropped after [`close`](Self::close).
    ///
    /// # Errors
    /// If it cannot be written or printed.
    pub fn add(&mut self, ready: Ready) -> Result<(), Failure> {
        if self.rows.is_closed() {
            return Ok(());
        }
        if let (Some(out), Some(line)) = (&mut self.out, &ready.line) {
            out.write_line(line)?;
        }
        self.counts.done += 1;
        self.counts.failed += u64::from(ready.has_failed);
        self.counts.unanswered += u64::from(!ready.is_answered);
        if !self.is_ordered() {
            return self.rows.add(ready.row);
        }
        let PrintPosition { mut next, mut held } = *self.position.borrow();
        held += ready.row.size();
        self.held.insert(ready.index, ready.row);
        while let Some(row) = self.held.remove(&next) {
            next += 1;
            held -= row.size();
            self.rows.add(row)?;
        }
        self.position.send_replace(PrintPosition { next, held });
        Ok(())
    }

    /// The rows that are printed.
    pub fn rows(&mut self) -> &mut RowWriter {
        &mut self.rows
    }

    /// Prints all results, including those that wait for an earlier one, and the end of the output.
    ///
    /// # Errors
    /// If printing fails.
    pub fn close(&mut self) -> Result<(), Failure> {
        for (_, row) in std::mem::take(&mut self.held) {
            self.rows.add(row)?;
        }
        self.rows.close()
    }

    /// JSON lines are printed as they arrive, other forms in the order of the items.
    fn is_ordered(&self) -> bool {
        self.rows.format() != Format::JsonLines
    }
}

/// Delays items while too many results wait for an earlier one.
#[derive(Clone, Debug)]
pub struct ItemWindow {
    position: Option<watch::Receiver<PrintPosition>>,
}

impl ItemWindow {
    /// How many items may be pending or waiting behind the next one to print.
    pub const WINDOW: usize = 4096;

    /// How many bytes of results may wait before only the next item may begin.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Waits until an item may begin. Items begin in order, so the next one to print never waits.
    pub async fn pass(&mut self, index: usize) {
        if let Some(position) = &mut self.position {
            let is_free = |position: &PrintPosition| {
                index <= position.next || (index < position.next + Self::WINDOW && position.held < Self::MAX_BYTES)
            };
            // Without results, nothing delays the items.
            let _ = position.wait_for(is_free).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::items::ItemsFormat;

    #[derive(Debug, Serialize, Deserialize)]
    struct Sum(String, String);

    impl Record for Sum {
        fn item(&self) -> &str {
            &self.0
        }

        fn has_failed(&self) -> bool {
            false
        }

        fn is_answered(&self) -> bool {
            true
        }
    }

    impl Shown for Sum {
        const HEAD: &'static [&'static str] = &["ITEM", "SUM"];

        fn cells(&self, _: Syntax, _: usize) -> Vec<String> {
            vec![self.0.clone(), self.1.clone()]
        }
    }

    fn results(format: Format) -> Results {
        let header = Header::new("c", "m:f(_)".to_owned(), ItemsFormat::Lines);
        Results::open::<Sum>(&OutOptions::default(), &header, format).unwrap().0
    }

    fn add(results: &mut Results, index: usize, text: &str) {
        let ready = results.form(Syntax::Erlang).of_new(index, &Sum(index.to_string(), text.to_owned())).unwrap();
        results.add(ready).unwrap();
    }

    #[test]
    fn items_do_not_run_ahead_of_the_results() {
        let mut results = results(Format::Json);
        let mut window = results.window();
        let mut passes = |index| window.pass(index).now_or_never().is_some();
        assert!(passes(0) && passes(ItemWindow::WINDOW - 1) && !passes(ItemWindow::WINDOW));
        add(&mut results, 1, "later");
        assert!(!passes(ItemWindow::WINDOW));
        add(&mut results, 0, "first");
        assert!(passes(ItemWindow::WINDOW + 1) && !passes(ItemWindow::WINDOW + 2));
        let row = Row::Text(vec![b' '; ItemWindow::MAX_BYTES]);
        results.add(Ready { index: 3, line: None, row, has_failed: false, is_answered: true }).unwrap();
        assert!(passes(2) && !passes(4));
        add(&mut results, 2, "third");
        assert!(passes(5));
        assert_eq!(results.counts(), Counts { done: 4, failed: 0, unanswered: 0 });
    }

    #[test]
    fn lines_wait_for_none() {
        let mut window = results(Format::JsonLines).window();
        assert!(window.pass(usize::MAX).now_or_never().is_some());
    }
}
