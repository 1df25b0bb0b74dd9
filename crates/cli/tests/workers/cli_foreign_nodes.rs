//! The command line with nodes other than the BEAM: C nodes on `ei`, Java nodes on Jinterface.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{ForeignNode, Rex, unique_name};

fn unique(stem: &str) -> String {
    format!("{}@127.0.0.1", unique_name(stem))
}

#[test]
fn ping_and_call() {
    let cluster = Cluster::start();
    let epmd = cluster.epmd.port();
    let c = ForeignNode::c(&unique("meter"), epmd, Rex::Answers);
    let java = ForeignNode::java(&unique("bridge"), epmd, Rex::Answers);
    let silent = ForeignNode::c(&unique("silent"), epmd, Rex::Missing);
    let pinged = cluster.run(&["ping", c.name(), java.name(), silent.name(), "--format", "json"]);
    assert_eq!(pinged.code, 0, "{pinged:?}");
    let rows = pinged.json();
    assert!(rows.as_array().unwrap().iter().all(|row| row["answer"] == "pong"), "{rows}");
    for node in [c.name(), java.name()] {
        assert_eq!(
            cluster.run(&["call", node, "meter:read(7, {volt, <<\"a\">>})"]).ok().trim(),
            "{meter,read,[7,{volt,<<\"a\">>}]}"
        );
        // A second guest after the first: the node is unaffected.
        assert_eq!(cluster.run(&["call", node, "meter:read()", "--timeout", "30s"]).ok().trim(), "{meter,read,[]}");
    }
    let failed = cluster.run(&["call", c.name(), "meter:fail()"]);
    assert!(failed.code == 1 && failed.err.contains("exception error: badarg"), "{failed:?}");
    let refused = cluster.run(&["call", silent.name(), "meter:read()"]);
    assert!(
        refused.code == 1 && refused.err.contains("takes no calls") && refused.err.contains("kind of node"),
        "{refused:?}"
    );
    assert_eq!(cluster.run(&["ping", silent.name()]).code, 0);
}

/// The log names the missing capability of a refused peer.
#[test]
fn a_peer_without_large_pids_is_refused_with_the_reason_in_the_log() {
    let cluster = Cluster::start();
    let (worker, name) = cluster.worker(&[]);
    let (alive, _) = name.split_once('@').unwrap();
    let names = cluster.epmd.names();
    let port = names.iter().find(|(known, _)| known.as_str() == alive).map(|(_, port)| *port).unwrap();
    // All flags that OTP 26 requires, except V4_NC.
    let old = "old@127.0.0.1";
    let mut message = vec![b'N'];
    message.extend_from_slice(&0x307_0f94_u64.to_be_bytes());
    message.extend_from_slice(&7_u32.to_be_bytes());
    message.extend_from_slice(&u16::try_from(old.len()).unwrap().to_be_bytes());
    message.extend_from_slice(old.as_bytes());
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
    socket.write_all(&message).unwrap();
    let line = worker.wait_for_error_line("rejected a connection attempt", A_WHILE);
    assert!(line.contains(old) && line.contains("V4_NC"), "{line}");
}
