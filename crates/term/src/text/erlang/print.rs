use std::fmt::{self, Formatter, Write};
use std::slice;

use crate::text::number::write_float;
use crate::text::print::{
    Notation, alters_display, beginning, escape, is_printable, printable_text, write, write_integer,
};
use crate::{Atom, Term};

/// Formats a term in Erlang syntax, on one line, like `io:format("~0tp")`.
///
/// ```
/// use peerl_term::{Term, text::erlang};
///
/// let term = Term::tuple([Term::atom("ok"), Term::from("page"), Term::charlist("text"), Term::from(1)]);
/// assert_eq!(erlang::display(&term).to_string(), r#"{ok,<<"page">>,"text",1}"#);
/// ```
pub fn display(term: &Term) -> Display<'_> {
    Display(term)
}

/// A term that is formatted in Erlang syntax. Made by [`display`].
#[derive(Debug, Clone, Copy)]
pub struct Display<'a>(&'a Term);

impl fmt::Display for Display<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write::<Erlang>(self.0, f)
    }
}

impl Term {
    /// The beginning of the term in Erlang syntax, up to so many characters, and no more than 65,535. It takes the time and the
    /// memory of these, however large the term is.
    ///
    /// ```
    /// use peerl_term::Term;
    ///
    /// assert_eq!(Term::list(vec![Term::atom("page"); 1000]).shown(12), "[page,page,p");
    /// ```
    pub fn shown(&self, most: usize) -> String {
        // A greater precision panics.
        let most = most.min(u16::MAX.into());
        beginning(most, format_args!("{self:.most$}"))
    }
}

/// Formats the term in Erlang syntax. An integer of thousands of digits has base 16.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write::<Erlang>(self, f)
    }
}

/// Formats the term in Erlang syntax.
impl fmt::Debug for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write::<Erlang>(self, f)
    }
}

struct Erlang;

struct Open<'a> {
    rest: slice::Iter<'a, Term>,
    written: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Tuple,
    List,
    /// A list; the last element is its tail.
    Improper,
    /// Keys and values alternate.
    Map,
    Record(slice::Iter<'a, Atom>),
}

impl Notation for Erlang {
    type Open<'a> = Open<'a>;

    fn begin<'a>(term: &'a Term, f: &mut Formatter<'_>) -> Result<Option<Open<'a>>, fmt::Error> {
        let open = |elements: &'a [Term], kind| Ok(Some(Open { rest: elements.iter(), written: 0, kind }));
        match term {
            Term::Integer(value) => write!(f, "{value}")?,
            Term::BigInteger(value) => write_integer(value.get(), "16#", f)?,
            Term::Float(value) => write_float(value.get(), f)?,
            Term::Atom(atom) => write!(f, "{atom}")?,
            Term::Binary(bytes) => write_binary(bytes, f)?,
            Term::BitString(bits) => {
                f.write_str("<<")?;
                let (last, whole) = bits.bytes().split_last().ok_or(fmt::Error)?;
                for byte in whole {
                    write!(f, "{byte},")?;
                }
                write!(f, "{}:{}>>", last >> (8 - bits.last_bits()), bits.last_bits())?;
            }
            Term::Pid(pid) => write!(f, "#Pid<{}.{}.{}.{}>", pid.node, pid.id, pid.serial, pid.creation)?,
            Term::Port(port) => write!(f, "#Port<{}.{}.{}>", port.node, port.id, port.creation)?,
            Term::Reference(reference) => {
                write!(f, "#Ref<{}.", reference.node())?;
                for word in reference.words() {
                    write!(f, "{word}.")?;
                }
                write!(f, "{}>", reference.creation())?;
            }
            Term::ExternalFun(fun) => write!(f, "fun {}:{}/{}", fun.module, fun.function, fun.arity)?,
            Term::LocalFun(fun) => write!(f, "#Fun<{}.{}.{}>", fun.module, fun.old_index, fun.old_unique)?,
            Term::Tuple(elements) => {
                f.write_str("{")?;
                return open(elements, Kind::Tuple);
            }
            Term::List(elements) => match printable_text(wanted(elements, f)) {
                Some(text) => write_quoted(&text, f)?,
                None => {
                    f.write_str("[")?;
                    return open(elements, Kind::List);
                }
            },
            Term::ImproperList(list) => {
                f.write_str("[")?;
                return open(&list.0, Kind::Improper);
            }
            Term::Map(map) => {
                f.write_str("#{")?;
                return open(&map.0, Kind::Map);
            }
            Term::Record(record) => {
                write!(f, "#{}:{}{{", record.module, record.name)?;
                return open(&record.values, Kind::Record(record.keys.iter()));
            }
        }
        Ok(None)
    }

    fn advance<'a>(open: &mut Self::Open<'a>, f: &mut Formatter<'_>) -> Result<Option<&'a Term>, fmt::Error> {
        let Some(term) = open.rest.next() else { return Ok(None) };
        let is_value = matches!(open.kind, Kind::Map) && open.written % 2 == 1;
        let is_tail = matches!(open.kind, Kind::Improper) && open.rest.len() == 0;
        match () {
            () if is_value => f.write_str(" => ")?,
            () if is_tail => f.write_str("|")?,
            () if open.written > 0 => f.write_str(",")?,
            () => {}
        }
        if let Kind::Record(keys) = &mut open.kind
            && let Some(key) = keys.next()
        {
            write!(f, "{key} = ")?;
        }
        open.written += 1;
        Ok(Some(term))
    }

