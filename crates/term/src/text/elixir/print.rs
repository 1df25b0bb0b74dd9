use std::fmt::{self, Formatter, Write};
use std::slice;

use crate::text::number::write_float;
use crate::text::print::{Notation, alters_display, escape, is_printable, write, write_integer};
use crate::{Atom, Term};

/// Formats a term in Elixir syntax, on one line, like `inspect`.
///
/// ```
/// use peerl_term::{Term, text::elixir};
///
/// let term = Term::tuple([Term::atom("ok"), Term::from("page"), Term::charlist("text"), Term::atom("Elixir.MyApp")]);
/// assert_eq!(elixir::display(&term).to_string(), r#"{:ok, "page", ~c"text", MyApp}"#);
/// ```
pub fn display(term: &Term) -> Display<'_> {
    Display(term)
}

/// A term that is formatted in Elixir syntax. Made by [`display`].
#[derive(Debug, Clone, Copy)]
pub struct Display<'a>(&'a Term);

impl fmt::Display for Display<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write::<Elixir>(self.0, f)
    }
}

struct Elixir;

struct Open<'a> {
    rest: slice::Iter<'a, Term>,
    written: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Tuple,
    List,
    /// Pairs whose first element is an atom.
    Keywords,
    /// A list; the last element is its tail.
    Improper,
    /// Keys and values alternate.
    Map,
    /// Atoms and values alternate.
    AtomMap,
    Record(slice::Iter<'a, Atom>),
}

impl Notation for Elixir {
    type Open<'a> = Open<'a>;

    fn begin<'a>(term: &'a Term, f: &mut Formatter<'_>) -> Result<Option<Open<'a>>, fmt::Error> {
        let open = |elements: &'a [Term], kind| Ok(Some(Open { rest: elements.iter(), written: 0, kind }));
        match term {
            Term::Integer(value) => write!(f, "{value}")?,
            Term::BigInteger(value) => write_integer(value.get(), "0x", f)?,
            Term::Float(value) => {
                let value = value.get();
                // Elixir formats 1.0e3 as 1000.0.
                if (1.0..1e16).contains(&value.abs()) && value.trunc() == value {
                    write!(f, "{value:.1}")?;
                } else {
                    write_float(value, f)?;
                }
            }
            Term::Atom(atom) => write_atom(atom, f)?,
            Term::Binary(bytes) => write_binary(bytes, f)?,
            Term::BitString(bits) => {
                f.write_str("<<")?;
                let (last, whole) = bits.bytes().split_last().ok_or(fmt::Error)?;
                for byte in whole {
                    write!(f, "{byte}, ")?;
                }
                write!(f, "{}::size({})>>", last >> (8 - bits.last_bits()), bits.last_bits())?;
            }
            Term::Pid(pid) => {
                f.write_str("#PID<")?;
                write_name(&pid.node, f)?;
                write!(f, ".{}.{}.{}>", pid.id, pid.serial, pid.creation)?;
            }
            Term::Port(port) => {
                f.write_str("#Port<")?;
                write_name(&port.node, f)?;
                write!(f, ".{}.{}>", port.id, port.creation)?;
            }
            Term::Reference(reference) => {
                f.write_str("#Reference<")?;
                write_name(reference.node(), f)?;
                for word in reference.words() {
                    write!(f, ".{word}")?;
                }
                write!(f, ".{}>", reference.creation())?;
            }
            Term::ExternalFun(fun) => {
                f.write_str("&")?;
                write_module(&fun.module, f)?;
                f.write_str(".")?;
                write_function(&fun.function, f)?;
                write!(f, "/{}", fun.arity)?;
            }
            Term::LocalFun(fun) => {
                write!(f, "#Function<{}.{}/{} in ", fun.old_index, fun.old_unique, fun.arity)?;
                write_name(&fun.module, f)?;
                f.write_str(">")?;
            }
            Term::Tuple(elements) => {
                f.write_str("{")?;
                return open(elements, Kind::Tuple);
            }
            Term::List(elements) => match ascii_text(elements) {
                Some(text) => {
                    f.write_str("~c")?;
                    write_quoted(&text, f)?;
                }
                None => {
                    f.write_str("[")?;
                    return open(elements, if is_keywords(elements) { Kind::Keywords } else { Kind::List });
                }
            },
            Term::ImproperList(list) => {
                f.write_str("[")?;
                return open(&list.0, Kind::Improper);
            }
            Term::Map(map) => {
                f.write_str("%{")?;
                let kind = if map.iter().all(|(key, _)| is_keyword(key)) { Kind::AtomMap } else { Kind::Map };
                return open(&map.0, kind);
            }
            Term::Record(record) => {
                f.write_str("#Record<")?;
                write_name(&record.module, f)?;
                f.write_str(".")?;
                write_name(&record.name, f)?;
                return open(&record.values, Kind::Record(record.keys.iter()));
            }
        }
        Ok(None)
    }

