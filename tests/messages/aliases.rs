//! Aliases of processes, between peerl nodes and BEAM nodes.

use crate::stage::{LIMIT, Stage, eval, eval_with, name};
use peerl_node::{Message, Node, NotSent, Priority, Process, Reference, Term};
use peerl_test_support::{Beam, Otp, conformance, matrix};

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

/// A process of the BEAM that gives an alias, and tells what came to it, in the order of its mailbox, once it is told to.
const KEEPER: &str = "register(keeper, spawn(fun Keeper() ->
    process_flag(trap_exit, true),
    receive {To, give, Options} -> To ! {alias, alias(Options)} end,
    receive tell -> ok end,
    To ! {kept, (fun Rest() -> receive M -> [M | Rest()] after 0 -> [] end end)()},
    Keeper()
end))";

fn messages(terms: &[&'static str]) -> Term {
    Term::list(terms.iter().map(|term| Term::atom(term)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_priority_and_exit_signals() {
    let stage = Stage::new();
    let node = stage.node().await;
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        let (peer, pid) = (name(&beam), process.pid().clone());
        eval(&beam, &node, KEEPER).await;
        let has_priority = otp >= Otp::V29;
        for options in if has_priority { vec![messages(&[]), messages(&["priority"])] } else { vec![messages(&[])] } {
            let overtakes = options != messages(&[]);
            let request = Term::tuple([pid.clone().into(), Term::atom("give"), options]);
            process.send_term(("keeper", &peer), &request).await.unwrap();
            let given = next(&mut process).await;
            let alias: Reference = given.as_tuple().unwrap()[1].as_reference().unwrap().clone();
            let exit = process.exit_alias(Priority::Ordinary, &alias, &Term::atom("late"));
            assert_eq!(exit, if has_priority { Ok(()) } else { Err(NotSent::Unsendable) });
            process.send_to_alias(&alias, &Term::atom("first")).await.unwrap();
            process.send_to_alias_with(Priority::Ordinary, &alias, &Term::atom("second")).await.unwrap();
            process.send_to_alias_with(Priority::High, &alias, &Term::atom("urgent")).await.unwrap();
            if has_priority {
                process.exit_alias(Priority::High, &alias, &Term::atom("alarm")).unwrap();
            }
            process.send_term(("keeper", &peer), &Term::atom("tell")).await.unwrap();
            let exit = |reason| Term::tuple([Term::atom("EXIT"), pid.clone().into(), Term::atom(reason)]);
            let [first, second, urgent] = ["first", "second", "urgent"].map(Term::atom);
            let kept = match (has_priority, overtakes) {
                (false, _) => vec![first, second, urgent],
                (true, false) => vec![exit("late"), first, second, urgent, exit("alarm")],
                (true, true) => vec![urgent, exit("alarm"), exit("late"), first, second],
            };
            assert_eq!(next(&mut process).await, Term::tuple([Term::atom("kept"), Term::list(kept)]), "{otp:?}");
        }
        if has_priority {
            exits_by_alias(&beam, &node, &mut process).await;
        }
        beam.kill();
    }
    // A process of the same node.
    let (process, mut other) = (node.process(), node.process());
    let (alias, taken_back) = (other.alias(), other.alias());
    other.unalias(&taken_back);
    process.exit_alias(Priority::High, &taken_back, &Term::atom("nobody")).unwrap();
    process.send_to_alias_with(Priority::High, &alias, &Term::from(1)).await.unwrap();
    assert_eq!(next(&mut other).await, Term::from(1));
    process.exit_alias(Priority::Ordinary, &alias, &Term::atom("over")).unwrap();
    let ended = tokio::time::timeout(LIMIT, other.receive()).await.unwrap();
    assert_eq!(ended.unwrap_err().reason, Term::atom("over"));
    let away = Reference::new(peerl_node::Atom::from_static("nobody@127.0.0.1"), 1, &[1, 2, 3]).unwrap();
    assert_eq!(process.exit_alias(Priority::Ordinary, &away, &Term::atom("x")), Err(NotSent::NotConnected));
}

/// One that traps no exit signals ends with the reason, or as killed; by an alias that is none any more nothing happens.
async fn exits_by_alias(beam: &Beam, node: &Node, process: &mut Process) {
    let pid = process.pid().clone();
    for (given, reason, expected) in [
        ("alias()", "over", Some("over")),
        ("alias()", "kill", Some("killed")),
        ("alias([priority])", "over", Some("over")),
        ("alias()", "normal", None),
        ("begin A = alias(), unalias(A), A end", "over", None),
    ] {
        let start = format!(
            "spawn(fun() -> register(victim, self()), receive {{To, give}} -> To ! {given} end, \
             receive {{To, stop}} -> ok end end), (fun Wait() -> whereis(victim) =/= undefined orelse Wait() end)()"
        );
        eval(beam, node, &start).await;
        let monitor = process.monitor((peerl_node::Atom::from_static("victim"), name(beam))).await;
        let ask = |what| Term::tuple([pid.clone().into(), Term::atom(what)]);
        process.send_term(("victim", &name(beam)), &ask("give")).await.unwrap();
        let alias = next(process).await.as_reference().unwrap().clone();
        process.exit_alias(Priority::Ordinary, &alias, &Term::atom(reason)).unwrap();
        // What came too late for this one would be for the next of this name.
        if expected.is_none() {
            process.send_term(("victim", &name(beam)), &ask("stop")).await.unwrap();
        }
        let down = tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap();
        let Message::Down(down) = down else { panic!("{down:?}") };
        assert_eq!(down.reference, monitor);
        assert_eq!(down.reason.decode().unwrap(), Term::atom(expected.unwrap_or("normal")), "{given} {reason}");
    }
}

/// What comes to a process of ours by an alias that allows priority, from a process of this node or of a BEAM.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priority_alias_of_ours() {
    let stage = Stage::new();
    let node = stage.node().await;
    let sender = node.process();
    let releases = matrix().into_iter().filter(|otp| *otp >= Otp::V29).map(Some);
    for otp in releases.chain([None]) {
        let mut process = node.process();
        process.trap_exit(true);
        let (pid, urgent, ordinary) = (process.pid().clone(), process.priority_alias(), process.alias());
        let beam = match otp {
            Some(otp) => Some(stage.beam(otp).await),
            None => None,
        };
        if let Some(beam) = &beam {
            let send = "P ! first, erlang:send(Ordinary, second, [priority]), erlang:send(Urgent, urgent, [priority]),
                        exit(Urgent, alarm, [priority]), exit(Urgent, later), Urgent ! third,
                        erlang:send(Urgent, {urgent, 2}, [priority]), self()";
            let bindings = [("P", pid.into()), ("Ordinary", ordinary.into()), ("Urgent", urgent.into())];
            eval_with(beam, &node, send, bindings).await;
        } else {
            let [first, second, alarm, later, third] = ["first", "second", "alarm", "later", "third"].map(Term::atom);
            sender.send_term(&pid, &first).await.unwrap();
            sender.send_to_alias_with(Priority::High, &ordinary, &second).await.unwrap();
            sender.send_to_alias_with(Priority::High, &urgent, &Term::atom("urgent")).await.unwrap();
            sender.exit_alias(Priority::High, &urgent, &alarm).unwrap();
            sender.exit_alias(Priority::Ordinary, &urgent, &later).unwrap();
            sender.send_to_alias(&urgent, &third).await.unwrap();
            sender.send_to_alias_with(Priority::High, &urgent, &(Term::atom("urgent"), 2)).await.unwrap();
        }
        crate::stage::eventually("all is there", || process.queued() == 7).await;
        let mut received = Vec::new();
        while let Some(message) = process.try_receive().unwrap() {
            received.push(match message {
                Message::User(payload) => payload.decode().unwrap().to_string(),
                Message::Exit(exit) => format!("exit {}", exit.reason.decode().unwrap()),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(received, ["urgent", "exit alarm", "{urgent,2}", "first", "second", "exit later", "third"]);
        // Those that came with priority are gone: what comes next is in order again.
        for number in 0..3 {
            process.send_term(process.pid(), &Term::from(number)).await.unwrap();
        }
        for number in 0..3 {
            assert_eq!(next(&mut process).await, Term::from(number));
        }
    }
}
