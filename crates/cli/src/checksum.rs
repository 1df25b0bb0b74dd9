//! The checksum of a page, by any function.

use peerl_term::text::Syntax;
use peerl_term::{Map, Term};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::item_error::ItemError;
use crate::out_file::Record;
use crate::output::{MAX_CELL, shortened};
use crate::page_client::{Page, PageError, Sum};
use crate::results::Shown;

/// The result of fetching a page locally.
pub type ClientAnswer = Result<Page, PageError>;

/// A line of the results file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumRecord {
    /// The URL as given.
    pub url: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The sum in lower-case hexadecimal, if there is one.
    pub sha256: Option<String>,
    /// The size of the body.
    pub bytes: Option<u64>,
    /// The node that did the work; `None` if it was done locally.
    pub node: Option<String>,
    /// The duration in milliseconds.
    pub ms: u64,
    /// The error.
    pub error: Option<String>,
    /// Whether no node answered, so that the error is not about the page.
    #[serde(skip)]
    pub unanswered: bool,
}

impl Record for ChecksumRecord {
    fn item(&self) -> &str {
        &self.url
    }

    fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    fn is_answered(&self) -> bool {
        !self.unanswered
    }
}

impl Shown for ChecksumRecord {
    const HEAD: &'static [&'static str] = &["URL", "SHA-256", "NODE", "MS"];

    fn cells(&self, _: Syntax, most: usize) -> Vec<String> {
        let sum = self.sha256.as_deref().or(self.error.as_deref()).unwrap_or_default();
        let node = self.node.clone().unwrap_or_else(|| "-".to_owned());
        vec![shortened(&self.url, most), shortened(sum, most), node, self.ms.to_string()]
    }
}

impl ChecksumRecord {
    /// Makes a record of a page that was fetched locally.
    pub fn of_client(answer: Answer<ClientAnswer>) -> Self {
        let mut record = Self::empty(&answer);
        match answer.result {
            Ok(page) => record.fill(Some(page.status), Some(page.bytes), page.sha256.to_string()),
            Err(error) => record.error = Some(error.to_string()),
        }
        record
    }

    /// Makes a record of a function's value: of peerl's workers (`#{status, sha256, …}`, `{error, #{message}}`), of
    /// the `fetch` that they replace (`{ok, Url, Sum}`, `{error, Url, Reason}`), or only a sum.
    pub fn of_call(answer: Answer<Result<Term, ItemError>>) -> Self {
        let mut record = Self::empty(&answer);
        match answer.result {
            Ok(value) => record.take(&value),
            Err(error) => {
                record.unanswered = error.is_unanswered;
                record.error = Some(error.message);
            }
        }
        record
    }

    /// Makes a record of a page for which no node answered.
    pub fn failed(url: &str, why: &str) -> Self {
        Self {
            url: url.to_owned(),
            status: None,
            sha256: None,
            bytes: None,
            node: None,
            ms: 0,
            error: Some(why.to_owned()),
            unanswered: true,
        }
    }

    fn empty<T>(answer: &Answer<T>) -> Self {
        Self {
            url: answer.item.name.clone(),
            status: None,
            sha256: None,
            bytes: None,
            node: answer.node.as_ref().map(ToString::to_string),
            ms: u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX),
            error: None,
            unanswered: false,
        }
    }

    fn take(&mut self, value: &Term) {
        let is = |term: &Term, name| term.is_atom(name);
        match value {
            Term::Map(map) => self.take_map(map, value),
            Term::Tuple(tuple) => match &tuple[..] {
                [tag, details @ Term::Map(map)] if is(tag, "error") => {
                    let message = map.get_atom("message").or(map.get_atom("reason")).unwrap_or(details);
                    self.error = Some(words(message));
                }
                [tag, reason] | [tag, _, reason] if is(tag, "error") => self.error = Some(words(reason)),
                [tag, sum] | [tag, _, sum] if is(tag, "ok") => self.take_sum(sum, value),
                _ => self.error = Some(unexpected(value)),
            },
            sum => self.take_sum(sum, value),
        }
    }

    fn take_map(&mut self, map: &Map, value: &Term) {
        let number = |key| map.get_atom(key).and_then(Term::as_integer).and_then(|number| u64::try_from(number).ok());
        let status = number("status").and_then(|status| u16::try_from(status).ok());
        match map.get_atom("sha256").and_then(sum) {
            Some(sum) => self.fill(status, number("bytes"), sum),
            None => self.error = Some(unexpected(value)),
        }
    }

    fn take_sum(&mut self, term: &Term, value: &Term) {
        match sum(term) {
            Some(sum) => self.sha256 = Some(sum),
            None => self.error = Some(unexpected(value)),
        }
    }

    fn fill(&mut self, status: Option<u16>, bytes: Option<u64>, sha256: String) {
        (self.status, self.bytes) = (status, bytes);
        match status {
            // The sum of an error page is useless.
            Some(status) if !(200..300).contains(&status) => self.error = Some(status_words(status)),
            _ => self.sha256 = Some(sha256),
        }
    }
}

