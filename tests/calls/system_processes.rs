//! The processes of every node: no message of a peer ends them.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, eval_with, expect, export, name};
use peerl::check_system;
use peerl_node::{Mfa, Nodes, Term};
use peerl_test_support::matrix;

const NAMED: [&str; 4] = ["net_kernel", "rex", "logger", "global_name_server"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_exit_signal_ends_them() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        // The group leader of a function that this node calls there is on this node.
        let leader = Mfa::new("erlang", "group_leader", ()).unwrap();
        let leader = node.call::<Term>(&name(&beam), leader).await.unwrap();
        let named = NAMED.map(|name| Term::from(node.whereis(name).unwrap()));
        let count = node.process_count();
        let attack = "
            [begin
                 exit(P, Reason),
                 {Linked, R} = spawn_monitor(fun() -> link(P), exit(Reason) end),
                 receive {'DOWN', R, process, Linked, _} -> ok end
             end || P <- Pids, Reason <- [kill, shutdown, normal, {shutdown, x}, [[a | b]], killed]],
            [net_adm:ping(NODE) || _ <- [1, 2, 3]]";
        let pids = Term::list(named.iter().cloned().chain([leader.clone()]));
        assert_eq!(eval_with(&beam, &node, attack, [("Pids", pids)]).await, "[pong,pong,pong]");
        assert_eq!(node.process_count(), count);
        assert_eq!(named, NAMED.map(|name| Term::from(node.whereis(name).unwrap())));
        assert_eq!(node.nodes(Nodes::Visible), [name(&beam)]);

        expect(&beam, &node, "rpc:block_call(NODE, rust, add, [20, 3])", "23").await;
        expect(&beam, &node, "rpc:call(NODE, rust, add, [1, 2])", "3").await;
        let print = "io:put_chars(Leader, \"still printed\")";
        assert_eq!(eval_with(&beam, &node, print, [("Leader", leader)]).await, "ok");
        check_system(&node).await.unwrap();
    }
}

/// A peer that floods such a process has to wait; others are answered, and the flood is processed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_ends_none_of_them() {
    let stage = Stage::new();
    let node = stage.node().await;
    let [flooding, other] = [stage.beam(matrix()[0]).await, stage.beam(matrix()[0]).await];
    let flood = "[{net_kernel, NODE} ! {I, lists:seq(1, 20)} || I <- lists:seq(1, 300000)], ok";
    let flooded = tokio::spawn({
        let (beam, node) = (flooding.clone(), node.clone());
        async move { eval(&beam, &node, flood).await }
    });
    for _ in 0..20 {
        expect(&other, &node, "net_adm:ping(NODE)", "pong").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::timeout(LIMIT, flooded).await.unwrap().unwrap();
    expect(&flooding, &node, "net_adm:ping(NODE)", "pong").await;
    check_system(&node).await.unwrap();
}
