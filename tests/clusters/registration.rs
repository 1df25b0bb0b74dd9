//! The name of a node at the EPMD of each release of OTP.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::stage::{LIMIT, Stage, eventually, expect};
use peerl_node::StartError;
use peerl_test_support::{Epmd, Otp, conformance, matrix, unique_name};

/// What EPMD answers about a name (`PORT_PLEASE2_REQ`) until it closes.
fn port_please(epmd: &Epmd, name: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(epmd.address()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let request = [&(name.len() as u16 + 1).to_be_bytes(), b"z".as_slice(), name.as_bytes()].concat();
    socket.write_all(&request).unwrap();
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => answer,
        // It closes before it has read all of a request.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("EPMD does not close: {error}"),
    }
}

fn stage_of(otp: Otp) -> Stage {
    Stage::of(Epmd::of(otp))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_registered() {
    for otp in matrix() {
        let stage = stage_of(otp);
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let short = node.name().name().to_owned();

        // `epmd -names`, and what a BEAM asks.
        assert!(stage.epmd.names().contains(&(short.clone(), node.port())), "{:?}", stage.epmd.names());
        let listed = format!("{{ok, Names}} = net_adm:names({{127,0,0,1}}), proplists:get_value(\"{short}\", Names)");
        assert_eq!(beam.eval_async(listed).await.unwrap(), node.port().to_string());
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        conformance::holds(otp, [1]);

        let known = port_please(&stage.epmd, &short);
        assert_eq!((&known[..2], &known[2..4]), (&[119, 0][..], &node.port().to_be_bytes()[..]), "{known:?}");
        assert_eq!(port_please(&stage.epmd, "nobody"), [119, 1]);
        conformance::holds(otp, [2]);

        let (name, creation) = (node.name().clone(), node.creation());
        node.shutdown().await;
        drop(node);
        eventually("the end of the name", || stage.epmd.names().len() == 1).await;
        let again = stage.builder_of(name.as_str()).start().await.unwrap();
        assert_eq!(again.creation(), creation + 1);
        beam.wait_for_async("nodes()", "[]", LIMIT).await;
        expect(&beam, &again, "net_adm:ping(NODE)", "pong").await;
        conformance::holds(otp, [3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_belongs_to_one_node() {
    for otp in matrix() {
        let stage = stage_of(otp);
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        for taken in [node.name().as_str(), beam.name()] {
            let error = stage.builder_of(taken).start().await.unwrap_err();
            assert!(matches!(error, StartError::Epmd(_)), "{error:?}");
            assert!(error.to_string().contains(taken.split('@').next().unwrap()), "{error}");
        }
        let rival = stage.erlang(otp).name(node.name().as_str());
        let rival = tokio::task::spawn_blocking(|| rival.try_start().map(drop)).await.unwrap();
        assert!(rival.unwrap_err().log.contains("in use"));
        // Those that have the names are as before.
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        let own = stage.epmd.names();
        assert_eq!(own.len(), 2, "{own:?}");
        conformance::holds(otp, [6]);
    }
}

/// EPMD dies, and another starts in its place: both kinds of nodes are found again, under their old creation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_outlive_epmd() {
    for otp in matrix() {
        let stage = stage_of(otp);
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let creation = beam.eval_async("erlang:system_info(creation)").await.unwrap();
        let own_creation = node.creation();
        stage.epmd.kill();
        stage.epmd.restart();
        eventually("both names", || stage.epmd.names().len() == 2).await;
        let late = stage.erlang(otp).name(&unique_name("late")).start_async().await;
        expect(&late, &node, "net_adm:ping(NODE)", "pong").await;
        assert!(late.ping(beam.name()));
        assert_eq!(beam.eval_async("erlang:system_info(creation)").await.unwrap(), creation);
        assert_eq!(node.creation(), own_creation);
        conformance::holds(otp, [5]);
    }
}
