//! The items of a run: lines or terms.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::ValueEnum;
use peerl_term::Term;
use peerl_term::text::{Syntax, json};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The format of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemsFormat {
    /// Each line is an item: a binary without the end of the line.
    #[default]
    Lines,
    /// Erlang terms: each with a full stop and a new line after it, as `file:consult/1` reads them, or one list of all.
    Erlang,
    /// Elixir terms: one a line, or one list of all.
    Elixir,
    /// JSON: values one after another, or one array of all. Strings are binaries; {"$atom": "ok"} is an atom.
    Json,
}

impl fmt::Display for ItemsFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ItemsFormat::Lines => "lines",
            ItemsFormat::Erlang => "erlang",
            ItemsFormat::Elixir => "elixir",
            ItemsFormat::Json => "json",
        })
    }
}

/// The longest item, or list of all items, as text.
const MAX_ITEM: usize = 256 << 20;

/// How many bytes may be parsed in failed attempts for a multi-line item: each further line can be another attempt.
const MAX_ATTEMPTS: usize = 64 << 20;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The item as written in results. Different items have different names.
    pub name: String,
    /// The item as a term.
    pub term: Term,
}

impl Item {
    /// Makes an item of a line, or of a command's argument.
    pub fn of_line(line: &str) -> Self {
        Self { name: line.to_owned(), term: Term::from(line) }
    }
}

/// The source of items.
#[derive(Clone, Debug, Default)]
pub struct ItemSource {
    /// Items from the arguments.
    pub arguments: Vec<String>,
    /// A file with further items; `-` is the standard input.
    pub file: Option<PathBuf>,
    /// The format of the file.
    pub format: ItemsFormat,
}

impl ItemSource {
    /// Reads the items and passes each on at once, while they are wanted.
    ///
    /// # Errors
    /// If a file is unreadable, not UTF-8, or not in its format.
    pub fn read(self, take: &mut dyn FnMut(Item) -> Taken) -> Result<(), Failure> {
        for argument in &self.arguments {
            if take(Item::of_line(argument)) == Taken::Enough {
                return Ok(());
            }
        }
        let Some(path) = self.file else { return Ok(()) };
        if path == Path::new("-") {
            return read(io::stdin().lock(), "the standard input", self.format, take);
        }
        let name = path.display().to_string();
        match File::open(&path) {
            Ok(file) => read(BufReader::new(file), &name, self.format, take),
            Err(error) => Err(cannot_read(&name, &error)),
        }
    }
}

/// Whether further items are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are.
    More,
    /// They are not.
    Enough,
}

fn read(
    input: impl BufRead,
    name: &str,
    format: ItemsFormat,
    take: &mut dyn FnMut(Item) -> Taken,
) -> Result<(), Failure> {
    match format {
        ItemsFormat::Lines => {
            let mut lines = Lines::new(input, name);
            while let Some(line) = lines.next()? {
                if let Some(line) = meaningful(line)
                    && take(Item::of_line(line)) == Taken::Enough
                {
                    break;
                }
            }
            Ok(())
        }
        ItemsFormat::Erlang => terms(&mut Lines::new(input, name), Syntax::Erlang, take),
        ItemsFormat::Elixir => terms(&mut Lines::new(input, name), Syntax::Elixir, take),
        ItemsFormat::Json => json_values(input, name, take),
    }
}

fn cannot_read(name: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read {name}: {error}"))
}

