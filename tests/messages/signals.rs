//! Monitors, links and exit signals between processes of this node and of a BEAM.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, atom, eval, eval_with, eventually, expect, message, name, until};
use peerl_node::{Atom, Destination, Node, Pid, Process, Term};
use peerl_test_support::{Beam, conformance, matrix};

/// A process of the BEAM that sleeps until it gets a message with its exit reason.
async fn sleeper(beam: &Beam, process: &mut Process, node: &Node) -> Pid {
    let spawn = "Pid = spawn(fun() -> receive {exit, Reason} -> exit(Reason) end end), Me ! Pid, ok";
    eval_with(beam, node, spawn, [("Me", process.pid().clone().into())]).await;
    message(process).await.as_pid().unwrap().clone()
}

fn exit_message(reason: Term) -> Term {
    Term::tuple([Term::atom("exit"), reason])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beam_monitors_our_processes() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;

        // Unknown processes.
        expect(
            &beam,
            &node,
            "R = monitor(process, {nobody, NODE}), receive {'DOWN', R, process, {nobody, NODE}, Why} -> Why end",
            "noproc",
        )
        .await;
        let gone = node.process().pid().clone();
        let down = "R = monitor(process, P), receive {'DOWN', R, process, P, Why} -> Why end";
        assert_eq!(eval_with(&beam, &node, down, [("P", gone.into())]).await, "noproc");

        // By pid and by name, with the reason.
        for by in ["P", "{phoenix, NODE}"] {
            let process = node.process();
            process.register(Atom::from_static("phoenix")).unwrap();
            let pid = process.pid().clone();
            let down = "R = monitor(process, BY), P ! ready,
                        receive {'DOWN', R, process, BY, Why} -> Why end";
            let ender = tokio::spawn(async move {
                let mut process = process;
                assert_eq!(message(&mut process).await, Term::atom("ready"));
                process.exit(&Term::tuple([Term::atom("burnt"), Term::from(7)]));
            });
            let down = eval_with(&beam, &node, &down.replace("BY", by), [("P", pid.into())]).await;
            assert_eq!(down, "{burnt,7}");
            ender.await.unwrap();
            assert_eq!(node.whereis("phoenix"), None);
        }

        // A removed monitor sends nothing; neither does one whose watcher has ended.
        let mut process = node.process();
        let demonitor = "
            W = spawn(fun() -> monitor(process, P), P ! watching end),
            R = monitor(process, P), true = demonitor(R), P ! demonitored, W ! late,
            receive {'DOWN', R, _, _, _} -> late after 0 -> none end";
        let result = eval_with(&beam, &node, demonitor, [("P", process.pid().clone().into())]).await;
        assert_eq!(result, "none");
        message(&mut process).await;
        message(&mut process).await;
        drop(process);
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        conformance::holds(otp, [24, 25, 26, 27]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_processes_monitor_the_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        let down = |reference: peerl_node::Reference, object: Term, reason: Term| {
            Term::tuple([Term::atom("DOWN"), reference.into(), Term::atom("process"), object, reason])
        };

        let nobody = process.monitor(("nobody", &name(&beam))).await;
        let by_name = Term::tuple([Term::atom("nobody"), atom(beam.name())]);
        assert_eq!(message(&mut process).await, down(nobody, by_name, Term::atom("noproc")));

        let pid = sleeper(&beam, &mut process, &node).await;
        let reference = process.monitor(&pid).await;
        process.send_term(&pid, &exit_message(Term::from("why"))).await.unwrap();
        assert_eq!(message(&mut process).await, down(reference, pid.clone().into(), Term::from("why")));
        let again = process.monitor(&pid).await;
        assert_eq!(message(&mut process).await, down(again, pid.into(), Term::atom("noproc")));

        // A removed monitor leaves nothing on the BEAM.
        let pid = sleeper(&beam, &mut process, &node).await;
        let reference = process.monitor(&pid).await;
        let monitored_by = |count| until("length(element(2, process_info(P, monitored_by)))", count);
        eval_with(&beam, &node, &monitored_by("1"), [("P", pid.clone().into())]).await;
        assert!(process.demonitor(&reference));
        assert!(!process.demonitor(&reference));
        let watched = process.monitor(("init", &name(&beam))).await;
        eval_with(&beam, &node, &monitored_by("0"), [("P", pid.clone().into())]).await;
        // The end of the watcher removes its monitors.
        let count = "lists:sum([1 || W <- element(2, process_info(whereis(init), monitored_by)), node(W) =/= node()])";
        expect(&beam, &node, &until(count, "1"), "ok").await;
        drop(process);
        expect(&beam, &node, &until(count, "0"), "ok").await;
        drop(watched);

        // An unreachable node.
        let mut process = node.process();
        process.monitor(Destination::Remote(Atom::from_static("x"), "nobody@127.0.0.1".parse().unwrap())).await;
        let Term::Tuple(down) = message(&mut process).await else { panic!() };
        assert_eq!(down[4], Term::atom("noconnection"));
        conformance::holds(otp, [24, 25, 26, 27]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let exit = |from: &Pid, reason| Term::tuple([Term::atom("EXIT"), from.clone().into(), reason]);

        // The BEAM links to a process that does not exist, and to one that ends.
        let gone = node.process().pid().clone();
        let exited = "process_flag(trap_exit, true), link(P), P ! linked, receive {'EXIT', P, Why} -> Why end";
        assert_eq!(eval_with(&beam, &node, exited, [("P", gone.clone().into())]).await, "noproc");
        let mut process = node.process();
        let pid = process.pid().clone();
        let ender = async {
            assert_eq!(message(&mut process).await, Term::atom("linked"));
            process.exit(&Term::from(5));
        };
        let (why, ()) = tokio::join!(eval_with(&beam, &node, exited, [("P", pid.into())]), ender);
        assert_eq!(why, "5");

        // This node links to a process that does not exist, and to one that ends; with exits trapped and not.
        let mut process = node.process();
        process.trap_exit(true);
        let pid = sleeper(&beam, &mut process, &node).await;
        process.link(&pid).await;
        process.send_term(&pid, &exit_message(Term::atom("kill"))).await.unwrap();
        assert_eq!(message(&mut process).await, exit(&pid, Term::atom("kill")), "the kill of a link can be trapped");
        process.link(&pid).await;
        assert_eq!(message(&mut process).await, exit(&pid, Term::atom("noproc")));
        for (reason, ends) in [("normal", false), ("crash", true)] {
            let mut process = node.process();
            let pid = sleeper(&beam, &mut process, &node).await;
            let reference = process.monitor(&pid).await;
            process.link(&pid).await;
            process.send_term(&pid, &exit_message(atom(reason))).await.unwrap();
            if ends {
                let ended = tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap_err();
                assert_eq!(ended.reason, atom(reason));
            } else {
                let Term::Tuple(down) = message(&mut process).await else { panic!() };
                assert_eq!(down[1], reference.into());
            }
        }

        // The end of this node's process ends the BEAM's.
        let mut process = node.process();
        let pid = sleeper(&beam, &mut process, &node).await;
        let mut watcher = node.process();
        watcher.monitor(&pid).await;
        process.link(&pid).await;
        process.exit(&Term::atom("together"));
        let Term::Tuple(down) = message(&mut watcher).await else { panic!() };
        assert_eq!(down[4], Term::atom("together"));

        // After an unlink by either side, no signal comes.
        let mut process = node.process();
        let pid = sleeper(&beam, &mut process, &node).await;
        process.link(&pid).await;
        process.unlink(&pid);
        process.monitor(&pid).await;
        process.send_term(&pid, &exit_message(Term::atom("crash"))).await.unwrap();
        let Term::Tuple(down) = message(&mut process).await else { panic!() };
        assert_eq!((&down[0], &down[4]), (&Term::atom("DOWN"), &Term::atom("crash")));
        let unlink = "S = self(), {X, R} = spawn_monitor(fun() -> link(P), unlink(P), S ! done, exit(crash) end),
                      receive {'DOWN', R, _, _, crash} -> P ! still_there end, ok";
        eval_with(&beam, &node, unlink, [("P", process.pid().clone().into())]).await;
        assert_eq!(message(&mut process).await, Term::atom("still_there"));
        conformance::holds(otp, [28, 29]);
    }
}

/// Both sides link and unlink at once; in the end both agree about the link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_race_with_unlinks() {
    const ROUNDS: usize = 10_000;
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        let us = process.pid().clone();
        let racer = "
            Racer = spawn(fun() ->
                process_flag(trap_exit, true),
                P ! self(),
                [begin link(P), (I rem 3 =:= 0) andalso erlang:yield(), unlink(P) end || I <- lists:seq(1, ROUNDS)],
                P ! raced,
                receive links -> P ! {links, [X || X <- element(2, process_info(self(), links)), X =:= P]} end,
                receive {exit, Why} -> exit(Why) end
            end), Racer";
        eval_with(&beam, &node, &racer.replace("ROUNDS", &ROUNDS.to_string()), [("P", us.into())]).await;
        let racer = message(&mut process).await.as_pid().unwrap().clone();
        for round in 0..ROUNDS {
            process.link(&racer).await;
            if round % 7 == 0 {
                tokio::task::yield_now().await;
            }
            process.unlink(&racer);
        }
        assert_eq!(message(&mut process).await, Term::atom("raced"));
        process.send_term(&racer, &Term::atom("links")).await.unwrap();
        assert_eq!(message(&mut process).await, Term::tuple([Term::atom("links"), Term::nil()]));
        // A remaining link would end this process.
        process.monitor(&racer).await;
        process.send_term(&racer, &exit_message(Term::atom("crash"))).await.unwrap();
        let Term::Tuple(down) = message(&mut process).await else { panic!() };
        assert_eq!((&down[0], &down[4]), (&Term::atom("DOWN"), &Term::atom("crash")));

        // A link that should remain after the races holds.
        let racer = sleeper(&beam, &mut process, &node).await;
        for _ in 0..100 {
            process.link(&racer).await;
            process.unlink(&racer);
        }
        process.link(&racer).await;
        process.trap_exit(true);
        process.send_term(&racer, &exit_message(Term::atom("crash"))).await.unwrap();
        let Term::Tuple(exit) = message(&mut process).await else { panic!() };
        assert_eq!((&exit[0], &exit[2]), (&Term::atom("EXIT"), &Term::atom("crash")));
        conformance::holds(otp, [30]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_signals() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let exit = |reason: &str| format!("exit(P, {reason}), P ! after_exit, ok");

        // exit/2 of the BEAM: `normal` does nothing, other reasons end the process, `kill` ends even one that traps
        // exits.
        let mut process = node.process();
        eval_with(&beam, &node, &exit("normal"), [("P", process.pid().clone().into())]).await;
        assert_eq!(message(&mut process).await, Term::atom("after_exit"));
        eval_with(&beam, &node, &exit("{a, reason}"), [("P", process.pid().clone().into())]).await;
        let ended = tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap_err();
        assert_eq!(ended.reason, Term::tuple([Term::atom("a"), Term::atom("reason")]));

        let mut process = node.process();
        process.trap_exit(true);
        eval_with(&beam, &node, &exit("normal"), [("P", process.pid().clone().into())]).await;
        let Term::Tuple(trapped) = message(&mut process).await else { panic!() };
        assert_eq!((&trapped[0], &trapped[2]), (&Term::atom("EXIT"), &Term::atom("normal")));
        assert_eq!(message(&mut process).await, Term::atom("after_exit"));
        let killed = "R = monitor(process, P), exit(P, kill), receive {'DOWN', R, process, P, Why} -> Why end";
        assert_eq!(eval_with(&beam, &node, killed, [("P", process.pid().clone().into())]).await, "killed");
        let ended = tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap_err();
        assert_eq!(ended.reason, Term::atom("killed"));

        // Of this node, to processes of the BEAM.
        let mut process = node.process();
        let pid = sleeper(&beam, &mut process, &node).await;
        process.monitor(&pid).await;
        process.exit_other(&pid, &Term::atom("normal"));
        process.exit_other(&pid, &Term::from(9));
        let Term::Tuple(down) = message(&mut process).await else { panic!() };
        assert_eq!(down[4], Term::from(9));
        let trapper = "spawn(fun() -> process_flag(trap_exit, true), P ! self(), receive never -> ok end end), ok";
        eval_with(&beam, &node, trapper, [("P", process.pid().clone().into())]).await;
        let pid = message(&mut process).await.as_pid().unwrap().clone();
        process.monitor(&pid).await;
        process.exit_other(&pid, &Term::atom("kill"));
        let Term::Tuple(down) = message(&mut process).await else { panic!() };
        assert_eq!(down[4], Term::atom("killed"));
        conformance::holds(otp, [31]);
    }
}

