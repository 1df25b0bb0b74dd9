//! The tables of links, monitors and aliases are empty after any number of them, at both sides.

use std::collections::HashSet;

use crate::stage::{LIMIT, Stage, eval_with, eventually, message, name, until};
use peerl::testing::Tables;
use peerl::{Atom, Mfa, Node, Pid, Term};
use peerl_test_support::{Beam, matrix};

/// How many cycles each side makes, each of a link, a monitor and an alias: 102,000 of them in all.
const CYCLES: i64 = 17_000;

const PROGRAM: &str = "
    -module(cycles).
    -export([sleeper/0, run/2, open/2, tables/1]).

    sleeper() -> spawn(fun Sleep() -> receive {From, Tag} -> From ! Tag, Sleep(); stop -> ok end end).

    run(Pid, Count) ->
        [cycle(Pid, N) || N <- lists:seq(1, Count)],
        Pid ! {links, element(2, process_info(self(), links)), element(2, process_info(self(), monitors))},
        done.

    cycle(Pid, N) ->
        Monitor = monitor(process, Pid),
        link(Pid),
        Alias = alias(),
        N rem 1000 =:= 0 andalso begin Pid ! {self(), Alias}, receive Alias -> ok end end,
        unlink(Pid),
        demonitor(Monitor, [flush]),
        unalias(Alias).

    %% Holds what the end of the connection is to take away.
    open(Pid, Count) ->
        Main = self(),
        Holder = spawn(fun() ->
            process_flag(trap_exit, true),
            [monitor(process, Pid) || _ <- lists:seq(1, Count)],
            Main ! {self(), open},
            receive stop -> ok end
        end),
        receive {Holder, open} -> Holder end.

    tables(Pid) ->
        Infos = [process_info(Pid, Item) || Item <- [links, monitors, monitored_by]],
        [length(List) || {_, List} <- Infos].
";

async fn call(node: &Node, beam: &Beam, function: &str, arguments: Vec<Term>) -> Term {
    let mfa = Mfa::with_terms(Atom::from_static("cycles"), Atom::new(function).unwrap(), arguments);
    node.call(&name(beam), mfa).timeout(LIMIT * 4).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cycles_leave_nothing_at_either_side() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        beam.load_module(PROGRAM).unwrap();
        let sleeper = call(&node, &beam, "sleeper", vec![]).await.as_pid().unwrap().clone();
        // What has just been read is still kept perhaps.
        eventually("nothing to be kept", || node.kept_bytes() == 0).await;
        let before = Tables::of(&node);

        let mut target = node.process();
        target.trap_exit(true);
        let pid = target.pid().clone();
        let theirs = async {
            let (node, beam) = (node.clone(), beam.clone());
            call(&node, &beam, "run", vec![pid.into(), CYCLES.into()]).await
        };
        let answers = async {
            // Each thousandth alias is used.
            for _ in 0..CYCLES / 1000 {
                let asked = message(&mut target).await;
                let [Term::Pid(_), Term::Reference(alias)] = asked.as_tuple().unwrap() else { panic!("{asked:?}") };
                target.send_to_alias(alias, &Term::from((**alias).clone())).await.unwrap();
            }
            let own = message(&mut target).await;
            assert_eq!(own.as_tuple().unwrap()[1..], [Term::nil(), Term::nil()], "links and monitors of the BEAM's");
        };
        let (done, (), ()) = tokio::join!(theirs, answers, our_cycles(&node, &sleeper));
        assert!(done.is_atom("done"));
        // The last signals may be on the way.
        eval_with(&beam, &node, &until("cycles:tables(P)", "[0,0,0]"), [("P", sleeper.clone().into())]).await;
        drop(target);
        eventually("empty tables", || Tables::of(&node) == before).await;
    }
}

async fn our_cycles(node: &Node, to: &Pid) {
    let mut process = node.process();
    process.trap_exit(true);
    let mut aliases = HashSet::new();
    for turn in 1..=CYCLES {
        let monitor = process.monitor(to).await;
        process.link(to).await;
        let alias = process.alias();
        if turn % 1000 == 0 {
            // The BEAM has taken all that was sent before.
            let asked = Term::tuple([process.pid().clone().into(), alias.clone().into()]);
            process.send_term(to, &asked).await.unwrap();
            assert_eq!(message(&mut process).await, alias.clone().into());
            assert!(aliases.insert(alias.clone()));
        }
        process.unlink(to);
        assert!(process.demonitor(&monitor));
        assert!(process.unalias(&alias));
    }
    assert!(process.try_receive().unwrap().is_none());
}

/// The end of the connection empties the tables, and tells each of what was there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_connection_empties_them() {
    const OPEN: usize = 2000;
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let before = Tables::of(&node);
        let beam = stage.beam(otp).await;
        beam.load_module(PROGRAM).unwrap();
        let sleeper = call(&node, &beam, "sleeper", vec![]).await.as_pid().unwrap().clone();
        let mut process = node.process();
        process.trap_exit(true);
        let count = i64::try_from(OPEN).unwrap();
        call(&node, &beam, "open", vec![process.pid().clone().into(), count.into()]).await;
        eventually("all monitors", || process.monitored_by().len() == OPEN).await;
        let mut monitors = HashSet::new();
        for _ in 0..OPEN {
            monitors.insert(process.monitor(&sleeper).await);
        }
        process.link(&sleeper).await;
        let ended: Vec<_> = (0..OPEN).map(|_| process.alias()).collect();
        beam.kill();
        for _ in 0..=OPEN {
            match tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap() {
                peerl::Message::Down(down) => {
                    assert!(down.reason.is_atom("noconnection"));
                    assert!(monitors.remove(&down.reference), "each once");
                }
                peerl::Message::Exit(exit) => assert_eq!(exit.from, sleeper),
                other => panic!("{other:?}"),
            }
        }
        assert!(monitors.is_empty() && process.monitored_by().is_empty());
        assert!(process.try_receive().unwrap().is_none());
        assert_eq!(Tables::of(&node).aliases, before.aliases + ended.len());
        drop(process);
        eventually("empty tables", || Tables::of(&node) == before).await;
    }
}
