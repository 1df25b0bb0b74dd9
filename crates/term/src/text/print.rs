use std::fmt::{Arguments, Error, Formatter, Result, Write};

use num_bigint::{BigInt, Sign};

use crate::Term;
use crate::stack::Stack;

/// The syntax in which a language writes terms. A stack of [`Open`](Notation::Open) terms replaces recursion.
pub(super) trait Notation {
    /// A compound term whose elements are partly written.
    type Open<'a>;

    /// Writes a whole term, or the beginning of a compound one.
    fn begin<'a>(term: &'a Term, f: &mut Formatter<'_>)
    -> std::result::Result<Option<Self::Open<'a>>, std::fmt::Error>;

    /// Writes the separator before the next element, which it returns, if there is one.
    fn advance<'a>(
        open: &mut Self::Open<'a>,
        f: &mut Formatter<'_>,
    ) -> std::result::Result<Option<&'a Term>, std::fmt::Error>;

    /// The ASCII character that ends the term, if there is no further element.
    fn end(open: &Self::Open<'_>) -> Option<u8>;
}

/// Writes a term.
pub(super) fn write<N: Notation>(term: &Term, f: &mut Formatter<'_>) -> Result {
    let Some(mut current) = N::begin(term, f)? else { return Ok(()) };
    let mut outer = Levels::new();
    loop {
        if let Some(term) = N::advance(&mut current, f)? {
            if let Some(inner) = N::begin(term, f)? {
                let open = std::mem::replace(&mut current, inner);
                outer.push(N::end(&open).map_or(Level::Open(open), Level::End));
            }
            continue;
        }
        if let Some(byte) = N::end(&current) {
            f.write_char(char::from(byte))?;
        }
        current = loop {
            match outer.pop() {
                Some(Level::Open(open)) => break open,
                Some(Level::End(byte)) => f.write_char(char::from(byte))?,
                None => return Ok(()),
            }
        };
    }
}

/// The compound terms around one that is being written. One of which only the end is missing takes a byte.
struct Levels<T> {
    /// The byte that ends the term, or [`Self::OPEN`].
    ends: Stack<u8>,
    open: Stack<T>,
}

/// A compound term around the one that has been written.
enum Level<T> {
    Open(T),
    /// Its elements are written, and this byte is not.
    End(u8),
}

impl<T> Levels<T> {
    const OPEN: u8 = 0;

    const fn new() -> Self {
        Self { ends: Stack::new(), open: Stack::new() }
    }

    fn push(&mut self, level: Level<T>) {
        match level {
            Level::Open(open) => {
                self.ends.push(Self::OPEN);
                self.open.push(open);
            }
            Level::End(byte) => self.ends.push(byte),
        }
    }

    fn pop(&mut self) -> Option<Level<T>> {
        match self.ends.pop()? {
            Self::OPEN => self.open.pop().map(Level::Open),
            byte => Some(Level::End(byte)),
        }
    }
}

/// Writes an integer: a very long one in base 16, after this prefix. Decimal digits take a time that grows with the square of their
/// number. Of a term of which only the beginning is wanted, which is the precision, no more digits are made than that.
pub(super) fn write_integer(value: &BigInt, prefix: &str, f: &mut Formatter<'_>) -> Result {
    const LONG: u64 = 1 << 14;
    let bits = value.bits();
    if bits <= LONG {
        return write!(f, "{value}");
    }
    let sign = if value.sign() == Sign::Minus { "-" } else { "" };
    let wanted = f.precision().map_or(u64::MAX, |characters| characters as u64);
    let magnitude = value.magnitude();
    match bits.div_ceil(4).saturating_sub(wanted) {
        0 => write!(f, "{sign}{prefix}{magnitude:X}"),
        others => write!(f, "{sign}{prefix}{:X}", magnitude >> (4 * others)),
    }
}

/// The beginning of what is written, up to so many characters; what follows is not made.
pub(crate) fn beginning(most: usize, written: Arguments<'_>) -> String {
    let mut beginning = Beginning { text: String::new(), room: most };
    // It fails when there is no more room.
    let _ = beginning.write_fmt(written);
    beginning.text
}

struct Beginning {
    text: String,
    room: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, more: &str) -> Result {
        if let Some((end, _)) = more.char_indices().nth(self.room) {
            self.text.push_str(&more[..end]);
            self.room = 0;
            return Err(Error);
        }
        self.text.push_str(more);
        self.room -= more.chars().count();
        Ok(())
    }
}

/// The text of a non-empty list of printable code points, as defined by `io_lib:printable_unicode_list/1`.
pub(super) fn printable_text(terms: &[Term]) -> Option<String> {
    if terms.is_empty() {
        return None;
    }
    let character = |term: &Term| char::from_u32(u32::try_from(term.as_integer()?).ok()?).filter(|c| is_printable(*c));
    terms.iter().map(character).collect()
}

/// Whether Erlang shows the character in a string: a graphic one, or white space with an escape.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c,
        ' '..='~' | '\n' | '\r' | '\t' | '\u{8}' | '\u{b}' | '\u{c}' | '\u{1b}'
        | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether the character changes how surrounding text is displayed: a control character, a separator of lines or
/// paragraphs, or one that sets the direction of text. Text from elsewhere could use it to move a terminal's cursor,
/// forge a line, or imitate other text. Both syntaxes write such characters as escapes.
pub fn alters_display(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The escape of a character, if it is the same in strings of both languages.
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
