//! A worker's scope of `pg`, whose process a peer ends.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, matrix};

#[test]
fn a_scope_that_was_ended_starts_anew() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (worker, name) = cluster.worker(&["--pg", "teams"]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        assert!(beam.ping(&name));
        let start = "{ok, _} = pg:start(teams), Own = spawn(fun() -> receive stop -> ok end end), \
                     pg:join(teams, group, Own)";
        assert_eq!(beam.eval(start).as_deref(), Ok("ok"));
        // A process of the worker is a member, and each side knows that of the other.
        let joins = format!("rpc:call('{name}', pg, join, [teams, group, rpc:call('{name}', erlang, whereis, [rex])])");
        assert_eq!(beam.eval(&joins).as_deref(), Ok("ok"));
        let here = "[node(P) =:= node() || P <- lists:sort(pg:get_members(teams, group))]";
        let there = format!("length(rpc:call('{name}', pg, get_members, [teams, group]))");
        beam.wait_for(&format!("lists:sort({here})"), "[false,true]", A_WHILE);
        beam.wait_for(&there, "2", A_WHILE);

        // The worker's members are gone with its scope process.
        let scope = format!("rpc:call('{name}', erlang, whereis, [teams])");
        let kill = format!(
            "Old = {scope}, Monitor = monitor(process, Old), exit(Old, kill), \
             receive {{'DOWN', Monitor, process, Old, killed}} -> persistent_term:put(old, Old) end"
        );
        assert_eq!(beam.eval(&kill).as_deref(), Ok("ok"));
        beam.wait_for(here, "[true]", A_WHILE);
        // A new one is there, and has learned the members of the others; those of the worker join again.
        beam.wait_for(&format!("P = {scope}, is_pid(P) andalso P =/= persistent_term:get(old)"), "true", A_WHILE);
        beam.wait_for(&there, "1", A_WHILE);
        assert_eq!(beam.eval(&joins).as_deref(), Ok("ok"));
        beam.wait_for(&format!("lists:sort({here})"), "[false,true]", A_WHILE);
        worker.wait_for_error_line("is started again", A_WHILE);

        // The same at the other side.
        let kill = "Old = whereis(teams), Monitor = monitor(process, Old), exit(Old, kill), \
                    receive {'DOWN', Monitor, process, Old, killed} -> ok end";
        assert_eq!(beam.eval(kill).as_deref(), Ok("ok"));
        beam.wait_for(&there, "1", A_WHILE);
        assert_eq!(beam.eval(start).as_deref(), Ok("ok"));
        beam.wait_for(&there, "2", A_WHILE);
        beam.wait_for(&format!("lists:sort({here})"), "[false,true]", A_WHILE);
    }
}
