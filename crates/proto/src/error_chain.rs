//! Errors with their causes, in one line.

use std::error::Error;
use std::fmt;

/// Formats an error and its causes (`source`) in one line: `cannot read nodes.txt: no such file`.
///
/// The errors of these crates do not repeat their cause in their own text. Those of other crates may; a cause whose text has
/// occurred already is left out.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.contains(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        f.write_str(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("cannot start")]
        Start(#[source] Box<Failed>),
        #[error("cannot listen at {0}: {1}")]
        Listen(u16, #[source] std::io::Error),
    }

    #[test]
    fn each_cause_occurs_once() {
        let io = std::io::Error::other("address in use");
        let error = Failed::Start(Box::new(Failed::Listen(4369, io)));
        assert_eq!(ErrorChain(&error).to_string(), "cannot start: cannot listen at 4369: address in use");
    }
}
