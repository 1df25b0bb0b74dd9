use peerl_term::{Measure, RawTerm, Term};

/// About how many bytes of memory a term takes, of which nothing is shared with other terms.
pub(crate) fn term_memory(term: &Term) -> usize {
    let (bytes, mut measure) = (term.encode(), Measure::new());
    while !measure.advance(&bytes[1..], usize::MAX) {}
    // Large binaries share the encoded bytes.
    bytes.len() + measure.memory()
}

/// A term to be kept for long. A small binary of a message would keep the whole message.
pub(crate) fn to_keep(term: &Term) -> Term {
    match term {
        Term::Integer(_) | Term::Atom(_) | Term::Pid(_) | Term::Reference(_) => term.clone(),
        _ => RawTerm::encoded_from(term).decode().unwrap_or_else(|_| term.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_and_shares_nothing() {
        let payload = RawTerm::encoded_from(&Term::tuple([
            Term::Binary(vec![7; 5000].into()),
            Term::Binary(vec![7; 50_000].into()),
        ]));
        let kept = {
            let message = payload.decode().unwrap();
            to_keep(&message.as_tuple().unwrap()[0])
        };
        assert!((5000..6000).contains(&term_memory(&kept)), "{}", term_memory(&kept));
        let bytes = payload.bytes().clone();
        drop(payload);
        assert!(bytes.try_into_mut().is_ok(), "the message is kept with a part of it");
    }
}