/// A sum as hexadecimal of either case, or as 32 bytes.
fn sum(term: &Term) -> Option<String> {
    if let Some(bytes) = term.as_binary().filter(|bytes| bytes.len() == 32) {
        return Some(Sum(<[u8; 32]>::try_from(&bytes[..]).ok()?).to_string());
    }
    let text = text(term)?;
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

fn text(term: &Term) -> Option<String> {
    match term {
        Term::Binary(bytes) => bytes.as_str().map(str::to_owned),
        Term::Atom(atom) => Some(atom.as_str().to_owned()),
        Term::List(list) if !list.is_empty() => list.to_text(),
        _ => None,
    }
}

/// The longest error that is shown as a term.
const LONGEST: usize = 4096;

fn words(term: &Term) -> String {
    text(term).unwrap_or_else(|| term.shown(LONGEST))
}

fn unexpected(value: &Term) -> String {
    format!("the function gave no sum but {}", value.shown(MAX_CELL))
}

fn status_words(status: u16) -> String {
    match reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerl_term::text::erlang;

    use super::*;
    use crate::items::Item;

    fn record(value: &str) -> ChecksumRecord {
        let node = Some("w@h".parse().unwrap());
        let result = Ok(erlang::parse(value).unwrap());
        let item = Item::of_line("u");
        ChecksumRecord::of_call(Answer { index: 0, item, node, elapsed: Duration::from_millis(7), result })
    }

    #[test]
    fn the_values_of_all_functions() {
        let upper = "AB".repeat(32);
        let lower = upper.to_ascii_lowercase();
        let page = record(&format!("#{{status => 200, sha256 => <<\"{lower}\">>, bytes => 12, node => w@h}}"));
        assert_eq!((page.status, page.bytes, page.sha256.as_ref()), (Some(200), Some(12), Some(&lower)));
        assert_eq!((page.node.as_deref(), page.ms, page.has_failed()), (Some("w@h"), 7, false));
        for value in [
            format!("{{ok, <<\"u\">>, <<\"{upper}\">>}}"),
            format!("{{ok, \"{upper}\"}}"),
            format!("<<\"{lower}\">>"),
            format!("<<{}>>", ["16#ab"; 32].join(",")),
        ] {
            assert_eq!(record(&value).sha256.as_ref(), Some(&lower), "{value}");
        }
        for (value, message) in [
            ("{error, <<\"u\">>, <<\"URL Not Found\">>}", "URL Not Found"),
            ("{error, <<\"u\">>, econnrefused}", "econnrefused"),
            ("{error, #{message => <<\"no\">>, reason => x}}", "no"),
            ("{error, {a, 1}}", "{a,1}"),
            ("17", "the function gave no sum but 17"),
            ("#{status => 200}", "the function gave no sum but #{status => 200}"),
        ] {
            let record = record(value);
            assert_eq!(record.error.as_deref(), Some(message));
            assert!(record.sha256.is_none());
        }
        let missing = record(&format!("#{{status => 404, sha256 => <<\"{lower}\">>, bytes => 1}}"));
        assert_eq!((missing.status, missing.error.as_deref()), (Some(404), Some("404 Not Found")));
        assert_eq!(missing.sha256, None);
    }
}
