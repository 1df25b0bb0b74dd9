#![no_main]
//! The external term format: whatever can be decoded has an encoding of its own, and is the same term after it. What it takes can be
//! measured before, in steps of any size.

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peerl_term::{Measure, Term};

/// Measures a term in steps of so many elements; returns where it ends, and its memory.
fn measure(term: &[u8], step: usize) -> (usize, usize) {
    let mut measure = Measure::new();
    while !measure.advance(term, step) {}
    (measure.position(), measure.memory())
}

fuzz_target!(|input: &[u8]| {
    let (Some(body), Some(step)) = (input.get(1..), input.last()) else { return };
    let measured = measure(body, usize::MAX);
    assert_eq!(measure(body, usize::from(*step)), measured);
    let Ok(term) = Term::decode(&Bytes::copy_from_slice(input)) else { return };
    if input[1] != 80 {
        assert_eq!(measured.0, body.len(), "it is measured to its end");
    }
    let encoded = term.encode();
    let again = Term::decode(&Bytes::from(encoded.clone())).expect("an encoding can be decoded");
    assert_eq!(again, term);
    assert_eq!(again.cmp(&term), std::cmp::Ordering::Equal);
    assert_eq!(again.encode(), encoded);
    assert!(term.to_string() == again.to_string());
});
