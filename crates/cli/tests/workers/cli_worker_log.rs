//! A worker's log: nodes that join and leave, and, on demand, each call.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, matrix};

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
