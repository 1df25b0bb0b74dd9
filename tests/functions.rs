//! A node of a Rust program that has the functions of every node, as shells and tools of the BEAM and `peerl` use them.

mod stage;

use peerl_test_support::{COOKIE, matrix, peerl_command};
use stage::{Stage, expect};

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
