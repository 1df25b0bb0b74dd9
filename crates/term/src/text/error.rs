use std::fmt;

use crate::text::alters_display;

/// A syntax error. Its `Display` shows the line, with a caret under the position.
#[derive(Clone, PartialEq, Eq)]
pub struct ParseError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    line: usize,
    column: usize,
    message: String,
    excerpt: String,
    caret: usize,
}

impl ParseError {
    /// Makes an error at a byte offset.
    pub(super) fn new(text: &str, at: usize, message: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let column = before[line_start..].chars().count();
        let first = column.saturating_sub(Self::CONTEXT);
        let visible = |c: char| if alters_display(c) { ' ' } else { c };
        Self(Box::new(Inner {
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: column + 1,
            message: message.into(),
            excerpt: line.chars().skip(first).take(2 * Self::CONTEXT).map(visible).collect(),
            caret: column - first,
        }))
    }

    /// The most characters of the line that are shown on either side of the position.
    const CONTEXT: usize = 60;

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// The reason.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { line, column, message, excerpt, caret } = &*self.0;
        write!(f, "line {line}, column {column}: {message}\n  {excerpt}\n  {:caret$}^", "")
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParseError({self})")
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caret_is_under_the_place() {
        let error = ParseError::new("{ok,\n\té 1 2}", 11, "expected `,`");
        assert_eq!((error.line(), error.column(), error.message()), (2, 6, "expected `,`"));
        assert_eq!(error.to_string(), "line 2, column 6: expected `,`\n   é 1 2}\n       ^");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("{}!{}", "a".repeat(1000), "b".repeat(1000));
        let shown = ParseError::new(&text, 1000, "no").to_string();
        assert_eq!(shown.lines().nth(1), Some(&*format!("  {}!{}", "a".repeat(60), "b".repeat(59))));
        assert_eq!(shown.lines().nth(2), Some(&*format!("  {}^", " ".repeat(60))));
    }
}
