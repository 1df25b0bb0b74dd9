//! Workers in `global`, the name space of the visible nodes of a cluster, and without it.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, conformance, matrix};

#[test]
fn a_visible_worker_is_a_member_of_the_mesh() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [a, b] = [(); 2].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        a.wait_for(&format!("net_adm:ping('{}')", b.name()), "pong", A_WHILE);
        let (_one, one) = cluster.worker(&["--node", b.name()]);
        let (_two, two) = cluster.worker(&["--node", &one]);
        // Each is told of one node only.
        for beam in [&a, &b] {
            for worker in [&one, &two] {
                beam.wait_for(&format!("lists:member('{worker}', nodes())"), "true", A_WHILE);
                beam.wait_for(&format!("length(erpc:call('{worker}', erlang, nodes, []))"), "3", A_WHILE);
            }
            assert_eq!(beam.eval("global:sync()").unwrap(), "ok");
            assert_eq!(beam.eval(&format!("erpc:call('{one}', global, sync, [])")).unwrap(), "ok");
        }
        let register = "global:register_name(job, spawn(fun() -> receive never -> ok end end))";
        assert_eq!(a.eval(register).unwrap(), "yes");
        assert_eq!(a.eval("global:trans({resource, self()}, fun() -> done end)").unwrap(), "done");
        for worker in [&one, &two] {
            let found = format!("node(erpc:call('{worker}', global, whereis_name, [job])) =:= '{}'", a.name());
            b.wait_for(&found, "true", A_WHILE);
        }
        conformance::holds(otp, [53, 57]);
    }
}

#[test]
fn a_worker_that_ends_parts_nobody() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [a, b] = [(); 2].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        a.wait_for(&format!("net_adm:ping('{}')", b.name()), "pong", A_WHILE);
        let (ending, ended) = cluster.worker(&["--node", b.name()]);
        let (killed, dead) = cluster.worker(&["--node", a.name()]);
        for beam in [&a, &b] {
            beam.wait_for("length(nodes())", "3", A_WHILE);
            assert_eq!(beam.eval("global:sync()").unwrap(), "ok");
        }
        ending.sigterm();
        assert_eq!(ending.wait(A_WHILE).code(), Some(0));
        for beam in [&a, &b] {
            beam.wait_for(&format!("lists:member('{ended}', nodes())"), "false", A_WHILE);
            assert_eq!(beam.eval(&format!("lists:member('{dead}', nodes())")).unwrap(), "true");
        }
        killed.kill();
        a.wait_for("nodes()", &format!("['{}']", b.name()), A_WHILE);
        b.wait_for("nodes()", &format!("['{}']", a.name()), A_WHILE);
        assert_eq!(b.eval("global:register_name(after_all, self())").unwrap(), "yes");
        conformance::holds(otp, [61]);
    }
}

#[test]
fn without_global_a_worker_is_hidden() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [a, b] = [(); 2].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        a.wait_for(&format!("net_adm:ping('{}')", b.name()), "pong", A_WHILE);
        let (_worker, name) = cluster.worker(&["--no-global", "--node", b.name()]);
        b.wait_for("nodes(hidden)", &format!("['{name}']"), A_WHILE);
        assert_eq!(b.eval("global:sync()").unwrap(), "ok");
        assert_eq!(a.eval("nodes(connected)").unwrap(), format!("['{}']", b.name()), "nobody is told of it");
        assert_eq!(b.eval(&format!("rpc:call('{name}', peerl, echo, [x])")).unwrap(), "x");
        let call = format!("element(1, rpc:call('{name}', global, registered_names, []))");
        assert_eq!(b.eval(&call).unwrap(), "badrpc");
    }
}

/// Names and locks of a hidden node are its own, as those of a hidden node of OTP are.
#[test]
fn a_hidden_worker_has_names_of_its_own() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let (_worker, name) = cluster.worker(&["--hidden", "--node", beam.name()]);
        beam.wait_for("nodes(hidden)", &format!("['{name}']"), A_WHILE);
        let call = |call: &str| beam.eval(&format!("erpc:call('{name}', global, {call})")).unwrap();
        assert_eq!(call("register_name, [ours, whereis(user)]"), "yes");
        assert_eq!(call("registered_names, []"), "[ours]");
        assert_eq!(beam.eval("global:whereis_name(ours)").unwrap(), "undefined");
        assert_eq!(beam.eval("global:sync()").unwrap(), "ok");
        // As a server that other nodes call by name, it has locks.
        let taken = format!(
            "true = global:set_lock({{some, self()}}, [node(), '{name}'], 0),
             erpc:call('{name}', global, set_lock, [{{some, other}}, ['{name}'], 0])"
        );
        assert_eq!(beam.eval(&taken).unwrap(), "false");
    }
}
