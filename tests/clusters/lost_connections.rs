//! What a node of ours does with reports that others have lost a connection.

use crate::stage::{LIMIT, Stage, eval, eventually, expect, name};
use peerl_node::Nodes;
use peerl_test_support::{conformance, matrix};

/// A report is passed on once; and who is told to part with a node does, and reports nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_passed_on_once() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, a, b) = (stage.node().await, stage.beam(otp).await, stage.beam(otp).await);
        node.connect(&name(&a)).await.unwrap();
        node.connect(&name(&b)).await.unwrap();
        for beam in [&a, &b] {
            beam.wait_for_async("length(nodes())", "2", LIMIT).await;
            beam.wait_for_async("length(gen_server:call(global_name_server, get_known))", "2", LIMIT).await;
        }
        eventually("a mesh", || node.nodes(Nodes::Visible).len() == 2).await;
        // The second BEAM node records the reports that it gets.
        let trace = "register(reports, spawn(fun() ->
                1 = erlang:trace(whereis(global_name_server), true, ['receive']), S ! on,
                (fun Loop(Seen) -> receive
                    {trace, _, 'receive', {lost_connection, From, _, Operation, Lost}} -> Loop([{From, Operation, Lost} | Seen]);
                    {trace, _, _, _} -> Loop(Seen);
                    {ask, Asking} -> Asking ! lists:reverse(Seen), Loop(Seen)
                end end)([])
            end))";
        expect(&b, &node, &format!("S = self(), {trace}, receive on -> ok end"), "ok").await;
        let report = |operation: u32| {
            format!("{{global_name_server, NODE}} ! {{lost_connection, node(), 4711, {operation}, 'nobody@127.0.0.1'}}")
        };
        let (first, second) = (report(1), report(2));
        let sent = [&first, &first, &second, &first, &second].map(String::as_str).join(", ");
        eval(&a, &node, &sent).await;
        let told = "reports ! {ask, self()}, receive Seen -> Seen end";
        let both = format!("[{{'{0}',1,'nobody@127.0.0.1'}},{{'{0}',2,'nobody@127.0.0.1'}}]", a.name());
        b.wait_for_async(told, &both, LIMIT).await;

        eval(&a, &node, "{global_name_server, NODE} ! {remove_connection, node()}").await;
        eventually("the end of a connection", || !node.nodes(Nodes::Visible).contains(&name(&a))).await;
        a.wait_for_async(format!("lists:member('{}', nodes())", node.name()), "false", LIMIT).await;
        // The other end reports it.
        let last = format!("{{F, _, L}} = lists:last(begin {told} end), {{F, L}} =:= {{'{}', NODE}}", a.name());
        b.wait_for_async(last.replace("NODE", &format!("'{}'", node.name())), "true", LIMIT).await;
        expect(&b, &node, &format!("[R || {{F, _, _}} = R <- begin {told} end, F =:= NODE]"), "[]").await;
        conformance::holds(otp, [59]);
    }
}