    fn advance<'a>(open: &mut Self::Open<'a>, f: &mut Formatter<'_>) -> Result<Option<&'a Term>, fmt::Error> {
        let Some(mut term) = open.rest.next() else { return Ok(None) };
        let is_value = matches!(open.kind, Kind::Map) && open.written % 2 == 1;
        let is_tail = matches!(open.kind, Kind::Improper) && open.rest.len() == 0;
        match () {
            () if is_value => f.write_str(" => ")?,
            () if is_tail => f.write_str(" | ")?,
            () if open.written > 0 || matches!(open.kind, Kind::Record(_)) => f.write_str(", ")?,
            () => {}
        }
        let label = match &mut open.kind {
            Kind::Keywords => match term.as_tuple() {
                Some([Term::Atom(key), value]) => {
                    term = value;
                    Some(key)
                }
                _ => None,
            },
            Kind::AtomMap => match (term, open.rest.next()) {
                (Term::Atom(key), Some(value)) => {
                    term = value;
                    Some(key)
                }
                _ => None,
            },
            Kind::Record(keys) => keys.next(),
            _ => None,
        };
        if let Some(key) = label {
            write_name(key, f)?;
            f.write_str(": ")?;
        }
        open.written += 1;
        Ok(Some(term))
    }

    fn end(open: &Self::Open<'_>) -> Option<u8> {
        (open.rest.len() == 0).then_some(match open.kind {
            Kind::Tuple | Kind::Map | Kind::AtomMap => b'}',
            Kind::List | Kind::Keywords | Kind::Improper => b']',
            Kind::Record(_) => b'>',
        })
    }
}

/// Whether a list is formatted as `[key: value]`.
fn is_keywords(elements: &[Term]) -> bool {
    !elements.is_empty() && elements.iter().all(|term| matches!(term.as_tuple(), Some([key, _]) if is_keyword(key)))
}

/// Whether the key is an atom other than an alias.
fn is_keyword(key: &Term) -> bool {
    key.as_atom().is_some_and(|key| !key.starts_with("Elixir."))
}

/// The text of a list that `inspect` formats as a charlist.
fn ascii_text(elements: &[Term]) -> Option<String> {
    if elements.is_empty() {
        return None;
    }
    let character = |term: &Term| match u8::try_from(term.as_integer()?).ok()? {
        byte @ (b' '..=b'~' | 7..=13 | 27) => Some(char::from(byte)),
        _ => None,
    };
    elements.iter().map(character).collect()
}

fn write_atom(atom: &Atom, f: &mut Formatter<'_>) -> fmt::Result {
    if matches!(atom.as_str(), "nil" | "true" | "false") {
        return f.write_str(atom);
    }
    write_module(atom, f)
}

/// Writes an alias, or an atom with its colon.
fn write_module(atom: &Atom, f: &mut Formatter<'_>) -> fmt::Result {
    if is_alias(atom) {
        return f.write_str(atom.strip_prefix("Elixir.").unwrap_or(atom));
    }
    f.write_str(":")?;
    write_name(atom, f)
}

/// Writes an atom where only an atom is possible: after a colon, as a key, as a function.
fn write_name(name: &str, f: &mut Formatter<'_>) -> fmt::Result {
    if is_identifier(name) { f.write_str(name) } else { write_quoted(name, f) }
}

/// Writes the name of a function after the dot.
fn write_function(name: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let is_plain = is_identifier(name) && !name.contains('@') && !name.starts_with(|c: char| c.is_ascii_uppercase());
    if is_plain { f.write_str(name) } else { write_quoted(name, f) }
}