    fn end(open: &Self::Open<'_>) -> Option<u8> {
        (open.rest.len() == 0).then_some(match open.kind {
            Kind::Tuple | Kind::Map | Kind::Record(_) => b'}',
            Kind::List | Kind::Improper => b']',
        })
    }
}

/// The elements that matter, if only the beginning of a term is wanted, which is the precision. No character is written for less than
/// a quarter of a byte.
fn wanted<'a, T>(elements: &'a [T], f: &Formatter<'_>) -> &'a [T] {
    let most = f.precision().map_or(usize::MAX, |characters| characters.saturating_mul(4));
    &elements[..elements.len().min(most)]
}

fn write_binary(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    let (bytes, all) = (wanted(bytes, f), bytes.len());
    let bytes = match std::str::from_utf8(bytes) {
        // In the midst of a character.
        Err(error) if bytes.len() < all && error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    f.write_str("<<")?;
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(is_printable) => {
            write_quoted(text, f)?;
            if !text.is_ascii() {
                f.write_str("/utf8")?;
            }
        }
        _ => {
            for (index, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte}", if index > 0 { "," } else { "" })?;
            }
        }
    }
    f.write_str(">>")
}

/// Writes printable text as a string.
fn write_quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match escape(c) {
            Some(escaped) => f.write_str(escaped)?,
            None if alters_display(c) => write!(f, "\\x{{{:X}}}", u32::from(c))?,
            None => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BigInt, BitString, ExternalFun, Pid, Port, Record, Reference};

    fn shown(term: impl Into<Term>) -> String {
        term.into().to_string()
    }

    #[test]
    fn the_beginning_of_a_term() {
        let long = BigInt::from(7) << 8_000_000u32;
        let terms = [
            Term::from(long.clone()),
            Term::from(-long),
            Term::binary(vec![200; 1 << 16]),
            Term::from("é".repeat(1 << 16)),
            Term::charlist(&"a\"".repeat(1 << 16)),
            Term::list(vec![Term::nil(); 1 << 16]),
            (0..1 << 16).fold(Term::nil(), |inner, _| Term::list([inner])),
            Term::map([(Term::from("x".repeat(1 << 16)), Term::from(1))]),
            Term::atom("short"),
        ];
        for term in terms {
            let whole = term.to_string();
            for most in [0, 1, 7, 300] {
                let beginning: String = whole.chars().take(most).collect();
                assert_eq!(term.shown(most), beginning);
            }
            let longest: String = whole.chars().take(65_535).collect();
            for more in [65_535, 65_536, usize::MAX] {
                assert_eq!(term.shown(more), longest);
            }
        }
    }

    #[test]
    fn a_long_integer_has_base_16() {
        for integer in [(BigInt::from(1) << 40_000u32) + 1, -(BigInt::from(9) << 17_000u32)] {
            let term = Term::from(integer);
            let (erlang, elixir) = (term.to_string(), crate::text::elixir::display(&term).to_string());
            assert!(erlang.trim_start_matches('-').starts_with("16#") && elixir.contains("0x"));
            assert_eq!(crate::text::erlang::parse(&erlang).unwrap(), term);
            assert_eq!(crate::text::elixir::parse(&elixir).unwrap(), term);
        }
        assert_eq!(shown(BigInt::from(1) << 16_000u32), (BigInt::from(1) << 16_000u32).to_string());
    }

    #[test]
    fn every_kind_is_shown() {
        let node = Atom::from_static("w@127.0.0.1");
        assert_eq!(shown(-7), "-7");
        assert_eq!(shown(BigInt::from(1u8) << 70), "1180591620717411303424");
        assert_eq!(shown(Term::float(1e10).unwrap()), "1.0e10");
        assert_eq!(shown(Term::atom("Ok")), "'Ok'");
        assert_eq!(shown("a\"\\\n"), r#"<<"a\"\\\n">>"#);
        assert_eq!(shown("é"), r#"<<"é"/utf8>>"#);
        assert_eq!(shown(Term::binary(b"\xe9\x00")), "<<233,0>>");
        assert_eq!(shown(""), "<<>>");
        assert_eq!(shown(BitString::new([1, 0xa0], 3).unwrap()), "<<1,5:3>>");
        assert_eq!(shown(Pid { node: node.clone(), id: 38, serial: 0, creation: 9 }), "#Pid<'w@127.0.0.1'.38.0.9>");
        assert_eq!(
            shown(Port { node: node.clone(), id: 1 << 40, creation: 9 }),
            "#Port<'w@127.0.0.1'.1099511627776.9>"
        );
        assert_eq!(shown(Reference::new(Atom::from_static("a@h"), 9, &[1, 2, 3]).unwrap()), "#Ref<a@h.1.2.3.9>");
        let fun = ExternalFun { module: "lists".parse().unwrap(), function: "Map".parse().unwrap(), arity: 2 };
        assert_eq!(shown(fun), "fun lists:'Map'/2");
        assert_eq!(shown(Term::list_with_tail([Term::from(1), Term::from(2)], Term::atom("c"))), "[1,2|c]");
        assert_eq!(
            shown(Term::map([(Term::atom("k"), Term::map([])), (Term::from(1), Term::nil())])),
            "#{1 => [],k => #{}}"
        );
        assert_eq!(shown(Term::list([Term::from(7), Term::tuple([])])), "[7,{}]");
        assert_eq!(shown(Term::charlist("日\t")), "\"日\\t\"");
        let record = Record::new(
            Atom::from_static("nr"),
            Atom::from_static("point"),
            [(Atom::from_static("x"), Term::from(5)), (Atom::from_static("y"), Term::atom("b"))],
        );
        assert_eq!(shown(record), "#nr:point{x = 5,y = b}");
    }
}