/// Signals of OTP 28 and later: exit by alias, and with priority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priority_signals() {
    let stage = Stage::new();
    for otp in matrix().into_iter().filter(|otp| otp.number() >= 28) {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        process.trap_exit(true);
        let exit = "exit(P, urgent, [priority]), erlang:send(P, after_exit, [priority]), ok";
        eval_with(&beam, &node, exit, [("P", process.pid().clone().into())]).await;
        let Term::Tuple(trapped) = message(&mut process).await else { panic!() };
        assert_eq!((&trapped[0], &trapped[2]), (&Term::atom("EXIT"), &Term::atom("urgent")));
        assert_eq!(message(&mut process).await, Term::atom("after_exit"));

        // To an alias. It is none with priority, so that nothing overtakes.
        let alias = process.alias();
        let to_alias = "P ! first, erlang:send(A, second, [priority]), exit(A, third, [priority]), exit(A, fourth),
                        A ! fifth, ok";
        let variables = || [("P", process.pid().clone().into()), ("A", alias.clone().into())];
        eval_with(&beam, &node, to_alias, variables()).await;
        let mut process = process;
        for what in ["first", "second", "third", "fourth", "fifth"] {
            match message(&mut process).await {
                Term::Tuple(trapped) => assert_eq!((&trapped[0], &trapped[2]), (&Term::atom("EXIT"), &atom(what))),
                other => assert_eq!(other, atom(what)),
            }
        }
        // Of one that has been taken back, nothing arrives.
        assert!(process.unalias(&alias));
        let gone = "erlang:send(A, lost, [priority]), exit(A, kill, [priority]), A ! lost, P ! last, ok";
        let variables = [("P", process.pid().clone().into()), ("A", alias.into())];
        eval_with(&beam, &node, gone, variables).await;
        assert_eq!(message(&mut process).await, Term::atom("last"));
        conformance::holds(otp, [38]);
    }
}

