//! Text between delimiters.

use crate::text::ParseError;
use crate::text::source::Source;

/// The meaning of `\xFF`: a byte in a string, a character in a charlist.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Text {
    Bytes,
    Characters,
}

/// Reads text between quotes of either kind.
pub(super) fn quoted(source: &mut Source<'_>, text: Text) -> Result<Vec<u8>, ParseError> {
    if source.rest().starts_with("\"\"\"") || source.rest().starts_with("'''") {
        return source.error("heredocs are not understood");
    }
    delimited(source, text)
}

/// Reads text between delimiters, with its escapes.
pub(super) fn delimited(source: &mut Source<'_>, text: Text) -> Result<Vec<u8>, ParseError> {
    let start = source.at;
    let end = end_delimiter(source)?;
    let mut bytes = Vec::new();
    loop {
        bytes.extend_from_slice(source.take_while(|c| c != end && !matches!(c, '\\' | '#')).as_bytes());
        match source.peek() {
            Some('\\') => {
                let at = source.at;
                match (escape(source, text)?, text) {
                    (Some(escaped), _) => bytes.extend_from_slice(escaped.as_bytes()),
                    (None, Text::Bytes) => bytes.extend(byte_of(source.since(at))),
                    (None, Text::Characters) => {}
                }
            }
            Some('#') if source.peek_second() == Some('{') => {
                return source.error("interpolation has no value here; `#{` is written `\\#{`");
            }
            Some(c) => {
                source.bump();
                if c == end {
                    return Ok(bytes);
                }
                bytes.push(b'#');
            }
            None => return source.error_at(start, format!("the quote is not closed, `{end}` is missing")),
        }
    }
}

/// Reads text between delimiters; the only escape is that of the delimiter.
pub(super) fn verbatim(source: &mut Source<'_>) -> Result<Vec<u8>, ParseError> {
    let start = source.at;
    let end = end_delimiter(source)?;
    let mut text = String::new();
    loop {
        match source.bump() {
            Some('\\') if source.peek() == Some(end) => {
                source.bump();
                text.push(end);
            }
            Some(c) if c == end => return Ok(text.into_bytes()),
            Some(c) => text.push(c),
            None => return source.error_at(start, format!("the quote is not closed, `{end}` is missing")),
        }
    }
}

fn end_delimiter(source: &mut Source<'_>) -> Result<char, ParseError> {
    let end = match source.peek() {
        Some(c @ ('"' | '\'' | '/' | '|')) => c,
        Some('(') => ')',
        Some('[') => ']',
        Some('{') => '}',
        Some('<') => '>',
        _ => return source.expected("a delimiter"),
    };
    source.bump();
    Ok(end)
}

/// Reads an escape sequence. A `\xFF` in a string is not a character, see [`byte_of`]; nor is an escaped line break.
pub(super) fn escape(source: &mut Source<'_>, text: Text) -> Result<Option<String>, ParseError> {
    let start = source.at;
    source.bump();
    let Some(c) = source.bump() else { return source.expected("a character after the backslash") };
    let code_point = match c {
        '0' => 0,
        'a' => 7,
        'b' => 8,
        'd' => 127,
        'e' => 27,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        's' => 32,
        't' => 9,
        'v' => 11,
        'x' => {
            let braces = source.peek() == Some('{');
            let value = source.hexadecimal(1..=2)?;
            if text == Text::Bytes && !braces {
                return Ok(None);
            }
            value
        }
        'u' => source.hexadecimal(4..=4)?,
        '\n' => return Ok(Some(String::new())),
        other => return Ok(Some(other.into())),
    };
    Ok(Some(source.character(code_point, start)?.into()))
}

/// The byte that was written as `\xFF`.
fn byte_of(escape: &str) -> Option<u8> {
    u8::from_str_radix(escape.strip_prefix("\\x")?, 16).ok()
}
