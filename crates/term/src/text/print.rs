use std::fmt::{Formatter, Result};

use crate::Term;

/// How a language writes terms. The depth of a term is kept on a stack of [`Open`](Notation::Open) terms, not on that of the
/// thread.
pub(super) trait Notation {
    /// A compound term of which some elements have been written.
    type Open<'a>;

    /// Writes a whole term, or what comes before its elements.
    fn begin<'a>(term: &'a Term, f: &mut Formatter<'_>)
    -> std::result::Result<Option<Self::Open<'a>>, std::fmt::Error>;

    /// Writes what comes before the next element, which it gives; or the end of the term.
    fn advance<'a>(
        open: &mut Self::Open<'a>,
        f: &mut Formatter<'_>,
    ) -> std::result::Result<Option<&'a Term>, std::fmt::Error>;
}

/// Writes a term.
pub(super) fn write<N: Notation>(term: &Term, f: &mut Formatter<'_>) -> Result {
    let Some(mut current) = N::begin(term, f)? else { return Ok(()) };
    let mut outer = Vec::new();
    loop {
        match N::advance(&mut current, f)? {
            Some(term) => {
                if let Some(inner) = N::begin(term, f)? {
                    outer.push(std::mem::replace(&mut current, inner));
                }
            }
            None => match outer.pop() {
                Some(open) => current = open,
                None => return Ok(()),
            },
        }
    }
}

/// The text of a list of code points that can all be read by eye, as `io_lib:printable_unicode_list/1` says; not
/// of an empty one.
pub(super) fn printable_text(terms: &[Term]) -> Option<String> {
    if terms.is_empty() {
        return None;
    }
    let character = |term: &Term| char::from_u32(u32::try_from(term.as_integer()?).ok()?).filter(|c| is_printable(*c));
    terms.iter().map(character).collect()
}

/// Says whether Erlang shows the character in a string: a graphic one, or white space that has an escape.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c,
        ' '..='~' | '\n' | '\r' | '\t' | '\u{8}' | '\u{b}' | '\u{c}' | '\u{1b}'
        | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Says whether the character changes how the text around it is shown, so that text from elsewhere could move a terminal's
/// cursor, forge a line, or look like something else: a control character, a separator of lines or paragraphs, or one that
/// sets the direction of text. The syntaxes write all of them as escapes.
pub fn alters_display(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The escape of a character that is the same in strings of both languages.
pub(super) fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\u{1b}' => "\\e",
        _ => return None,
    })
}