/// Messages to unknown receivers are dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_nobody() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let gone = node.process().pid().clone();
        let mut process = node.process();
        process.register(Atom::from_static("somebody")).unwrap();
        let send = "
            {nobody, NODE} ! lost, Gone ! lost, exit(Gone, lost), {'', NODE} ! lost,
            erlang:send({nobody, NODE}, lost, [noconnect]), {somebody, NODE} ! {self(), found}, ok";
        eval_with(&beam, &node, send, [("Gone", gone.into())]).await;
        let Term::Tuple(found) = message(&mut process).await else { panic!() };
        assert_eq!((found[0].as_pid().unwrap().node.as_str(), &found[1]), (beam.name(), &Term::atom("found")));

        // The other way round.
        let peer = name(&beam);
        process.send_term(("nobody", &peer), &Term::atom("lost")).await.unwrap();
        let gone = sleeper(&beam, &mut process, &node).await;
        process.send_term(&gone, &exit_message(Term::atom("normal"))).await.unwrap();
        process.send_term(&gone, &Term::atom("lost")).await.unwrap();
        process.exit_other(&gone, &Term::atom("lost"));
        node.ping(&peer).await.unwrap();
        conformance::holds(otp, [35]);
    }
}

/// Signals arrive with their trace tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traced_signals() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        crate::stage::export(&node);
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        process.register(Atom::from_static("traced")).unwrap();
        process.trap_exit(true);
        let send = "
            seq_trace:set_token(label, 17), seq_trace:set_token(send, true),
            P ! one, {traced, NODE} ! two, exit(P, three),
            7 = rpc:call(NODE, rust, add, [3, 4]), ok";
        eval_with(&beam, &node, send, [("P", process.pid().clone().into())]).await;
        assert_eq!(message(&mut process).await, Term::atom("one"));
        assert_eq!(message(&mut process).await, Term::atom("two"));
        let Term::Tuple(trapped) = message(&mut process).await else { panic!() };
        assert_eq!(trapped[2], Term::atom("three"));
        conformance::holds(otp, [36]);
    }
}

