//! The results of a job on their way out: each to the file as soon as it is there, and to the standard output in the
//! items' order where that is promised.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use peerl_term::Term;
use peerl_term::text::Syntax;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::out_file::{Earlier, Header, Keep, OutFile, Record, line_of};
use crate::output;
use crate::printable::{printable, printable_json};
use crate::row_writer::{Row, RowWriter};
use crate::settings::Format;

/// Where the results go, apart from the standard output.
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
    /// The file, if it is not the standard output.
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

/// A result that can be shown.
pub trait Shown: Record {
    /// The head of the table of them.
    const HEAD: &'static [&'static str];

    /// The cells of the table, of which a long one has no more than so many characters.
    fn cells(&self, syntax: Syntax, most: usize) -> Vec<String>;

    /// The term that stands for it.
    ///
    /// # Errors
    /// If there is none.
    fn term(&self, syntax: Syntax) -> Result<Term, Failure> {
        output::to_term(self, syntax)
    }
}

/// Makes results ready to be written and printed. That can take long, and needs nothing that others wait for.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    format: Format,
    syntax: Syntax,
    has_file: bool,
    most: usize,
}

/// A result that is ready.
#[derive(Debug)]
pub struct Ready {
    index: usize,
    line: Option<Vec<u8>>,
    row: Row,
    has_failed: bool,
    is_answered: bool,
}

impl Form {
    /// Makes a result of this run ready.
    ///
    /// # Errors
    /// If it has no such form.
    pub fn of_new<R: Shown>(&self, index: usize, record: &R) -> Result<Ready, Failure> {
        self.make(index, record, self.has_file && record.is_answered())
    }

    /// Makes a result ready that an earlier run has written.
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

/// A line of JSON without its end, in which nothing alters a terminal's display.
fn safe_json(mut line: Vec<u8>) -> Vec<u8> {
    line.pop();
    let escaped = match std::str::from_utf8(&line).map(printable_json) {
        Ok(Cow::Owned(escaped)) => escaped,
        _ => return line,
    };
    escaped.into_bytes()
}

/// How many results there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub done: u64,
    /// The failures among them.
    pub failed: u64,
    /// The failures of which no node has said anything.
    pub unanswered: u64,
}

/// The results of a job: written, printed, and forgotten. Those that wait for an earlier item are few, and not large:
/// [`Gate`] sees to that.
#[derive(Debug)]
pub struct Results {
    out: Option<OutFile>,
    rows: RowWriter,
    /// Those that wait for an earlier one.
    held: BTreeMap<usize, Row>,
    front: watch::Sender<Front>,
    counts: Counts,
}

/// How far the results have been printed.
#[derive(Clone, Copy, Debug, Default)]
struct Front {
    /// The item whose result is the next to be printed.
    next: usize,
    /// The size of those that wait for it.
    held: usize,
}

impl Results {
    /// Prepares the file and the output.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn open<R: Shown>(
        options: &OutOptions,
        header: &Header,
        format: Format,
    ) -> Result<(Self, Option<Earlier<R>>), Failure> {
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
        let front = watch::Sender::new(Front::default());
        Ok((Self { out, rows, held: BTreeMap::new(), front, counts: Counts::default() }, earlier))
    }

    /// The form in which results are wanted; the text form shows values in a syntax.
    pub fn form(&self, syntax: Syntax) -> Form {
        Form { format: self.rows.format(), syntax, has_file: self.out.is_some(), most: output::wide_cell() }
    }

    /// What keeps the items from running far ahead of the results.
    pub fn gate(&self) -> Gate {
        Gate { front: self.is_ordered().then(|| self.front.subscribe()) }
    }

    /// Whether a later run can go on with the file.
    pub fn has_file(&self) -> bool {
        self.out.is_some()
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a result. After [`close`](Self::close), it is dropped.
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
        let Front { mut next, mut held } = *self.front.borrow();
        held += ready.row.size();
        self.held.insert(ready.index, ready.row);
        while let Some(row) = self.held.remove(&next) {
            next += 1;
            held -= row.size();
            self.rows.add(row)?;
        }
        self.front.send_replace(Front { next, held });
        Ok(())
    }

    /// The rows that are printed.
    pub fn rows(&mut self) -> &mut RowWriter {
        &mut self.rows
    }

    /// Prints what there is, also what still waits for an earlier result, and the end of the form.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn close(&mut self) -> Result<(), Failure> {
        for (_, row) in std::mem::take(&mut self.held) {
            self.rows.add(row)?;
        }
        self.rows.close()
    }

    /// Lines of JSON come as they are done, other forms in the items' order.
    fn is_ordered(&self) -> bool {
        self.rows.format() != Format::JsonLines
    }
}

/// Holds the items back while too many results wait for an earlier one.
#[derive(Clone, Debug)]
pub struct Gate {
    front: Option<watch::Receiver<Front>>,
}

impl Gate {
    /// How many items may be under way or wait behind the next one that is printed.
    pub const WINDOW: usize = 4096;

    /// How many bytes of results may wait before only the next item is let through.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Waits until an item may be begun. Items are begun in their order, so the next one to be printed never waits.
    pub async fn pass(&mut self, index: usize) {
        if let Some(front) = &mut self.front {
            let is_free = |front: &Front| {
                index <= front.next || (index < front.next + Self::WINDOW && front.held < Self::MAX_BYTES)
            };
            // Without results there is nobody to wait for.
            let _ = front.wait_for(is_free).await;
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
        let mut gate = results.gate();
        let mut passes = |index| gate.pass(index).now_or_never().is_some();
        assert!(passes(0) && passes(Gate::WINDOW - 1) && !passes(Gate::WINDOW));
        add(&mut results, 1, "later");
        assert!(!passes(Gate::WINDOW));
        add(&mut results, 0, "first");
        assert!(passes(Gate::WINDOW + 1) && !passes(Gate::WINDOW + 2));
        let row = Row::Text(vec![b' '; Gate::MAX_BYTES]);
        results.add(Ready { index: 3, line: None, row, has_failed: false, is_answered: true }).unwrap();
        assert!(passes(2) && !passes(4));
        add(&mut results, 2, "third");
        assert!(passes(5));
        assert_eq!(results.counts(), Counts { done: 4, failed: 0, unanswered: 0 });
    }

    #[test]
    fn lines_wait_for_none() {
        let mut gate = results(Format::JsonLines).gate();
        assert!(gate.pass(usize::MAX).now_or_never().is_some());
    }
}
