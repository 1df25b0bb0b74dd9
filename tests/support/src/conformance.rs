//! What a run of the tests has shown, for `docs/conformance.md`.

use std::panic::Location;
use std::path::Path;

use crate::Otp;

/// The variable that names the directory with the records of a run.
const DIRECTORY: &str = "CONFORMANCE_RECORDS";

/// One place in a test was reached: a line of the checklist holds with a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The number of the line.
    pub line: u8,
    /// The number of the release.
    pub otp: u32,
    /// The source file of the test, from the root of the workspace.
    pub file: String,
    /// The line in that file.
    pub place: u32,
}

impl Record {
    /// The records of a run, whose directory `CONFORMANCE_RECORDS` names.
    ///
    /// # Panics
    ///
    /// When there is no such directory, or it holds anything else.
    pub fn of_run() -> Vec<Self> {
        let directory = std::env::var_os(DIRECTORY).unwrap_or_else(|| panic!("{DIRECTORY} names the records of a run"));
        let entries = std::fs::read_dir(directory).expect("the records of a run can be read");
        let names = entries.map(|entry| entry.expect("a record").file_name().into_string().expect("a name in UTF-8"));
        names.map(|name| Self::parse(&name).unwrap_or_else(|| panic!("{name} is no record"))).collect()
    }

    /// Every record is an empty file, so that tests in many processes need no lock.
    fn file_name(&self) -> String {
        format!("{},{},{},{}", self.line, self.otp, self.place, self.file.replace('/', "+"))
    }

    fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.splitn(4, ',').collect();
        let [line, otp, place, file] = parts[..] else { return None };
        let (line, otp, place) = (line.parse().ok()?, otp.parse().ok()?, place.parse().ok()?);
        Some(Self { line, otp, place, file: file.replace('+', "/") })
    }
}

/// Records that these lines of the checklist hold with this release, at the end of a test that has shown it. Does nothing
/// outside of runs whose results are wanted.
///
/// # Panics
///
/// When the record cannot be written.
#[track_caller]
pub fn holds<const N: usize>(otp: Otp, lines: [u8; N]) {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let caller = Location::caller();
    for line in lines {
        let record = Record { line, otp: otp.number(), file: caller.file().to_owned(), place: caller.line() };
        std::fs::write(Path::new(&directory).join(record.file_name()), "").expect("a record can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_written() {
        let record = Record { line: 7, otp: 25, file: "crates/epmd/tests/server.rs".to_owned(), place: 123 };
        assert_eq!(Record::parse(&record.file_name()), Some(record));
        assert_eq!(Record::parse("notes"), None);
    }
}