/// A line with content, without white space around it. Lines that begin with `#` are comments.
fn meaningful(line: &str) -> Option<&str> {
    Some(line.trim()).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The lines of a text, with a limit of their length.
struct Lines<'a, R> {
    input: R,
    name: &'a str,
    number: usize,
    line: Vec<u8>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(input: R, name: &'a str) -> Self {
        Self { input, name, number: 0, line: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<&str>, Failure> {
        self.line.clear();
        let mut limited = (&mut self.input).take(MAX_ITEM as u64 + 1);
        limited.read_until(b'\n', &mut self.line).map_err(|error| cannot_read(self.name, &error))?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let here = || format!("{}, in line {}", self.name, self.number);
        if self.line.len() > MAX_ITEM {
            return Err(Failure::new(format!("an item is too long in {}", here())));
        }
        let text = std::str::from_utf8(&self.line)
            .map_err(|_| Failure::new(format!("{} is not UTF-8 text, in line {}", self.name, self.number)))?;
        Ok(Some(if self.number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text }))
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A sequence of items that turns out to be the list of all items if it has only one element.
struct MaybeList<'a, T> {
    first: Option<T>,
    count: usize,
    take: &'a mut dyn FnMut(T) -> Taken,
}

impl<'a, T> MaybeList<'a, T> {
    fn new(take: &'a mut dyn FnMut(T) -> Taken) -> Self {
        Self { first: None, count: 0, take }
    }

    fn add(&mut self, item: T, is_list: bool) -> Taken {
        self.count += 1;
        if self.count == 1 && is_list {
            self.first = Some(item);
            return Taken::More;
        }
        match self.first.take().map(&mut self.take) {
            Some(Taken::Enough) => Taken::Enough,
            _ => (self.take)(item),
        }
    }

    fn end(self, elements: impl FnOnce(T) -> Vec<T>) {
        for item in self.first.map(elements).unwrap_or_default() {
            if (self.take)(item) == Taken::Enough {
                break;
            }
        }
    }
}

/// Parses terms: one list of all, or one per line (in Erlang, each with a full stop). A term may span several lines:
/// it ends with the line that makes it complete.
fn terms<R: BufRead>(
    lines: &mut Lines<'_, R>,
    syntax: Syntax,
    take: &mut dyn FnMut(Item) -> Taken,
) -> Result<(), Failure> {
    let mut take = |term: Term| {
        let name = syntax.display(&term).to_string();
        take(Item { name, term })
    };
    let mut items = MaybeList::new(&mut take);
    let (mut pending, mut begun, mut attempted) = (String::new(), 1, 0);
    while let Some(line) = lines.next()? {
        let is_end = can_end_a_term(line);
        pending.push_str(line);
        if pending.trim().is_empty() {
            pending.clear();
            continue;
        }
        if pending.len() == line.len() {
            (begun, attempted) = (lines.number, 0);
        }
        if pending.len() > MAX_ITEM || attempted > MAX_ATTEMPTS {
            break;
        }
        if is_end {
            attempted += pending.len();
            if let Ok(term) = syntax.parse(candidate(&pending, syntax)) {
                pending.clear();
                let is_list = matches!(term, Term::List(_));
                if items.add(term, is_list) == Taken::Enough {
                    return Ok(());
                }
            }
        }
    }
    if let Err(error) = syntax.parse(candidate(&pending, syntax))
        && pending.lines().any(|line| meaningful(line).is_some_and(|line| !line.starts_with('%')))
    {
        return Err(Failure::usage(format!("the item at line {begun} cannot be read: {}", error.message()))
            .hint("write one term a line, or one list of all; choose the syntax with --items-format"));
    }
    items.end(|list| match list {
        Term::List(list) => list.into_vec(),
        term => vec![term],
    });
    Ok(())
}

/// Removes the full stop of Erlang's terms.
fn candidate(text: &str, syntax: Syntax) -> &str {
    match syntax {
        Syntax::Erlang => text.trim_end().strip_suffix('.').unwrap_or(text),
        _ => text,
    }
}

/// Whether a term can end with this line: not after a comma, unless that is a character literal. This avoids parsing
/// a list with one item per line again for each line.
fn can_end_a_term(line: &str) -> bool {
    match line.trim_end().strip_suffix(',') {
        Some(before) => before.ends_with(['$', '?', '%', '#']) || before.contains(['%', '#']),
        None => true,
    }
}

/// Reads JSON: consecutive values, or one array of all.
fn json_values(input: impl BufRead, name: &str, take: &mut dyn FnMut(Item) -> Taken) -> Result<(), Failure> {
    let mut failure = None;
    let mut take = |value: serde_json::Value| match json::from_value(&value) {
        Ok(term) => take(Item { name: value.to_string(), term }),
        Err(error) => {
            failure.get_or_insert(Failure::usage(error));
            Taken::Enough
        }
    };
    let mut items = MaybeList::new(&mut take);
    let input = Metered::after_mark(input).map_err(|error| cannot_read(name, &error))?;
    let left = input.left.clone();
    for value in serde_json::Deserializer::from_reader(input).into_iter::<serde_json::Value>() {
        let value = value.map_err(|error| match error.is_io() {
            true => cannot_read(name, &error.into()),
            false => Failure::usage(format!("the items are not JSON: {error}")),
        })?;
        left.set(MAX_ITEM);
        let is_list = value.is_array();
        if items.add(value, is_list) == Taken::Enough {
            break;
        }
    }
    items.end(|list| match list {
        serde_json::Value::Array(values) => values,
        value => vec![value],
    });
    failure.map_or(Ok(()), Err)
}

/// A reader limited to the longest item; the limit is reset for each item.
struct Metered<R> {
    input: R,
    left: Rc<Cell<usize>>,
}

impl<R: BufRead> Metered<R> {
    /// Skips a byte order mark.
    fn after_mark(mut input: R) -> io::Result<Metered<impl Read>> {
        let mut mark = [0; BYTE_ORDER_MARK.len_utf8()];
        let expected = BYTE_ORDER_MARK.encode_utf8(&mut mark).as_bytes().to_vec();
        let mut begin = Vec::new();
        while begin.len() < expected.len() && begin == expected[..begin.len()] {
            if (&mut input).take(1).read_to_end(&mut begin)? == 0 {
                break;
            }
        }
        if begin == expected {
            begin.clear();
        }
        Ok(Metered { input: io::Cursor::new(begin).chain(input), left: Rc::new(Cell::new(MAX_ITEM)) })
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left.get());
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!("an item is longer than {MAX_ITEM} bytes")));
        }
        let length = self.input.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8], format: ItemsFormat) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut take = |item| {
            items.push(item);
            Taken::More
        };
        read(text, "urls", format, &mut take)?;
        Ok(items)
    }

    fn names(text: &str, format: ItemsFormat) -> Vec<String> {
        parsed(text.as_bytes(), format).unwrap().into_iter().map(|item| item.name).collect()
    }

    #[test]
    fn items_in_every_format() {
        assert_eq!(names("a\nb\n", ItemsFormat::Lines), ["a", "b"]);
        assert_eq!(
            names("{a, 1}.\n% of two lines:\n[1,\n 2].\n\n<<\"x\">>\n", ItemsFormat::Erlang),
            ["{a,1}", "[1,2]", "<<\"x\">>"]
        );
        assert_eq!(names("[{a, 1},\n b]\n", ItemsFormat::Erlang), ["{a,1}", "b"]);
        assert_eq!(names("[1].\n[2].\n", ItemsFormat::Erlang), ["[1]", "[2]"]);
        assert_eq!(names("$,\n\"a,\n\".\n", ItemsFormat::Erlang), ["44", "\"a,\\n\""]);
        assert_eq!(names("{:a, 1}\n%{b: 2}\n", ItemsFormat::Elixir), ["{:a, 1}", "%{b: 2}"]);
        assert_eq!(names("[\"a\", 1]", ItemsFormat::Elixir), ["\"a\"", "1"]);
        assert_eq!(names("[1, \"a\", {\"k\": null}]", ItemsFormat::Json), ["1", "\"a\"", "{\"k\":null}"]);
        assert_eq!(names("1 \"a\"\n[2]", ItemsFormat::Json), ["1", "\"a\"", "[2]"]);
        assert_eq!(names("[1]\n[2]", ItemsFormat::Json), ["[1]", "[2]"]);
        for format in [ItemsFormat::Lines, ItemsFormat::Erlang, ItemsFormat::Elixir, ItemsFormat::Json] {
            assert!(names("\n", format).is_empty());
            assert_eq!(names("\u{feff}1\n", format), ["1"]);
        }
    }

    #[test]
    fn a_list_of_all_in_many_lines_is_read_once() {
        let all: Vec<String> = (0..20_000).map(|number| format!(" {{item, {number}}}")).collect();
        let text = format!("[\n{}\n].\n", all.join(",\n"));
        assert_eq!(names(&text, ItemsFormat::Erlang).len(), 20_000);
    }

    #[test]
    fn items_are_handed_over_before_the_end_is_read() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer[..2].copy_from_slice(b"7\n");
                Ok(2)
            }
        }
        for format in [ItemsFormat::Lines, ItemsFormat::Erlang, ItemsFormat::Elixir, ItemsFormat::Json] {
            let mut left = 10_000;
            let mut take = |item: Item| {
                assert_eq!(item.name, "7");
                left -= 1;
                if left == 0 { Taken::Enough } else { Taken::More }
            };
            read(BufReader::new(Endless), "endless", format, &mut take).unwrap();
        }
    }

    #[test]
    fn what_is_no_item_is_told_with_its_line() {
        let wrong = |text: &str, format| parsed(text.as_bytes(), format).unwrap_err().to_string();
        assert!(wrong("a.\n{b,\n1]", ItemsFormat::Erlang).contains("line 2"));
        assert!(wrong(":a\nb c\n", ItemsFormat::Elixir).contains("line 2"));
        assert!(wrong("[1, 2", ItemsFormat::Json).contains("JSON"));
        assert!(wrong("{\"$atom\": 1}", ItemsFormat::Json).contains("$atom"));
        assert!(parsed(b"a\nb\xff\n", ItemsFormat::Lines).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn lines_without_blanks_and_comments() {
        assert_eq!(names(" a\r\n\n# no\nb c\n\t\n", ItemsFormat::Lines), ["a", "b c"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let source = ItemSource { file: Some("/no/such/urls".into()), ..ItemSource::default() };
        let failure = source.read(&mut |_| Taken::More).unwrap_err();
        assert!(failure.to_string().contains("/no/such/urls"), "{failure}");
    }
}
