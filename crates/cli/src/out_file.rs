//! The file of results, one JSON object a line, to which a later run can add what is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A results file that is open for adding. Each record is written in one piece as soon as it is there, so that
/// whatever happens to this process, only the last line can be torn.
#[derive(Debug)]
pub struct OutFile {
    file: File,
    path: PathBuf,
}

impl OutFile {
    /// Starts a new file; what was in one of that name is lost.
    ///
    /// # Errors
    /// If it cannot be written, or another process is writing to it.
    pub fn create(path: &Path) -> Result<Self, OutFileError> {
        let out = Self::open(path)?;
        // What is no regular file, such as /dev/stdout, has no length.
        if out.is_regular() {
            out.file.set_len(0).map_err(out.failed())?;
        }
        Ok(out)
    }

    /// Opens a file to add to it, and gives the records that are whole in it. A torn last line is cut off.
    ///
    /// # Errors
    /// If it cannot be read and written, another process is writing to it, or a whole line is no record, so that it
    /// seems to be another kind of file.
    pub fn resume<R: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<R>), OutFileError> {
        let mut out = Self::open(path)?;
        let (mut records, mut whole) = (Vec::new(), 0_u64);
        let mut lines = BufReader::new(&out.file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).map_err(out.failed())?;
            if length == 0 {
                break;
            }
            // Without its end, even what looks whole may be the beginning of something longer.
            if !line.ends_with(b"\n") {
                break;
            }
            if !line.trim_ascii().is_empty() {
                let no_record = |_| OutFileError::NoRecord { path: path.to_owned(), line: number };
                records.push(serde_json::from_slice(&line).map_err(no_record)?);
            }
            whole += length as u64;
        }
        out.file.set_len(whole).map_err(out.failed())?;
        out.file.seek(SeekFrom::Start(whole)).map_err(out.failed())?;
        Ok((out, records))
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write<R: Serialize>(&mut self, record: &R) -> Result<(), OutFileError> {
        let mut line = serde_json::to_vec(record).map_err(|error| self.failed()(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(self.failed())
    }

    fn open(path: &Path) -> Result<Self, OutFileError> {
        let failed = |source| OutFileError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(std::fs::TryLockError::WouldBlock) => Err(OutFileError::InUse { path: path.to_owned() }),
            // A file system without locks, or no regular file.
            Err(std::fs::TryLockError::Error(_)) => Ok(Self { file, path: path.to_owned() }),
        }
    }

    fn is_regular(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.is_file())
    }

    fn failed(&self) -> impl Fn(io::Error) -> OutFileError + use<> {
        let path = self.path.clone();
        move |source| OutFileError::Io { path: path.clone(), source }
    }
}

/// What is wrong with a results file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutFileError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A whole line of it is not a result.
    #[error("line {line} of {} is no result of this command", path.display())]
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

    fn resumed(content: &[u8]) -> Result<(Vec<u32>, Vec<u8>), OutFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.jsonl");
        std::fs::write(&path, content).unwrap();
        let (mut out, records) = OutFile::resume(&path)?;
        out.write(&77).unwrap();
        Ok((records, std::fs::read(&path).unwrap()))
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_rest_kept() {
        for (content, records, then) in [
            (&b""[..], &[][..], &b"77\n"[..]),
            (b"1\n22\n", &[1, 22], b"1\n22\n77\n"),
            (b"1\n22\n{\"ur", &[1, 22], b"1\n22\n77\n"),
            (b"1\n22", &[1], b"1\n77\n"),
            (b"1\n\xc3", &[1], b"1\n77\n"),
            (b"1\n\0\0\0\0", &[1], b"1\n77\n"),
            (b"1\n\n2\n", &[1, 2], b"1\n\n2\n77\n"),
            (b"torn", &[], b"77\n"),
        ] {
            assert_eq!(resumed(content).unwrap(), (records.to_vec(), then.to_vec()));
        }
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "1\nbuy milk\n2\n").unwrap();
        let error = OutFile::resume::<u32>(&path).unwrap_err();
        assert!(matches!(error, OutFileError::NoRecord { line: 2, .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"1\nbuy milk\n2\n");
    }

    #[test]
    fn one_writer_at_a_time_and_a_new_file_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.jsonl");
        let mut out = OutFile::create(&path).unwrap();
        out.write(&1).unwrap();
        assert!(matches!(OutFile::create(&path), Err(OutFileError::InUse { .. })));
        drop(out);
        let mut out = OutFile::create(&path).unwrap();
        out.write(&2).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2\n");
        assert!(matches!(OutFile::create(directory.path()), Err(OutFileError::Io { .. })));
    }
}
