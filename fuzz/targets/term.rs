#![no_main]
//! The external term format: whatever can be decoded has an encoding of its own, and is the same term after it.

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peerl_term::Term;

fuzz_target!(|input: &[u8]| {
    let Ok(term) = Term::decode(&Bytes::copy_from_slice(input)) else { return };
    let encoded = term.encode();
    let again = Term::decode(&Bytes::from(encoded.clone())).expect("an encoding can be decoded");
    assert_eq!(again, term);
    assert_eq!(again.cmp(&term), std::cmp::Ordering::Equal);
    assert_eq!(again.encode(), encoded);
    assert!(term.to_string() == again.to_string());
});
