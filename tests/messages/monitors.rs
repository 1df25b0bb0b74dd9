//! Monitors by a name that moves between processes: each is found by its reference.

use crate::stage::{LIMIT, Stage, eventually, expect};
use peerl_node::{Atom, Node, Process};
use peerl_test_support::matrix;

fn registered(node: &Node, name: &'static str) -> Process {
    let process = node.process();
    process.register(Atom::from_static(name)).unwrap();
    process
}

/// A BEAM monitors a process by its name many times, and demonitors when the name belongs to another process or to
/// none, or its process has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_is_taken_back_wherever_its_name_is() {
    const MONITORS: usize = 2000;
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let watch = format!(
            "register(keeper, spawn(fun() ->
                 Monitors = [monitor(process, {{courier, NODE}}) || _ <- lists:seq(1, {MONITORS})],
                 receive {{stop, From}} -> [demonitor(R) || R <- Monitors], From ! stopped end,
                 receive {{'DOWN', _, _, _, Why}} -> exit(Why); {{ends, To}} -> To ! clean end
             end)), ok"
        );
        let stop = "keeper ! {stop, self()}, receive stopped -> ok end";
        let is_clean = "keeper ! {ends, self()}, receive clean -> clean end";
        for moves in ["to another", "to nobody", "ends"] {
            let first = registered(&node, "courier");
            expect(&beam, &node, &watch, "ok").await;
            eventually("all monitors", || first.monitored_by().len() == MONITORS).await;
            let second = match moves {
                "to another" => {
                    first.unregister("courier");
                    Some(registered(&node, "courier"))
                }
                "to nobody" => {
                    first.unregister("courier");
                    None
                }
                _ => {
                    // Its own monitors report its end; later signals for an unknown process are harmless.
                    first.exit(&peerl_node::Term::atom("retired"));
                    let second = registered(&node, "courier");
                    expect(&beam, &node, "exit(whereis(keeper), kill)", "true").await;
                    beam.wait_for_async("whereis(keeper)", "undefined", LIMIT).await;
                    assert_eq!(second.monitored_by(), []);
                    continue;
                }
            };
            expect(&beam, &node, stop, "ok").await;
            eventually(moves, || first.monitored_by().is_empty()).await;
            drop(first);
            assert!(second.is_none_or(|second| second.monitored_by().is_empty()));
            expect(&beam, &node, is_clean, "clean").await;
        }
    }
}
