//! Escapes text from outside, for terminals and log lines.

use std::borrow::Cow;
use std::fmt::{self, Write};

use peerl_term::text::alters_display;

/// The text as a single line, with escapes (`\n`, `\u{1b}`) for characters that change how surrounding text is
/// displayed.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(alters_display) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    // Writing to a string cannot fail.
    let _ = Printable(&mut escaped).write_str(text);
    Cow::Owned(escaped)
}

/// Escapes each line of a multi-line text.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// The output of a called function, for a terminal: line breaks and tabs stay.
pub fn printable_output(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// JSON with escapes for these characters. Outside of its strings, JSON has none of them except white space.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let is_in_string = |c: char| alters_display(c) && !c.is_ascii_control() || c == '\u{7f}';
    if !json.contains(is_in_string) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_in_string(c) {
            // All of them are in the 16-bit range.
            true => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Passes text on with escapes.
pub struct Printable<W>(pub W);

impl<W: Write> Write for Printable<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(alters_display) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = special.chars();
            if let Some(c) = characters.next() {
                match c {
                    '\n' => self.0.write_str("\\n")?,
                    '\r' => self.0.write_str("\\r")?,
                    '\t' => self.0.write_str("\\t")?,
                    c => write!(self.0, "\\u{{{:x}}}", u32::from(c))?,
                }
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nb\r\u{1b}]0;x\u{7}\u{7f}\u{9b}2J\u{202e}\u{2028}\u{85}é😀";
    const ESCAPED: &str = r"a\nb\r\u{1b}]0;x\u{7}\u{7f}\u{9b}2J\u{202e}\u{2028}\u{85}é😀";

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(printable(HOSTILE), ESCAPED);
        assert!(matches!(printable("plain é"), Cow::Borrowed("plain é")));
        assert_eq!(printable_lines("a\u{1b}\nb\tc\n"), "a\\u{1b}\nb\\tc\n");
        assert_eq!(printable_output("a\tb\u{1b}[31m\nc\rd\n"), "a\tb\\u{1b}[31m\nc\\rd\n");
    }

    #[test]
    fn json_stays_what_it_is() {
        let json = serde_json::to_string(HOSTILE).unwrap();
        let escaped = printable_json(&json);
        assert!(!escaped.contains(alters_display), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), HOSTILE);
        let pretty = "{\n\t\"a\": 1\r\n}";
        assert_eq!(printable_json(pretty), pretty);
    }
}
