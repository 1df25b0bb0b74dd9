//! The items of a job: lines, or terms.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::ValueEnum;
use peerl_term::Term;
use peerl_term::text::{Syntax, json};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// How the items are written.
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

/// The most that is read: who gives more should give it in parts.
const MAX_BYTES: u64 = 1 << 30;

/// The longest term of several lines: each line more is one more attempt to read it.
const MAX_TERM: usize = 1 << 20;

/// Reads a file as text, or the standard input if its name is `-`.
///
/// # Errors
/// If it cannot be read, is larger than a gigabyte, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, Failure> {
    let name = if path == Path::new("-") { "the standard input".to_owned() } else { path.display().to_string() };
    let failed = |error: io::Error| Failure::new(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)),
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::new(format!("{name} is larger than a gigabyte")).hint("give it in parts"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Failure::new(format!("{name} is not UTF-8 text, in line {}", line + 1))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The lines that hold something, without white space around it. Those that begin with `#` are comments.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The items of a job: each as it is written in results, and as a term.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// The items as text. Different items have different ones.
    pub names: Vec<String>,
    /// The items as terms.
    pub terms: Vec<Term>,
}

impl Items {
    /// Reads items.
    ///
    /// # Errors
    /// If the text is not in that format.
    pub fn parse(text: &str, format: ItemsFormat) -> Result<Self, Failure> {
        match format {
            ItemsFormat::Lines => {
                let lines: Vec<String> = lines(text).map(str::to_owned).collect();
                Ok(Self { terms: lines.iter().map(|line| Term::from(line.as_str())).collect(), names: lines })
            }
            ItemsFormat::Erlang => Self::of_terms(terms(text, Syntax::Erlang)?, Syntax::Erlang),
            ItemsFormat::Elixir => Self::of_terms(terms(text, Syntax::Elixir)?, Syntax::Elixir),
            ItemsFormat::Json => Self::of_json(text),
        }
    }

    fn of_terms(terms: Vec<Term>, syntax: Syntax) -> Result<Self, Failure> {
        Ok(Self { names: terms.iter().map(|term| syntax.display(term).to_string()).collect(), terms })
    }

    fn of_json(text: &str) -> Result<Self, Failure> {
        let wrong = |error: serde_json::Error| Failure::usage(format!("the items are not JSON: {error}"));
        let values: Vec<serde_json::Value> =
            serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(wrong)?;
        let values = match <[_; 1]>::try_from(values) {
            Ok([serde_json::Value::Array(values)]) => values,
            Ok([value]) => vec![value],
            Err(values) => values,
        };
        let terms = values.iter().map(json::from_value).collect::<Result<_, _>>().map_err(Failure::usage)?;
        Ok(Self { names: values.iter().map(ToString::to_string).collect(), terms })
    }
}

/// Reads the terms of a text: one list of all, or one a line (in Erlang, each with a full stop).
fn terms(text: &str, syntax: Syntax) -> Result<Vec<Term>, Failure> {
    if let Ok(Term::List(list)) = syntax.parse(text) {
        return Ok(list.into_vec());
    }
    // A term may take several lines: it ends with the line with which it can be read.
    let (mut terms, mut pending, mut begun) = (Vec::new(), String::new(), 1);
    for (number, line) in text.lines().enumerate() {
        if pending.trim().is_empty() {
            (pending, begun) = (String::new(), number + 1);
        }
        if pending.len() > MAX_TERM {
            break;
        }
        pending.push_str(line);
        pending.push('\n');
        let candidate = match syntax {
            Syntax::Erlang => pending.trim_end().strip_suffix('.').unwrap_or(&pending),
            _ => &pending,
        };
        if let Ok(term) = syntax.parse(candidate) {
            terms.push(term);
            pending.clear();
        }
    }
    match syntax.parse(&pending) {
        Err(error) if lines(&pending).any(|line| !line.starts_with('%')) => {
            Err(Failure::usage(format!("the item at line {begun} cannot be read: {}", error.message()))
                .hint("write one term a line, or one list of all; choose the syntax with --items-format"))
        }
        _ => Ok(terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, format: ItemsFormat) -> Vec<String> {
        let items = Items::parse(text, format).unwrap();
        assert_eq!(items.names.len(), items.terms.len());
        items.names
    }

    #[test]
    fn items_in_every_format() {
        assert_eq!(names("a\nb\n", ItemsFormat::Lines), ["a", "b"]);
        assert_eq!(
            names("{a, 1}.\n% of two lines:\n[1,\n 2].\n\n<<\"x\">>\n", ItemsFormat::Erlang),
            ["{a,1}", "[1,2]", "<<\"x\">>"]
        );
        assert_eq!(names("[{a, 1},\n b]\n", ItemsFormat::Erlang), ["{a,1}", "b"]);
        assert_eq!(names("{:a, 1}\n%{b: 2}\n", ItemsFormat::Elixir), ["{:a, 1}", "%{b: 2}"]);
        assert_eq!(names("[\"a\", 1]", ItemsFormat::Elixir), ["\"a\"", "1"]);
        assert_eq!(names("[1, \"a\", {\"k\": null}]", ItemsFormat::Json), ["1", "\"a\"", "{\"k\":null}"]);
        assert_eq!(names("1 \"a\"\n[2]", ItemsFormat::Json), ["1", "\"a\"", "[2]"]);
        for format in [ItemsFormat::Lines, ItemsFormat::Erlang, ItemsFormat::Elixir, ItemsFormat::Json] {
            assert!(names("\n", format).is_empty());
        }
    }

    #[test]
    fn what_is_no_item_is_told_with_its_line() {
        let wrong = |text, format| Items::parse(text, format).unwrap_err().to_string();
        assert!(wrong("a.\n{b,\n1]", ItemsFormat::Erlang).contains("line 2"));
        assert!(wrong(":a\nb c\n", ItemsFormat::Elixir).contains("line 2"));
        assert!(wrong("[1, 2", ItemsFormat::Json).contains("JSON"));
    }

    #[test]
    fn lines_without_blanks_and_comments() {
        assert_eq!(lines(" a\r\n\n# no\nb c\n\t\n").collect::<Vec<_>>(), ["a", "b c"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("urls");
        assert!(read(&path).unwrap_err().to_string().contains("urls"));
        std::fs::write(&path, b"a\nb\xff\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2"));
        std::fs::write(&path, "\u{feff}a\n").unwrap();
        assert_eq!(read(&path).unwrap(), "a\n");
    }
}
