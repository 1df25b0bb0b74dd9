//! Thousands of random terms, on which real BEAM nodes and peerl agree: text, encoding, order.

use std::time::Duration;

use peerl_term::arbitrary::{Kinds, term};
use peerl_term::text::{Syntax, elixir, erlang};
use peerl_term::{List, Term};
use peerl_test_support::{Beam, Otp};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const LIMIT: Duration = Duration::from_secs(120);

fn random(kinds: Kinds, count: usize) -> Vec<Term> {
    let mut runner = TestRunner::deterministic();
    let strategy = term(kinds);
    let make = |_| strategy.new_tree(&mut runner).map(|tree| tree.current());
    (0..count).map(make).collect::<Result<_, _>>().expect("the strategy rejects nothing")
}

/// Evaluates an expression in which `L` is the list of these terms; its value is a list.
fn evaluate(beam: &Beam, expression: &str, terms: impl IntoIterator<Item = Term>) -> List {
    let terms = Term::list(terms).encode();
    let value = beam.eval_external(expression, &[("L", &terms)], LIMIT).unwrap_or_else(|error| panic!("{error}"));
    match Term::decode(&value.into()) {
        Ok(Term::List(list)) => list,
        other => panic!("not a list: {other:?}"),
    }
}

fn assert_none(failures: &List) {
    let shown: Vec<String> = failures.iter().take(5).map(|term| term.to_string().chars().take(600).collect()).collect();
    assert!(failures.is_empty(), "{} failures, among them:\n{}", failures.len(), shown.join("\n"));
}

/// Reads a BEAM's texts of terms, `each` texts for a term.
fn assert_reads(syntax: Syntax, terms: &[Term], texts: &List, each: usize) {
    assert_eq!(texts.len(), terms.len() * each);
    for (term, texts) in terms.iter().zip(texts.chunks(each)) {
        for text in texts {
            let text = text.as_binary().and_then(|bytes| bytes.as_str()).expect("text is UTF-8");
            match syntax.parse(text) {
                Ok(read) => assert_eq!(read, *term, "{text}"),
                Err(error) => panic!("{error}\n{text}"),
            }
        }
    }
}

#[test]
fn erlang_reads_our_text() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    let terms = random(Kinds::Literals, 4000);
    let pairs = terms.iter().map(|term| Term::tuple([term.clone(), erlang::display(term).to_string().into()]));
    let failures = evaluate(
        &beam,
        "Read = fun(Text) ->
             {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text) ++ \".\"),
             {ok, Term} = erl_parse:parse_term(Tokens),
             Term
         end,
         [{Text, catch Read(Text)} || {Term, Text} <- L, (catch Read(Text)) =/= Term]",
        pairs,
    );
    assert_none(&failures);
}

#[test]
fn we_read_erlangs_text() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    let mut terms = random(Kinds::Literals, 3000);
    // OTP writes the names of funs as if their UTF-8 were Latin-1.
    let is_ascii = |text: &str| text.is_ascii() && !text.contains("\\x{");
    terms.retain(|term| !term.to_string().contains("fun ") || is_ascii(&term.to_string()));
    let texts = evaluate(
        &beam,
        "[unicode:characters_to_binary(io_lib:format(Format, [Term])) ||
          Term <- L, Format <- [\"~tw\", \"~w\", \"~tp\", \"~p\", \"~0tp\"]]",
        terms.clone(),
    );
    assert_reads(Syntax::Erlang, &terms, &texts, 5);
}

#[test]
fn erlang_encodes_to_the_same_bytes() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    let terms = random(Kinds::Identifiers, 6000);
    let pairs = terms.iter().map(|term| Term::tuple([term.clone(), Term::binary(term.encode())]));
    let failures = evaluate(
        &beam,
        "[{Term, Bytes, term_to_binary(Term, [{minor_version, 2}])} ||
          {Term, Bytes} <- L, term_to_binary(Term, [{minor_version, 2}]) =/= Bytes]",
        pairs,
    );
    assert_none(&failures);
}

#[test]
fn erlang_sorts_to_the_same_order() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    // Sorted twice: alone, and inside terms that are compared element by element.
    let mut terms = random(Kinds::Identifiers, 6000);
    let nested = random(Kinds::Identifiers, 2000);
    terms.extend(nested.chunks(2).map(|pair| Term::tuple(pair.to_vec())));
    let sorted = evaluate(&beam, "lists:sort(L)", terms.clone());
    terms.sort_by(Term::compare_numeric);
    assert_eq!(sorted.len(), terms.len());
    for (index, (theirs, ours)) in sorted.iter().zip(&terms).enumerate() {
        assert!(theirs.compare_numeric(ours).is_eq(), "at {index} Erlang has {theirs}\nand we have {ours}");
    }
}

#[test]
fn elixir_reads_our_text() {
    let beam = Beam::elixir(Otp::V25).undistributed().start();
    let mut terms = random(Kinds::Literals, 2000);
    // In source code, Elixir limits atoms to 255 bytes, where OTP has 255 characters; and Elixir 1.14 does not
    // interpret escapes in the name of a quoted function.
    terms.retain(|term| {
        let text = elixir::display(term).to_string();
        text.replace("\\\"", "").split('"').all(|part| part.len() <= 255)
            && !(text.contains(".\"") && text.contains('\\'))
    });
    let pairs = terms.iter().map(|term| Term::tuple([term.clone(), elixir::display(term).to_string().into()]));
    let failures = evaluate(
        &beam,
        "Read = fun(Text) -> element(1, 'Elixir.Code':eval_string(Text)) end,
         [{Text, catch Read(Text)} || {Term, Text} <- L, (catch Read(Text)) =/= Term]",
        pairs,
    );
    assert_none(&failures);
}

#[test]
fn we_read_elixirs_text() {
    let beam = Beam::elixir(Otp::V25).undistributed().start();
    let mut terms = random(Kinds::Literals, 3000);
    // `inspect` of `fun m:undefined/1` is "&:m.nil/1".
    terms.retain(|term| !term.to_string().contains("fun ") || !term.to_string().contains("undefined"));
    let texts = evaluate(
        &beam,
        "['Elixir.Kernel':inspect(Term, [{limit, infinity}, {printable_limit, infinity} | Options]) ||
          Term <- L, Options <- [[], [{width, infinity}]]]",
        terms.clone(),
    );
    assert_reads(Syntax::Elixir, &terms, &texts, 2);
}
