//! Aliases of processes, between peerl nodes and BEAM nodes.

mod stage;

use peerl_node::{Message, Process, Term};
use peerl_test_support::{conformance, matrix};
use stage::{LIMIT, Stage, eval, name};

async fn next(process: &mut Process) -> Term {
    match tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap() {
        Message::User(payload) => payload.decode().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beam_sends_to_an_alias_until_it_is_taken_back() {
    let stage = Stage::new();
    let node = stage.node().await;
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        // A process of the BEAM sends to the alias on request.
        let echo = "register(echo, spawn(fun F() -> receive {To, Alias, Message} -> Alias ! Message, \
                    To ! sent, F() end end))";
        eval(&beam, &node, echo).await;
        let alias = process.alias();
        let tell = |message: &'static str| {
            Term::tuple([process.pid().clone().into(), alias.clone().into(), Term::atom(message)])
        };
        let peer = name(&beam);
        let (first, second) = (tell("first"), tell("second"));
        process.send_term(("echo", &peer), &first).await.unwrap();
        assert_eq!(next(&mut process).await, Term::atom("first"));
        assert_eq!(next(&mut process).await, Term::atom("sent"));
        assert!(process.unalias(&alias));
        assert!(!process.unalias(&alias));
        process.send_term(("echo", &peer), &second).await.unwrap();
        assert_eq!(next(&mut process).await, Term::atom("sent"), "the message to the old alias vanished");
        conformance::holds(otp, [37]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_sends_to_aliases_of_the_beam_and_of_its_own_node() {
    let stage = Stage::new();
    let node = stage.node().await;
    let mut process = node.process();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let giver = "register(giver, spawn(fun() -> A = alias(), receive {To, _} -> To ! A, \
                     receive M -> To ! {got, M} end end end))";
        eval(&beam, &node, giver).await;
        let ask = Term::tuple([process.pid().clone().into(), Term::atom("alias")]);
        process.send_term(("giver", &name(&beam)), &ask).await.unwrap();
        let alias = next(&mut process).await.as_reference().unwrap().clone();
        process.send_to_alias(&alias, &Term::from(7)).await.unwrap();
        assert_eq!(next(&mut process).await, Term::tuple([Term::atom("got"), Term::from(7)]));
    }
    let own = process.alias();
    process.send_to_alias(&own, &Term::from(8)).await.unwrap();
    assert_eq!(next(&mut process).await, Term::from(8));
    let other = node.process();
    let theirs = other.alias();
    drop(other);
    process.send_to_alias(&theirs, &Term::from(9)).await.unwrap();
}
