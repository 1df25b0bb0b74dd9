//! The results file: one JSON object per line. A later run can add missing results.
//!
//! The first line is the header, which names the call. Each further line is the result of one item. For repeated
//! items, successes are used before failures, and the latest failure first.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::items::ItemsFormat;

/// The result of one item in the file.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// The item as written in the file.
    fn item(&self) -> &str;

    /// Whether the item failed.
    fn has_failed(&self) -> bool;

    /// Whether any node has answered. Otherwise the result is not written, so that a later run repeats the item.
    fn is_answered(&self) -> bool;
}

/// The identity of a results file. A run adds only to a file with an equal header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the layout.
    pub version: u32,
    /// The command.
    pub command: String,
    /// The called function, with `_` for the item.
    pub call: String,
    /// The format of the items.
    pub items_format: ItemsFormat,
}

impl Header {
    /// The layout version of this program.
    pub const VERSION: u32 = 1;

    /// A header of this version.
    pub fn new(command: &str, call: String, items_format: ItemsFormat) -> Self {
        Self { version: Self::VERSION, command: command.to_owned(), call, items_format }
    }
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{} {}` with items as {}", self.command, self.call, self.items_format)
    }
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    peerl: Header,
}

/// The longest line that is read.
const MAX_LINE: u64 = 1 << 30;

/// A results file that is open for appending. Each record is written at once in one piece, so that a crash can
/// truncate only the last line.
#[derive(Debug)]
pub struct OutFile {
    file: File,
    path: PathBuf,
    /// The header, written with the first record: a run without results leaves no file to resume.
    header: Option<Header>,
}

/// Which results of an earlier run are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// The successes; failed items are repeated.
    Successes,
}

impl OutFile {
    /// Creates a new file.
    ///
    /// # Errors
    /// If a non-empty file exists, the file is not writable, or another process is writing to it.
    pub fn create(path: &Path, header: &Header) -> Result<Self, OutFileError> {
        let mut out = Self::open(path)?;
        // Special files, such as /dev/stdout or a pipe, have no length.
        if out.length()? > 0 {
            return Err(OutFileError::Exists { path: path.to_owned() });
        }
        out.header = Some(header.clone());
        Ok(out)
    }

    /// Opens a file for appending, and finds its complete records. A truncated last line is removed.
    ///
    /// # Errors
    /// If the file is not readable and writable, another process is writing to it, it is of another call, or a
    /// complete line is not a record.
    pub fn resume<R: Record>(
        path: &Path,
        header: &Header,
        keep: Keep,
    ) -> Result<(Self, EarlierResults<R>), OutFileError> {
        let mut out = Self::open(path)?;
        let mut earlier = EarlierResults::new(File::open(path).map_err(out.failed())?);
        if out.length()? == 0 {
            out.header = Some(header.clone());
            return Ok((out, earlier));
        }
        let mut lines = BufReader::with_capacity(1 << 16, &out.file);
        let (mut line, mut number) = (Vec::new(), 1);
        let no_record = |number| OutFileError::NoRecord { path: path.to_owned(), line: number };
        let mut whole = read_line(&mut lines, &mut line).map_err(out.failed())?;
        if whole == 0 {
            // The state that this program leaves if the machine fails during the first write.
            if !line_of(&HeaderLine { peerl: header.clone() }).map_err(out.failed())?.starts_with(&line) {
                return Err(OutFileError::NoHeader { path: path.to_owned() });
            }
            out.file.set_len(0).map_err(out.failed())?;
            out.file.rewind().map_err(out.failed())?;
            out.header = Some(header.clone());
            return Ok((out, earlier));
        }
        match serde_json::from_slice::<HeaderLine>(&line) {
            Ok(HeaderLine { peerl }) if peerl == *header => {}
            Ok(HeaderLine { peerl }) if peerl.version != header.version => {
                return Err(OutFileError::OtherVersion { path: path.to_owned(), version: peerl.version });
            }
            Ok(HeaderLine { peerl }) => {
                let (theirs, ours) = (peerl.to_string(), header.to_string());
                return Err(OutFileError::OtherCall { path: path.to_owned(), theirs, ours });
            }
            Err(_) => return Err(OutFileError::NoHeader { path: path.to_owned() }),
        }
        loop {
            number += 1;
            // A line without an end may be truncated, even if it parses.
            let length = read_line(&mut lines, &mut line).map_err(out.failed())?;
            if length == 0 {
                break;
            }
            if !line.trim_ascii().is_empty() {
                let record: R = serde_json::from_slice(&line).map_err(|_| no_record(number))?;
                if keep == Keep::All || !record.has_failed() {
                    earlier.note(&record, whole);
                }
            }
            whole += length;
        }
        out.file.set_len(whole).map_err(out.failed())?;
        out.file.seek(SeekFrom::Start(whole)).map_err(out.failed())?;
        earlier.sort();
        Ok((out, earlier))
    }

    /// Appends the line of a record.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), OutFileError> {
        if let Some(peerl) = self.header.take() {
            let header = line_of(&HeaderLine { peerl }).map_err(self.failed())?;
            self.file.write_all(&header).map_err(self.failed())?;
        }
        self.file.write_all(line).map_err(self.failed())
    }

    fn open(path: &Path) -> Result<Self, OutFileError> {
        let failed = |source| OutFileError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned(), header: None }),
            Err(std::fs::TryLockError::WouldBlock) => Err(OutFileError::InUse { path: path.to_owned() }),
            // A file system without locks, or a special file.
            Err(std::fs::TryLockError::Error(_)) => Ok(Self { file, path: path.to_owned(), header: None }),
        }
    }

    fn length(&self) -> Result<u64, OutFileError> {
        let metadata = self.file.metadata().map_err(self.failed())?;
        Ok(if metadata.is_file() { metadata.len() } else { 0 })
    }

    fn failed(&self) -> impl Fn(io::Error) -> OutFileError + use<> {
        let path = self.path.clone();
        move |source| OutFileError::Io { path: path.clone(), source }
    }
}

/// A value as a line of the file.
///
/// # Errors
/// If it has no JSON form.
pub fn line_of<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a line; returns its length, or 0 if it has no end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let length = input.take(MAX_LINE).read_until(b'\n', line)? as u64;
    if length == MAX_LINE {
        return Err(io::Error::other("a line is longer than a gigabyte"));
    }
    Ok(if line.ends_with(b"\n") { length } else { 0 })
}

/// An index of the results of an earlier run: 20 bytes per result.
#[derive(Debug)]
pub struct EarlierResults<R> {
    file: BufReader<File>,
    at: u64,
    hasher: RandomState,
    /// The item's hash and the result's position: successes first, then failures from last to first.
    places: Vec<(u64, u64)>,
    /// How many results of an item are taken, counted at its first entry.
    taken: Vec<u32>,
    record: PhantomData<fn() -> R>,
}

/// Marks the position of a failure.
const FAILED: u64 = 1 << 63;

impl<R: Record> EarlierResults<R> {
    fn new(file: File) -> Self {
        let file = BufReader::with_capacity(1 << 16, file);
        let (places, taken) = (Vec::new(), Vec::new());
        Self { file, at: 0, hasher: RandomState::new(), places, taken, record: PhantomData }
    }

    fn note(&mut self, record: &R, place: u64) {
        let place = if record.has_failed() { FAILED | (FAILED - 1 - place) } else { place };
        self.places.push((self.hasher.hash_one(record.item()), place));
    }

    fn sort(&mut self) {
        self.places.sort_unstable();
        self.taken = vec![0; self.places.len()];
    }

    /// The number of results.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no results.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes the next unused result of an item, if there is one.
    ///
    /// # Errors
    /// If the file is unreadable.
    pub fn take(&mut self, item: &str) -> io::Result<Option<R>> {
        let hash = self.hasher.hash_one(item);
        let first = self.places.partition_point(|(other, _)| *other < hash);
        let Some(taken) = self.taken.get_mut(first) else { return Ok(None) };
        let index = first + *taken as usize;
        let Some(&(_, place)) = self.places.get(index).filter(|(other, _)| *other == hash) else { return Ok(None) };
        *taken += 1;
        let place = if place & FAILED == 0 { place } else { FAILED - 1 - (place & !FAILED) };
        let record = self.read(place)?;
        Ok(Some(record).filter(|record| record.item() == item))
    }

    fn read(&mut self, place: u64) -> io::Result<R> {
        self.file.seek_relative(place.wrapping_sub(self.at).cast_signed())?;
        let mut line = Vec::new();
        let length = read_line(&mut self.file, &mut line)?;
        self.at = place + length;
        Ok(serde_json::from_slice(&line)?)
    }
}

/// An error of a results file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutFileError {
    /// The file cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A non-empty file exists.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The first line is not a header.
    #[error("{} is not a results file: its first line does not name a call", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// The layout is of another version.
    #[error("{} has version {version} of the results layout, which this version of peerl does not support", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The version of the layout.
        version: u32,
    },
    /// The results are of another call.
    #[error("{} has the results of {theirs}, not of {ours}", path.display())]
    OtherCall {
        /// The file.
        path: PathBuf,
        /// The call that wrote it.
        theirs: String,
        /// The call of this run.
        ours: String,
    },
    /// A complete line is not a result.
    #[error("line {line} of {} is not a result of this command", path.display())]
    NoRecord {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Another process is writing to it.
    #[error("another process is writing to {}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An item's result: a number; 0 is a failure.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sum(String, u32);

    impl Record for Sum {
        fn item(&self) -> &str {
            &self.0
        }

        fn has_failed(&self) -> bool {
            self.1 == 0
        }

        fn is_answered(&self) -> bool {
            true
        }
    }

    fn header(call: &str) -> Header {
        Header::new("pmap", call.to_owned(), ItemsFormat::Lines)
    }

    const HEADER: &str =
        "{\"peerl\":{\"version\":1,\"command\":\"pmap\",\"call\":\"m:f(_)\",\"items_format\":\"lines\"}}\n";

    fn resumed(content: &str, items: &[&str], keep: Keep) -> Result<(Vec<Option<u32>>, String), OutFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.jsonl");
        std::fs::write(&path, content).unwrap();
        let (mut out, mut earlier) = OutFile::resume::<Sum>(&path, &header("m:f(_)"), keep)?;
        out.write_line(b"more\n").unwrap();
        let taken = items.iter().map(|item| earlier.take(item).unwrap().map(|sum| sum.1)).collect();
        Ok((taken, std::fs::read_to_string(&path).unwrap()))
    }

    #[test]
    fn a_torn_line_is_cut_off_and_the_rest_kept() {
        let all = |content: &str| resumed(content, &["a", "b", "a", "a"], Keep::All).unwrap();
        let more = |lines: &str| format!("{HEADER}{lines}more\n");
        assert_eq!(all(""), (vec![None; 4], more("")));
        assert_eq!(all(&HEADER[..20]), (vec![None; 4], more("")));
        let whole = "[\"a\",1]\n\n[\"b\",2]\n[\"a\",3]\n";
        let taken = vec![Some(1), Some(2), Some(3), None];
        assert_eq!(all(&format!("{HEADER}{whole}")), (taken.clone(), more(whole)));
        assert_eq!(all(&format!("{HEADER}{whole}[\"a\",4]")), (taken.clone(), more(whole)));
        assert_eq!(all(&format!("{HEADER}{whole}[\"a\"")), (taken, more(whole)));
    }

    #[test]
    fn successes_count_before_failures_and_the_latest_of_these() {
        let lines = format!("{HEADER}[\"a\",0]\n[\"b\",0]\n[\"a\",7]\n");
        let taken = |keep| resumed(&lines, &["a", "b", "a", "b"], keep).unwrap().0;
        assert_eq!(taken(Keep::All), [Some(7), Some(0), Some(0), None]);
        assert_eq!(taken(Keep::Successes), [Some(7), None, None, None]);
    }

    #[test]
    fn what_is_not_of_this_call_is_left_as_it_is() {
        let wrong = |content: &str| resumed(content, &[], Keep::All).unwrap_err();
        assert!(matches!(wrong(&format!("{HEADER}[\"a\",1]\nnotes\n")), OutFileError::NoRecord { line: 3, .. }));
        for notes in ["buy milk", "buy milk\n", "[\"a\",1]\n", "{\"peerl\":1}\n"] {
            assert!(matches!(wrong(notes), OutFileError::NoHeader { .. }), "{notes}");
        }
        let other = wrong(&HEADER.replace("m:f", "m:g")).to_string();
        assert!(
            other.contains("of `pmap m:g(_)` with items as lines, not of `pmap m:f(_)` with items as lines"),
            "{other}"
        );
        assert!(matches!(wrong(&HEADER.replace(":1,", ":2,")), OutFileError::OtherVersion { version: 2, .. }));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.jsonl");
        let mut out = OutFile::create(&path, &header("m:f(_)")).unwrap();
        out.write_line(b"[\"a\",1]\n").unwrap();
        assert!(matches!(OutFile::create(&path, &header("m:f(_)")), Err(OutFileError::InUse { .. })));
        drop(out);
        assert!(matches!(OutFile::create(&path, &header("m:f(_)")), Err(OutFileError::Exists { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{HEADER}[\"a\",1]\n"));
        assert!(matches!(OutFile::create(directory.path(), &header("m:f(_)")), Err(OutFileError::Io { .. })));
    }
}
