//! The failure of a command: a line for people and an exit code for scripts.

use std::fmt;
use std::process::ExitCode;

use peerl_node::ErrorChain;

use crate::printable::printable;

/// Why a command failed, a hint, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    details: Vec<String>,
    status: Status,
}

/// The exit codes of `peerl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The command succeeded.
    Success = 0,
    /// The command failed.
    Failed = 1,
    /// A part of the work failed.
    Partial = 2,
    /// The command line, the environment or the configuration file is invalid (`EX_USAGE`).
    Usage = 64,
    /// The terminal was closed (SIGHUP); the number is the shells'.
    HungUp = 129,
    /// The user pressed Ctrl-C (SIGINT); the number is the shells'.
    Interrupted = 130,
    /// The process was terminated (SIGTERM); the number is the shells'.
    Terminated = 143,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

impl Failure {
    /// The command failed.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, details: Vec::new(), status: Status::Failed }
    }

    /// The command failed with this error; the message includes its causes.
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(ErrorChain(error))
    }

    /// The request is invalid.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { status: Status::Usage, ..Self::new(message) }
    }

    /// The command failed, but the reader of its output is gone, so nothing is printed.
    pub fn silent() -> Self {
        Self::new("")
    }

    /// The message, without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether nothing is printed.
    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// A signal ended the work; it determines the exit code.
    pub fn interrupted(message: impl fmt::Display, signal: impl Into<Status>) -> Self {
        Self { status: signal.into(), ..Self::new(message) }
    }

    /// Adds a hint.
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// Adds a further line, such as one of a stack trace.
    pub fn detail(mut self, line: &str) -> Self {
        self.details.push(one_line(line));
        self
    }

    /// The further lines.
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// The exit code.
    pub fn status(&self) -> Status {
        self.status
    }
}

/// A single line, whatever the message contains.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {})", one_line(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

fn one_line(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.map(printable).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_one_line() {
        let failure = Failure::usage("no\n  such thing\u{1b}[2J").hint("try\nthis");
        assert_eq!(failure.to_string(), "no; such thing\\u{1b}[2J (hint: try; this)");
        assert_eq!(failure.status(), Status::Usage);
        assert_eq!(Failure::new("x").to_string(), "x");
    }
}
