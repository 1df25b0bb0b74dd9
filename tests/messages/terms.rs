//! Terms there and back: the result equals the original, as both sides judge.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, export, name};
use peerl_node::{Atom, Mfa, Node, NodeName, Term};
use peerl_term::arbitrary::{Kinds, term};
use peerl_test_support::{conformance, matrix};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const TERMS: usize = 20_000;

/// Additional terms that only OTP 29 supports.
const LATER_TERMS: usize = 2_000;

const BATCH: usize = 500;

/// Random terms, new ones each time.
fn random_terms(kinds: Kinds, count: usize) -> Vec<Term> {
    let mut seed = [0; 32];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    seed[..16].copy_from_slice(&now.to_le_bytes());
    println!("the seed of the terms: {seed:?}");
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let strategy = term(kinds);
    let terms = std::iter::repeat_with(|| strategy.new_tree(&mut runner).unwrap().current());
    terms.filter(|term| !has_zero_as_key(term)).take(count).collect()
}

/// Up to OTP 26, `0.0` and `-0.0` are the same key: a map with both ends the connection there.
fn has_zero_as_key(term: &Term) -> bool {
    let text = format!("{term:?}");
    text.contains("-0.0") && text.contains("=>")
}

/// Sent to the BEAM as a distribution message and also as a binary, which the BEAM decodes itself; it compares both.
/// Then back to this node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_terms_on_the_beam() {
    let stage = Stage::new();
    let common = random_terms(Kinds::Identifiers, TERMS);
    for otp in matrix() {
        let node = stage.hidden().await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        beam.load_module(
            "-module(judge). -export([judge/2]).
             judge(Terms, Binaries) ->
                 Decoded = [binary_to_term(B) || B <- Binaries],
                 Wrong = [I || {I, T, D} <- lists:zip3(lists:seq(1, length(Terms)), Terms, Decoded), T =/= D],
                 {Wrong, Terms}.",
        )
        .unwrap();
        // Records exist since OTP 29.
        let records = if otp.number() >= 29 { random_terms(Kinds::Text, LATER_TERMS) } else { Vec::new() };
        for terms in common.chunks(BATCH).chain(records.chunks(BATCH)) {
            let (wrong, back) = judged(&node, &peer, terms).await;
            assert_eq!(wrong, Term::nil());
            for (sent, came) in terms.iter().zip(back.as_list().unwrap()) {
                assert_eq!(sent, came);
            }
        }
        // Funs of missing modules. OTP 27 and later return them with another pid of their creator.
        if otp.number() >= 29 {
            for terms in random_terms(Kinds::All, LATER_TERMS).chunks(BATCH) {
                let (wrong, back) = judged(&node, &peer, terms).await;
                assert_eq!((wrong, back.as_list().unwrap().len()), (Term::nil(), terms.len()));
            }
            conformance::holds(otp, [43]);
        }
        conformance::holds(otp, [41, 42]);
    }
}

/// The indices of the terms that differ on the BEAM from their external format, and the terms.
async fn judged(node: &Node, peer: &NodeName, terms: &[Term]) -> (Term, Term) {
    let binaries = terms.iter().map(|term| Term::binary(term.encode()));
    let arguments = vec![Term::list(terms.to_vec()), Term::list(binaries)];
    let mfa = Mfa::with_terms(Atom::from_static("judge"), Atom::from_static("judge"), arguments);
    node.call(peer, mfa).timeout(LIMIT).await.unwrap()
}

/// Created by the BEAM, echoed by this node as a decoded and encoded term, and compared by the BEAM with `=:=`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beams_terms_here() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        beam.load_module(MAKER).unwrap();
        let echo = "
            Echo = fun(T) -> erpc:call(NODE, rust, echo, [T]) end,
            Rounds = lists:seq(1, 40),
            [] = [T || _ <- Rounds, T <- (fun(Ts) ->
                      [{A, B} || {A, B} <- lists:zip(Ts, Echo(Ts)), A =/= B orelse term_to_binary(A) =/= term_to_binary(B), not is_map(A)]
                  end)([maker:term(6) || _ <- lists:seq(1, 500)])],
            [] = [T || T <- maker:special(), Echo(T) =/= T], ok";
        let echo = echo.replace("NODE", &format!("'{}'", node.name()));
        let limit = Duration::from_secs(120);
        assert_eq!(beam.eval_within_async(echo, limit).await.unwrap(), "ok");
        let _ = eval(&beam, &node, "node()").await;
        conformance::holds(otp, [41, 42, 44]);
    }
}

/// Erlang code that creates random terms of every kind, and special ones.
const MAKER: &str = r#"
-module(maker).
-export([term/1, special/0]).

term(0) -> leaf(rand:uniform(13));
term(Depth) ->
    case rand:uniform(8) of
        1 -> list_to_tuple(terms(Depth));
        2 -> terms(Depth);
        3 -> terms(Depth) ++ term(Depth - 1);
        4 -> maps:from_list([{term(Depth - 1), V} || V <- terms(Depth)]);
        5 -> F = term(Depth - 1), fun() -> {F, Depth} end;
        _ -> term(0)
    end.

terms(Depth) -> [term(Depth - 1) || _ <- lists:seq(1, rand:uniform(5) - 1)].

leaf(1) -> rand:uniform(256) - 1;
leaf(2) -> rand:uniform(1 bsl 34) - (1 bsl 33);
leaf(3) -> (rand:uniform(1 bsl 60) bsl rand:uniform(4000)) * (2 * rand:uniform(2) - 3);
leaf(4) -> (rand:uniform() - 0.5) * math:pow(10, rand:uniform(600) - 300);
leaf(5) -> lists:nth(rand:uniform(5), [ok, 'Elixir.Some', '', 'it\'s', 'größe']);
leaf(6) -> rand:bytes(rand:uniform(300) - 1);
leaf(7) -> <<X:64>> = rand:bytes(8), N = rand:uniform(63), <<X:N>>;
leaf(8) -> self();
leaf(9) -> make_ref();
leaf(10) -> hd(erlang:ports());
leaf(11) -> fun lists:reverse/1;
leaf(12) -> binary_to_list(rand:bytes(rand:uniform(20)));
leaf(13) -> [].

special() ->
    Long = binary_to_atom(binary:copy(<<"é"/utf8>>, 255)),
    [0, -1, 1 bsl 31, -(1 bsl 31), 1 bsl 63, (1 bsl 63) - 1, -(1 bsl 63), 1 bsl 64, 1 bsl 2047, 1 bsl 4095, -(1 bsl 4096),
     0.0, -0.0, 5.0e-324, 1.7976931348623157e308, Long, [Long, {Long}],
     lists:seq(1, 70000), binary_to_list(binary:copy(<<1>>, 65535)), binary_to_list(binary:copy(<<1>>, 65536)),
     list_to_tuple(lists:seq(1, 300)), maps:from_list([{N, N} || N <- lists:seq(1, 100)]),
     lists:foldl(fun(_, T) -> [T] end, [], lists:seq(1, 100000)),
     lists:foldl(fun(N, T) -> {N, T} end, [], lists:seq(1, 100000)),
     [list_to_atom("atom_" ++ integer_to_list(N)) || N <- lists:seq(1, 3000)],
     binary_part(binary:copy(<<7>>, 1000), 3, 900), <<1:1>>, <<0:7>>, <<5:13>>,
     spawn(fun() -> ok end), erlang:alias(), {alias, [alias | make_ref()]},
     fun special/0, fun(X) -> X end].
"#;