/// The output of a process whose group leader is on this node arrives here, and the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_leaders() {
    let stage = Stage::new();
    for otp in matrix() {
        let (printed, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let print = move |text: &str| printed.send(text.to_owned()).unwrap();
        let node = stage.builder_with(peerl::System::new().output(print)).start().await.unwrap();
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let call = async |module: &str, function: &str, arguments: Vec<Term>| {
            let mfa = peerl_node::Mfa::with_terms(Atom::new(module).unwrap(), Atom::new(function).unwrap(), arguments);
            node.call::<Term>(&peer, mfa).timeout(LIMIT).await.unwrap()
        };
        let format = Term::charlist("~s is ~p~n");
        let values = Term::list([Term::charlist("two"), Term::from(2)]);
        assert_eq!(call("io", "format", vec![format, values]).await, Term::atom("ok"));
        assert_eq!(call("io", "put_chars", vec![Term::from("größer ∞")]).await, Term::atom("ok"));
        assert_eq!(call("io", "nl", vec![]).await, Term::atom("ok"));
        let mut text = String::new();
        while text != "two is 2\ngrößer ∞\n" {
            text += &tokio::time::timeout(LIMIT, lines.recv()).await.expect("more output").unwrap();
        }
        // Reading is unsupported, and answered with an error.
        assert_eq!(
            call("io", "get_line", vec![Term::charlist("")]).await,
            Term::tuple([Term::atom("error"), Term::atom("enotsup")])
        );

        // A BEAM makes a process of this node the leader of one of its own, and sets the leader of this node's.
        let mut process = node.process();
        let lead = "group_leader(group_leader(), P), W = spawn(fun() -> receive after infinity -> ok end end),
                    group_leader(P, W), {group_leader, P} = process_info(W, group_leader), P ! done, ok";
        eval_with(&beam, &node, lead, [("P", process.pid().clone().into())]).await;
        assert_eq!(message(&mut process).await, Term::atom("done"));
        conformance::holds(otp, [34]);
    }
}

