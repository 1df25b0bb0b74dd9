//! What is wrong with the arguments of a call, in words: which argument, and which part of it.

use peerl_term::serde::{Error, ErrorKind};
use peerl_term::{Decoder, Limits, RawTerm, Tag, Term};

use crate::kernel::exception::Exception;

/// The exception for arguments that do not fit the function, from what the deserializer says of them.
#[cold]
pub(crate) fn exception(arguments: &RawTerm, error: &Error) -> Exception {
    let message = match error.kind() {
        ErrorKind::Message { message, .. } => message.replace('`', ""),
        other => other.to_string(),
    };
    let place = error.offset().and_then(|offset| Place::find(arguments, offset));
    match place {
        Some(Place { argument, path }) if path.is_empty() => Exception::bad_argument(argument, &message),
        Some(Place { argument, path }) => {
            Exception::bad_argument(argument, &format!("{}: {message}", path.join(" of ")))
        }
        None => Exception::badarg_because(&message),
    }
}

/// Where in a list of arguments a term is.
struct Place {
    /// From 1 on.
    argument: usize,
    /// The innermost part first: `field size`, `element 3`.
    path: Vec<String>,
}

impl Place {
    /// The deepest path that is told.
    const DEPTH: usize = 8;

    fn find(arguments: &RawTerm, offset: usize) -> Option<Self> {
        let limits = Limits::default();
        let mut decoder = Decoder::new(arguments.bytes(), arguments.atoms(), &limits);
        let count = match decoder.peek_tag().ok()? {
            Tag::LIST_EXT => decoder.list_header().ok()?,
            // A list of small integers, each of which is one byte of it.
            _ => return None,
        };
        let argument = enter(&mut decoder, count, offset)?;
        let mut path = Vec::new();
        while decoder.position() < offset && path.len() < Self::DEPTH {
            let part = match decoder.peek_tag().ok()? {
                Tag::MAP_EXT => {
                    let pairs = decoder.map_header().ok()?;
                    let mut part = None;
                    for _ in 0..pairs {
                        let key = decoder.term().ok()?;
                        if enter(&mut decoder, 1, offset).is_some() {
                            part = Some(format!("field {}", name(&key)));
                            break;
                        }
                    }
                    part
                }
                Tag::LIST_EXT => {
                    let count = decoder.list_header().ok()?;
                    enter(&mut decoder, count, offset).map(|number| format!("element {number}"))
                }
                Tag::SMALL_TUPLE_EXT | Tag::LARGE_TUPLE_EXT => {
                    let count = decoder.tuple_header().ok()?;
                    enter(&mut decoder, count, offset).map(|number| format!("element {number}"))
                }
                _ => None,
            };
            match part {
                Some(part) => path.push(part),
                None => break,
            }
        }
        path.reverse();
        Some(Self { argument, path })
    }
}

/// Goes to the term, of as many, that the offset is in. Gives its number, from 1 on.
fn enter(decoder: &mut Decoder<'_>, count: usize, offset: usize) -> Option<usize> {
    for number in 1..=count {
        let mut end = decoder.clone();
        end.skip_term().ok()?;
        if offset < end.position() {
            return Some(number);
        }
        *decoder = end;
    }
    None
}

/// The most characters of the name of a field.
const NAME: usize = 100;

fn name(key: &Term) -> String {
    match key {
        Term::Atom(name) => name.as_str().to_owned(),
        Term::Binary(name) if name.len() <= NAME => name.as_str().map_or_else(|| key.shown(NAME), str::to_owned),
        key => key.shown(NAME),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "it is only read")]
        tags: Vec<String>,
        #[expect(dead_code, reason = "it is only read")]
        size: u8,
    }

    fn cause<A: DeserializeOwned + std::fmt::Debug>(arguments: Term) -> String {
        let raw = RawTerm::encoded_from(&arguments);
        let error = peerl_term::serde::from_raw::<A>(&raw).unwrap_err();
        exception(&raw, &error).cause().unwrap().to_owned()
    }

    fn map<const N: usize>(pairs: [(&str, Term); N]) -> Term {
        Term::map(pairs.map(|(key, value)| (Term::Atom(peerl_term::Atom::new(key).unwrap()), value)))
    }

    #[test]
    fn the_argument_and_the_field_are_named() {
        let tags = || Term::list([Term::from("a")]);
        let missing = Term::list([map([("size", Term::from(1))])]);
        assert_eq!(cause::<(Order,)>(missing), "argument 1: missing field tags");
        let second = Term::list([Term::from("x"), map([("tags", tags())])]);
        assert_eq!(cause::<(String, Order)>(second), "argument 2: missing field size");
        let wrong = Term::list([map([("tags", tags()), ("size", Term::from("big"))])]);
        let text = cause::<(Order,)>(wrong);
        assert!(text.starts_with("argument 1: field size: invalid type: "), "{text}");
        let deep = Term::list([map([("tags", Term::list([Term::from("a"), Term::from(7)])), ("size", 1.into())])]);
        let text = cause::<(Order,)>(deep);
        assert!(text.starts_with("argument 1: element 2 of field tags: invalid type: "), "{text}");
        let long = peerl_term::BigInt::from(15) << 800_000u32;
        let text = cause::<(Order,)>(Term::list([Term::map([(Term::from(long), Term::from(1))])]));
        assert!(text.starts_with("argument 1: ") && text.len() < 400, "{text}");
        let text = cause::<(u8, u8)>(Term::list([Term::from(1), Term::from(300)]));
        assert!(text.starts_with("argument 2: invalid value: "), "{text}");
    }
}
