use peerl_term::{Measure, Term};

/// About how many bytes of memory a term takes.
pub(crate) fn term_memory(term: &Term) -> usize {
    let (bytes, mut measure) = (term.encode(), Measure::new());
    while !measure.advance(&bytes[1..], usize::MAX) {}
    measure.memory()
}