/// Links and monitors report a node's death, in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noconnection() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        let watch = "
            register(watcher, spawn(fun() ->
                process_flag(trap_exit, true), monitor_node(NODE, true),
                link(P), R = monitor(process, P), P ! self(),
                Gone = fun() -> receive
                    {'EXIT', P, Why} -> {exit, Why};
                    {'DOWN', R, _, _, Why} -> {down, Why};
                    {nodedown, NODE} -> nodedown
                end end,
                Result = lists:sort([Gone(), Gone(), Gone()]),
                receive {ask, From} -> From ! Result end
            end)), ok";
        eval_with(&beam, &node, watch, [("P", process.pid().clone().into())]).await;
        message(&mut process).await;
        node.disconnect(&name(&beam));
        process.trap_exit(true);
        // The link from the other side ended this process, since it did not trap exits.
        let ended = tokio::time::timeout(LIMIT, process.receive()).await.unwrap();
        assert!(ended.is_err());
        expect(
            &beam,
            &node,
            "watcher ! {ask, self()}, receive Result -> Result end",
            "[nodedown,{down,noconnection},{exit,noconnection}]",
        )
        .await;
        eventually("no process left", || node.process_count() < 8).await;
        assert_eq!(eval(&beam, &node, "net_adm:ping(NODE)").await, "pong");
        tokio::time::sleep(Duration::ZERO).await;
        conformance::holds(otp, [33]);
    }
}