/// Whether the atom is `Elixir` or an alias, such as 'Elixir.MyApp.Page'.
fn is_alias(name: &str) -> bool {
    let segment = |segment: &str| {
        segment.starts_with(|c: char| c.is_ascii_uppercase())
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match name.strip_prefix("Elixir.") {
        // `Elixir.Elixir` would be parsed as `Elixir`.
        Some(rest) => rest.split('.').all(segment) && !rest.starts_with("Elixir"),
        None => name == "Elixir",
    }
}

fn is_identifier(name: &str) -> bool {
    let stem = name.strip_suffix(['?', '!']).unwrap_or(name);
    stem.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && stem.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@'))
}

fn write_binary(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| is_printable(c) || c == '\u{7}') => write_quoted(text, f),
        _ => {
            f.write_str("<<")?;
            for (index, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte}", if index > 0 { ", " } else { "" })?;
            }
            f.write_str(">>")
        }
    }
}

/// Writes text between double quotes.
fn write_quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, escape(c)) {
            (_, Some(escaped)) => f.write_str(escaped)?,
            ('\u{7}', _) => f.write_str("\\a")?,
            // Unescaped, it would begin an interpolation.
            ('#', _) if characters.peek() == Some(&'{') => f.write_str("\\#")?,
            (c, _) if alters_display(c) => write!(f, "\\u{{{:X}}}", u32::from(c))?,
            (c, _) => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BitString, ExternalFun, Pid, Record, Reference};

    fn shown(term: impl Into<Term>) -> String {
        display(&term.into()).to_string()
    }

    fn atom(name: &str) -> Term {
        Term::Atom(name.parse().unwrap())
    }

    #[test]
    fn atoms_are_quoted_where_elixir_does() {
        for (name, text) in [
            ("ok", ":ok"),
            ("nil", "nil"),
            ("undefined", ":undefined"),
            ("Elixir.MyApp.Foo", "MyApp.Foo"),
            ("Elixir", "Elixir"),
            ("Elixir.foo", ":\"Elixir.foo\""),
            ("Elixir.Elixir", ":\"Elixir.Elixir\""),
            ("Ok", ":Ok"),
            ("ok?", ":ok?"),
            ("a@h", ":a@h"),
            ("a b", ":\"a b\""),
            ("\0", ":\"\\u{0}\""),
            ("", ":\"\""),
        ] {
            assert_eq!(shown(atom(name)), text);
        }
    }

    #[test]
    fn every_kind_is_shown() {
        let pair = |key: &str| Term::tuple([atom(key), Term::from(1)]);
        assert_eq!(shown(Term::list([pair("a"), pair("b c")])), "[a: 1, \"b c\": 1]");
        assert_eq!(shown(Term::list([pair("Elixir.A")])), "[{A, 1}]");
        assert_eq!(shown(Term::map([(atom("k"), Term::from(1)), (atom("l"), Term::map([]))])), "%{k: 1, l: %{}}");
        assert_eq!(
            shown(Term::map([(atom("k"), Term::from(1)), (Term::from("s"), Term::nil())])),
            "%{:k => 1, \"s\" => []}"
        );
        assert_eq!(shown(Term::charlist("a\"b")), "~c\"a\\\"b\"");
        assert_eq!(shown(Term::list([Term::from(955)])), "[955]");
        assert_eq!(shown("é#{x}"), "\"é\\#{x}\"");
        assert_eq!(shown("a\u{202e}b"), "\"a\\u{202E}b\"");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown(Term::binary(&[0, 255])), "<<0, 255>>");
        assert_eq!(shown(BitString::new([1, 0xa0], 3).unwrap()), "<<1, 5::size(3)>>");
        assert_eq!(shown(Term::float(1000.0).unwrap()), "1000.0");
        assert_eq!(shown(Term::float(1e16).unwrap()), "1.0e16");
        assert_eq!(shown(Term::list_with_tail([Term::from(1)], Term::from(2))), "[1 | 2]");
        let fun = ExternalFun { module: "Elixir.Enum".parse().unwrap(), function: "any?".parse().unwrap(), arity: 2 };
        assert_eq!(shown(fun), "&Enum.any?/2");
        let node: Atom = "w@127.0.0.1".parse().unwrap();
        assert_eq!(shown(Pid { node: node.clone(), id: 1, serial: 2, creation: 3 }), "#PID<\"w@127.0.0.1\".1.2.3>");
        assert_eq!(shown(Reference::new(node, 3, &[1, 2]).unwrap()), "#Reference<\"w@127.0.0.1\".1.2.3>");
        let record = Record::new("nr".parse().unwrap(), "p".parse().unwrap(), [("x".parse().unwrap(), Term::from(5))]);
        assert_eq!(shown(record), "#Record<nr.p, x: 5>");
    }
}
