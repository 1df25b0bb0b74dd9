//! A node of a Rust program with the functions that shells and tools of the BEAM, and `peerl`, use on every node.

use std::time::Duration;

use crate::stage::{Stage, eval, expect};
use peerl_test_support::{COOKIE, ProcessGuard, matrix, peerl_command, unique_name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_s_node_answers_as_a_worker_does() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        expect(&beam, &node, "net_adm:ping(NODE), rpc:call(NODE, erlang, nodes, []) =:= [node()]", "true").await;
        expect(&beam, &node, "rpc:call(NODE, erlang, system_info, [otp_release])", "\"27\"").await;
        let sum = "rpc:call(NODE, crypto, hash, [md5, [\"a\", <<\"bc\">>]]) =:= erlang:md5(\"abc\")";
        expect(&beam, &node, sum, "true").await;
        let command = tokio::task::spawn_blocking({
            let (name, port) = (node.name().to_string(), stage.epmd.port().to_string());
            move || {
                let mut command = peerl_command();
                command.env("ERL_EPMD_PORT", port);
                command.args(["nodes", "--node", &name, "--cookie", COOKIE, "--format", "json"]).output().unwrap()
            }
        });
        let output = command.await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains(beam.name()), "{output:?}");
    }
}

/// What a worker has, and a program's node has not: pages. All else that peers can ask is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_s_node_has_what_a_worker_has() {
    let stage = Stage::new();
    let (node, beam) = (stage.node().await, stage.beam(matrix()[0]).await);
    let worker = format!("{}@127.0.0.1", unique_name("worker"));
    let mut command = peerl_command();
    command.args(["worker", "--name", &worker, "--cookie", COOKIE]).env("ERL_EPMD_PORT", stage.epmd.port().to_string());
    let process = tokio::task::spawn_blocking(move || {
        let process = ProcessGuard::spawn(&mut command);
        process.wait_for_line("ready", Duration::from_secs(60));
        process
    });
    let _worker = process.await.unwrap();
    let (ours, theirs) = (format!("'{}'", node.name()), format!("'{worker}'"));
    let both = |expression: &str| expression.replace("WORKER", &theirs);
    let functions = "Of = fun(N) -> erpc:call(N, peerl, functions, []) end, true = length(Of(NODE)) > 20,
                     {Of(NODE) -- Of(WORKER), lists:usort([M || {M, _, _} <- Of(WORKER) -- Of(NODE)])}";
    expect(&beam, &node, &both(functions), "{[],['Elixir.ClusterScrape.PageController',peerl_page,pg]}").await;
    // The scope of `pg` is one that the worker is told to have, or has by default.
    let registered =
        "Of = fun(N) -> lists:sort(erpc:call(N, erlang, registered, [])) -- [pg] end, Of(NODE) =:= Of(WORKER)";
    expect(&beam, &node, &both(registered), "true").await;
    // What a remote shell, `observer` and `rpc` do first ends in the same way.
    for expression in [
        "rpc:call(OF, code, ensure_loaded, [shell])",
        "rpc:call(OF, application, which_applications, [])",
        "rpc:block_call(OF, erlang, function_exported, [erlang, nodes, 0])",
        "rpc:call(OF, init, get_argument, [hidden])",
        "is_pid(rpc:call(OF, shell, start, []))",
        "gen_server:call({net_kernel, OF}, {is_auth, node()})",
    ] {
        let of = |node: &str| expression.replace("OF", node);
        let (own, workers) = (eval(&beam, &node, &of(&ours)).await, eval(&beam, &node, &of(&theirs)).await);
        assert_eq!(own, workers, "{expression}");
    }
}
