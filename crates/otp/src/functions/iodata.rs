//! Erlang's `iodata()`: a binary, or a list of bytes, binaries and such lists.

use peerl_term::{Binary, Term};

/// The bytes of a term that is iodata, at any nesting depth.
pub(super) fn collect(term: Term) -> Option<Binary> {
    if let Term::Binary(bytes) = term {
        return Some(bytes);
    }
    let mut collected = Vec::new();
    let mut open = match term {
        Term::List(_) | Term::ImproperList(_) => vec![term],
        _ => return None,
    };
    // The next element is on top of the stack.
    while let Some(term) = open.pop() {
        match term {
            Term::Integer(byte) => collected.push(u8::try_from(byte).ok()?),
            Term::Binary(bytes) => collected.extend_from_slice(&bytes),
            Term::List(list) => open.extend(list.into_iter().rev()),
            Term::ImproperList(list) => {
                // A byte cannot be the tail.
                if !matches!(list.tail(), Term::Binary(_)) {
                    return None;
                }
                open.push(list.tail().clone());
                open.extend(list.elements().iter().rev().cloned());
            }
            _ => return None,
        }
    }
    Some(collected.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(term: Term) -> Option<Vec<u8>> {
        collect(term).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn bytes_in_their_order() {
        let byte = |byte: u8| Term::from(byte);
        assert_eq!(collected(Term::from("ab")), Some(b"ab".to_vec()));
        assert_eq!(collected(Term::nil()), Some(Vec::new()));
        let nested = Term::list([byte(b'a'), Term::list([Term::from("bc"), Term::list([byte(b'd')])]), byte(b'e')]);
        assert_eq!(collected(nested), Some(b"abcde".to_vec()));
        let improper = Term::list_with_tail([byte(b'a'), Term::from("b")], Term::from("cd"));
        assert_eq!(collected(improper), Some(b"abcd".to_vec()));
        assert_eq!(collected(Term::list_with_tail([byte(1)], byte(2))), None);
        for wrong in [byte(1), Term::atom("a"), Term::list([Term::from(256)]), Term::list([Term::atom("a")])] {
            assert_eq!(collected(wrong), None);
        }
        let deep = (0..1_000_000).fold(Term::nil(), |inner, _| Term::list([inner]));
        assert_eq!(collected(deep), Some(Vec::new()));
    }
}
