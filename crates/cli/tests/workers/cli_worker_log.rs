//! A worker's log: nodes that join and leave, and, on demand, each call.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Command;

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, Otp, ProcessGuard, matrix, unique_name};

#[test]
fn members_at_the_default_level_and_calls_on_demand() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (quiet, quiet_name) = cluster.worker(&[]);
        let (loud, loud_name) = cluster.worker(&["-v"]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        for (worker, name) in [(&quiet, &quiet_name), (&loud, &loud_name)] {
            assert!(beam.ping(name));
            worker.wait_for_error_line(&format!("node up peer={}", beam.name()), A_WHILE);
            let answer = beam.eval(&format!("erpc:call('{name}', crypto, hash, [md5, <<>>])"));
            assert!(answer.unwrap().starts_with("<<212,"));
            let failed = beam.eval(&format!("rpc:call('{name}', shop, 'or\nder', [1])")).unwrap();
            assert!(failed.starts_with("{badrpc,"), "{failed}");
            assert_eq!(beam.eval(&format!("rpc:block_call('{name}', timer, sleep, [30])")).unwrap(), "ok");
            let killed = format!("P = spawn('{name}', timer, sleep, [infinity]), timer:sleep(50), exit(P, kill)");
            beam.eval(&killed).unwrap();
        }
        let line = loud.wait_for_error_line("function=crypto:hash/2", A_WHILE);
        for part in [" INFO ", &format!("caller={}", beam.name()), "duration=", "outcome=\"value\""] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let line = loud.wait_for_error_line("function=shop:or\\nder/1", A_WHILE);
        assert!(line.contains("outcome=\"error undef\""), "{line}");
        let line = loud.wait_for_error_line("function=timer:sleep/1", A_WHILE);
        assert!(line.contains("ms outcome=\"value\""), "{line}");
        loud.wait_for_error_line("outcome=\"ended by a signal\"", A_WHILE);
        // An invalid call is logged, too, whichever way it arrives.
        for (call, function) in [
            ("spawn_monitor(NODE, erpc, execute_call, [make_ref(), lists, <<\"sum\">>, [[1]]])", "lists:<<\"sum\">>/1"),
            ("spawn(NODE, erpc, execute_cast, [lists, sum, none])", "lists:sum with none for arguments"),
            ("erpc:call(NODE, erlang, apply, [lists, sum, none])", "erlang:apply/3"),
            ("gen_server:call({rex, NODE}, {block_call, \"lists\", total, [[1]], self()})", "\"lists\":total/1"),
            ("gen_server:call({rex, NODE}, {call, lists, size, none, self()})", "lists:size with none for arguments"),
            ("spawn(NODE, shop, close, [])", "shop:close/0"),
            ("erpc:call(NODE, fun shop:open/0)", "erlang:apply/2"),
        ] {
            let _ = beam.eval(&call.replace("NODE", &format!("'{loud_name}'")));
            let line = loud.wait_for_error_line(&format!("function={function} "), A_WHILE);
            assert!(line.contains(&format!("caller={}", beam.name())) && line.contains("outcome=\"error "), "{line}");
        }
        beam.kill();
        for worker in [&quiet, &loud] {
            let line = worker.wait_for_error_line(&format!("node down peer={}", beam.name()), A_WHILE);
            assert!(line.contains("reason="), "{line}");
        }
        assert!(!quiet.stderr().contains("caller="), "{}", quiet.stderr());
    }
}

#[test]
fn other_commands_do_not_tell_of_members() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let ran = cluster.run(&["call", &name, "erlang:node()"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn a_worker_goes_on_while_nobody_reads_its_log() {
    const CALLS: usize = 12_000;
    let cluster = Cluster::start();
    let log = cluster.path("log");
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    // For writing too: to open it waits for nobody, and it is not at its end before the worker has opened it.
    let kept = OpenOptions::new().read(true).write(true).open(&log).unwrap();
    let name = format!("{}@127.0.0.1", unique_name("unread"));
    let peerl = cluster.command(&["worker", "-v", "--name", &name, "--listen", "127.0.0.1"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2> log"]).arg(peerl.get_program()).args(peerl.get_args());
    shell.current_dir(cluster.home.path()).envs(peerl.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let worker = ProcessGuard::spawn(&mut shell);
    worker.wait_for_line("ready", A_WHILE);

    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let calls = format!("[erpc:call('{name}', erlang, node, [], 20000) || _ <- lists:seq(1, {CALLS})], ok");
    assert_eq!(beam.eval_within(&calls, 3 * A_WHILE).as_deref(), Ok("ok"));

    // What was lost is told when there is room for it.
    let mut lines = BufReader::new(kept).lines().map(Result::unwrap);
    let mut told = 0;
    let lost = loop {
        let line = lines.next().unwrap();
        told += usize::from(line.contains("function=erlang:node/0"));
        if let Some((_, records)) = line.split_once("records are lost records=") {
            break records.parse::<usize>().unwrap();
        }
    };
    assert!(lost > 0);
    assert_eq!(told + lost, CALLS);
    worker.sigterm();
    assert_eq!(worker.wait(A_WHILE).code(), Some(0));
}
