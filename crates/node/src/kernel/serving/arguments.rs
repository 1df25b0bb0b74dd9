use peerl_term::{DecodeError, Decoder, RawTerm, Tag};

/// The arguments of a call: a proper list, not decoded yet.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(crate) list: RawTerm,
    pub(crate) arity: usize,
}

impl Arguments {
    /// Gives back what is no proper list.
    pub(crate) fn new(list: RawTerm) -> Result<Self, RawTerm> {
        match list.read(pass_list) {
            Ok(Some(arity)) => Ok(Self { list, arity }),
            _ => Err(list),
        }
    }

    /// Reads the next term of those in `raw`, at which the decoder stands. `None` if it is no proper list.
    pub(crate) fn read(decoder: &mut Decoder<'_>, raw: &RawTerm) -> Result<Option<Self>, DecodeError> {
        let start = decoder.position();
        let arity = pass_list(decoder)?;
        let list = || raw.part(start..decoder.position());
        Ok(arity.map(|arity| Self { list: list(), arity }))
    }
}

/// Passes over any term. Gives the number of its elements, if it is a proper list.
fn pass_list(decoder: &mut Decoder<'_>) -> Result<Option<usize>, DecodeError> {
    let mut elements = 0;
    loop {
        match decoder.peek_tag()? {
            Tag::NIL_EXT => {
                decoder.nil()?;
                return Ok(Some(elements));
            }
            Tag::STRING_EXT => return Ok(Some(elements + decoder.string()?.len())),
            Tag::LIST_EXT => {
                let count = decoder.list_header()?;
                for _ in 0..count {
                    decoder.skip_term()?;
                }
                elements += count;
            }
            _ => {
                decoder.skip_term()?;
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerl_term::Term;

    fn arity(term: &Term) -> Option<usize> {
        Arguments::new(RawTerm::encoded_from(term)).ok().map(|arguments| arguments.arity)
    }

    #[test]
    fn a_proper_list_in_any_form() {
        assert_eq!(arity(&Term::nil()), Some(0));
        assert_eq!(arity(&Term::charlist("abc")), Some(3));
        assert_eq!(arity(&Term::list([Term::list([Term::from(1)]), Term::from("a")])), Some(2));
        assert_eq!(arity(&Term::atom("a")), None);
        assert_eq!(arity(&Term::list_with_tail([Term::from(1)], Term::from(2))), None);
    }
}
