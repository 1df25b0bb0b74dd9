//! Properties of all terms.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use peerl_term::Term;
use peerl_term::arbitrary::{Kinds, term};
use peerl_term::text::{Syntax, elixir, erlang, json};
use proptest::collection::vec;
use proptest::prelude::*;

fn hash(term: &Term) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same(term in term(Kinds::All)) {
        let wire = term.encode();
        let decoded = Term::decode(&wire.clone().into()).unwrap();
        prop_assert_eq!(&decoded, &term);
        prop_assert_eq!(hash(&decoded), hash(&term));
        prop_assert_eq!(decoded.cmp(&term), Ordering::Equal);
        prop_assert_eq!(decoded.encode(), wire);
    }

    #[test]
    fn order_is_total_and_agrees_with_equality(terms in vec(term(Kinds::All), 3)) {
        for a in &terms {
            for b in &terms {
                prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
                prop_assert_eq!(a.cmp(b) == Ordering::Equal, a == b);
                prop_assert_eq!(a.compare_keys(b) == Ordering::Equal, a == b);
                prop_assert_eq!(a.compare_numeric(b), b.compare_numeric(a).reverse());
                for c in &terms {
                    if a <= b && b <= c {
                        prop_assert!(a <= c, "{} <= {} <= {}", a, b, c);
                    }
                    if a.compare_keys(b).is_le() && b.compare_keys(c).is_le() {
                        prop_assert!(a.compare_keys(c).is_le());
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_ordered_whatever_their_kind(
        numbers in vec(prop_oneof![peerl_term::arbitrary::integer(), peerl_term::arbitrary::float()], 3)
    ) {
        let (a, b, c) = (&numbers[0], &numbers[1], &numbers[2]);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
    }

    #[test]
    fn erlang_text_reads_as_the_same(term in term(Kinds::Text)) {
        let text = erlang::display(&term).to_string();
        match erlang::parse(&text) {
            Ok(read) => prop_assert_eq!(read, term),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn elixir_text_reads_as_the_same(term in term(Kinds::Text)) {
        let text = elixir::display(&term).to_string();
        match elixir::parse(&text) {
            Ok(read) => prop_assert_eq!(read, term),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn json_reads_as_the_same(term in term(Kinds::All)) {
        let text = json::to_string(&term).unwrap();
        prop_assert_eq!(json::parse(&text).unwrap(), term.clone());
        prop_assert_eq!(json::from_value(&json::to_value(&term).unwrap()).unwrap(), term.clone());
        prop_assert!(json::parse(&json::to_plain_string(&term).unwrap()).is_ok());
    }

    #[test]
    fn calls_read_as_the_same(arguments in vec(term(Kinds::Literals), 0..4), item in term(Kinds::Literals)) {
        for (syntax, head) in [(Syntax::Erlang, "m:f("), (Syntax::Elixir, ":m.f(")] {
            let shown: Vec<String> = arguments.iter().map(|term| syntax.display(term).to_string()).collect();
            let call = syntax.parse_call(&format!("{head}{})", shown.join(", "))).unwrap();
            prop_assert_eq!(&call.arguments, &arguments);
            let template = format!("{head}{{_, [_]}}{}{})", if shown.is_empty() { "" } else { ", " }, shown.join(", "));
            let call = syntax.parse_template(&template).unwrap().fill(&item);
            prop_assert_eq!(&call.arguments[0], &Term::tuple([item.clone(), Term::list([item.clone()])]));
            prop_assert_eq!(&call.arguments[1..], &arguments[..]);
        }
    }

    #[test]
    fn no_text_makes_a_parser_fail_hard(text in "[a-zA-Z0-9_{}\\[\\]()<>#%&:;.,|=~?$\"'\\\\/ \n-]{0,40}", any in any::<String>()) {
        for text in [&text, &any] {
            for syntax in [Syntax::Erlang, Syntax::Elixir] {
                if let Ok(term) = syntax.parse(text) {
                    prop_assert_eq!(syntax.parse(&syntax.display(&term).to_string()).unwrap(), term);
                }
                let _ = syntax.parse_call(text);
                let _ = syntax.parse_template(text);
                Syntax::detect_call(text);
            }
        }
    }
}
