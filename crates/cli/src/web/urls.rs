//! The URLs of a job, as entered by a visitor.

use std::collections::HashMap;

use reqwest::Url;

/// The most URLs of a job.
pub(crate) const MAX_URLS: usize = 10_000;

/// The longest URL, in bytes.
pub(crate) const MAX_URL: usize = 4096;

/// How many invalid lines are reported.
const TOLD: usize = 10;

/// The URLs of a job, without repetition, and their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Urls {
    /// The URLs without repetition, in the order of their first places.
    pub(crate) unique: Vec<String>,
    /// For each position, the index of its URL.
    pub(crate) places: Vec<u32>,
}

/// Why a text is not a list of URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UrlsError {
    /// There are no URLs.
    Empty,
    /// There are too many.
    TooMany {
        /// Their number.
        count: usize,
    },
    /// Some are invalid.
    Bad {
        /// The first invalid ones.
        first: Vec<BadLine>,
        /// How many more there are.
        more: usize,
    },
}

/// An invalid URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The line number, from 1.
    pub(crate) number: usize,
    /// The beginning of the text.
    pub(crate) text: String,
    /// The reason.
    pub(crate) problem: &'static str,
}

impl Urls {
    /// Parses URLs separated by commas and line ends. White space around them and empty entries are ignored.
    ///
    /// # Errors
    /// If there are none or more than [`MAX_URLS`], or one of them is not an HTTP or HTTPS URL.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlsError> {
        let lines = text.lines().enumerate();
        let pieces = lines.flat_map(|(index, line)| line.split(',').map(move |piece| (index + 1, piece)));
        Self::of(pieces)
    }

    /// Takes URLs one by one; errors count them from 1.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn of_list<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, UrlsError> {
        Self::of(urls.into_iter().enumerate().map(|(index, url)| (index + 1, url)))
    }

    fn of<'a>(pieces: impl Iterator<Item = (usize, &'a str)>) -> Result<Self, UrlsError> {
        let (mut urls, mut known, mut count) = (Self::default(), HashMap::new(), 0);
        let (mut first, mut more) = (Vec::new(), 0);
        for (number, piece) in pieces.map(|(number, piece)| (number, piece.trim())) {
            if piece.is_empty() {
                continue;
            }
            count += 1;
            match problem(piece) {
                Some(problem) if first.len() < TOLD => {
                    first.push(BadLine { number, text: piece.chars().take(80).collect(), problem });
                }
                Some(_) => more += 1,
                None if count <= MAX_URLS => {
                    let next = urls.unique.len() as u32;
                    let place = *known.entry(piece).or_insert(next);
                    if place == next {
                        urls.unique.push(piece.to_owned());
                    }
                    urls.places.push(place);
                }
                None => {}
            }
        }
        match count {
            0 => Err(UrlsError::Empty),
            count if count > MAX_URLS => Err(UrlsError::TooMany { count }),
            _ if !first.is_empty() => Err(UrlsError::Bad { first, more }),
            _ => Ok(urls),
        }
    }

    /// The number of positions.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

fn problem(text: &str) -> Option<&'static str> {
    if text.len() > MAX_URL {
        return Some("is longer than 4096 bytes");
    }
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Some("begins with neither http:// nor https://"),
        Ok(url) if !url.has_host() => Some("names no host"),
        Ok(_) => None,
        Err(_) if !text.contains("://") => Some("begins with neither http:// nor https://"),
        Err(_) => Some("is not a web address"),
    }
}

impl UrlsError {
    /// The message, one or more lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Empty => {
                vec!["There are no web addresses yet: write one per line, or separate them with commas.".to_owned()]
            }
            Self::TooMany { count } => {
                vec![format!(
                    "A job has at most {MAX_URLS} web addresses, and these are {count}: split them into several jobs."
                )]
            }
            Self::Bad { first, more } => {
                let mut lines: Vec<String> = first
                    .iter()
                    .map(|BadLine { number, text, problem }| format!("Line {number}: “{text}” {problem}."))
                    .collect();
                if *more > 0 {
                    lines.push(format!("And {more} more."));
                }
                lines
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_trimmed_and_asked_once() {
        let urls = Urls::parse(" http://a/ ,http://b/\r\n\n,, \nhttp://a/\nhttps://c/?x=1").unwrap();
        assert_eq!(urls.unique, ["http://a/", "http://b/", "https://c/?x=1"]);
        assert_eq!(urls.places, [0, 1, 0, 2]);
        assert_eq!(Urls::of_list(["http://a/,b", "http://a/,b"]).unwrap().places, [0, 0]);
    }

    #[test]
    fn what_is_no_url_is_told_with_its_line() {
        let error = Urls::parse("http://a/\n\nnonsense, ftp://b/\nhttp://").unwrap_err();
        let lines = error.lines();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "Line 3: “nonsense” begins with neither http:// nor https://.");
        assert!(lines[1].starts_with("Line 3: “ftp://b/”") && lines[2].starts_with("Line 4: “http://”"), "{lines:?}");
        let many = "x\n".repeat(50);
        assert_eq!(Urls::parse(&many).unwrap_err().lines().last().unwrap(), "And 40 more.");
        assert_eq!(Urls::parse(" ,\n"), Err(UrlsError::Empty));
        assert!(Urls::parse(&format!("http://a/{}", "x".repeat(MAX_URL))).is_err());
    }

    #[test]
    fn a_job_has_no_more_than_ten_thousand() {
        let list = |count: usize| (0..count).map(|number| format!("http://a/{number}\n")).collect::<String>();
        assert_eq!(Urls::parse(&list(MAX_URLS)).unwrap().len(), MAX_URLS);
        assert_eq!(Urls::parse(&list(MAX_URLS + 1)), Err(UrlsError::TooMany { count: MAX_URLS + 1 }));
        // Repeated URLs count, too: each has a row.
        assert_eq!(Urls::parse(&"http://a/,".repeat(MAX_URLS + 1)), Err(UrlsError::TooMany { count: MAX_URLS + 1 }));
    }
}
