//! A comparison with the `eetf` crate, where that is correct.
//!
//! Excluded are its errors and gaps: it rejects atoms in Latin-1, encodes `[-1, 2]` as `[255, 2]`, writes a wrong
//! length for lists of more than 65,535 bytes, has no records, treats `0.0` and `-0.0` as the same key, and hashes
//! equal maps to different values, so that maps with maps as keys differ from their equals.

use std::io::Cursor;

use peerl_term::Term;
use peerl_term::arbitrary::{Kinds, term};
use proptest::prelude::*;

fn has_list_of_negatives(term: &Term) -> bool {
    let is_small = |term: &Term| term.as_integer().is_some_and(|value| value <= 255);
    match term {
        Term::List(list) => {
            list.iter().all(is_small) && !list.is_empty() && list.to_bytes().is_none()
                || list.iter().any(has_list_of_negatives)
        }
        Term::Tuple(elements) => elements.iter().any(has_list_of_negatives),
        Term::ImproperList(list) => list.elements().iter().chain([list.tail()]).any(has_list_of_negatives),
        Term::Map(map) => map.iter().any(|(key, value)| has_list_of_negatives(key) || has_list_of_negatives(value)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn eetf_decodes_what_we_encode(term in term(Kinds::Identifiers)) {
        prop_assume!(!term.to_string().contains("-0.0"));
        let theirs = eetf::Term::decode(Cursor::new(term.encode())).unwrap();
        if term.to_string().matches("#{").count() <= 1 {
            prop_assert_eq!(&eetf::Term::try_from(&term).unwrap(), &theirs);
        }
        prop_assert_eq!(Term::try_from(&theirs).unwrap(), term);
    }

    #[test]
    fn we_decode_what_eetf_encodes(term in term(Kinds::Identifiers)) {
        prop_assume!(!term.to_string().contains("-0.0"));
        prop_assume!(!has_list_of_negatives(&term));
        let mut wire = Vec::new();
        eetf::Term::try_from(&term).unwrap().encode(&mut wire).unwrap();
        prop_assert_eq!(Term::decode(&wire.into()).unwrap(), term);
    }
}
