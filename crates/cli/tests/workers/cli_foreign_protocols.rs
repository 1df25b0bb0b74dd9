//! Peers and clients that speak another protocol than the Erlang distribution: the error names it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use crate::cluster::{A_WHILE, Cluster, run};
use peerl_test_support::{Beam, BeamBuilder, Lan, Otp, ProcessGuard, matrix, peerl_command};

/// A node that speaks TLS, with a self-signed certificate.
fn tls_node(cluster: &Cluster, otp: Otp) -> BeamBuilder {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        cluster.write("cert.pem", certified.cert.pem()),
        cluster.write("key.pem", certified.signing_key.serialize_pem()),
    );
    let options =
        format!("[{{server,[{{certfile,\"{cert}\"}},{{keyfile,\"{key}\"}}]}},{{client,[{{verify,verify_none}}]}}].");
    let file = cluster.write("tls.conf", options);
    Beam::erlang(otp).args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", &file])
}

fn port_of(cluster: &Cluster, name: &str) -> u16 {
    let alive = name.split('@').next().unwrap();
    cluster.epmd.names().into_iter().find(|(known, _)| known == alive).unwrap().1
}

#[test]
fn a_node_with_tls_is_named_by_either_side() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = tls_node(&cluster, otp).epmd(&cluster.epmd).start();
        let failure = cluster.run(&["ping", beam.name()]).failure(1);
        let words = format!("{} speaks TLS (-proto_dist inet_tls), and this node does not", beam.name());
        assert!(failure.contains(&words) && failure.contains("-ssl_dist_optfile"), "{failure}");
        let (worker, name) = cluster.worker(&["--node", beam.name()]);
        worker.wait_for_error_line(&words, A_WHILE);
        assert!(!beam.ping(&name));
        let line = worker.wait_for_error_line("rejected a connection attempt", A_WHILE);
        assert!(line.contains("speaks TLS (-proto_dist inet_tls)"), "{line}");
    }
}

#[test]
fn a_node_with_tls_on_another_machine() {
    let (lan, cluster) = (Lan::start(), Cluster::start());
    let (here, there) = (lan.machine(lan.address(2)), lan.machine(lan.address(3)));
    let mut epmd = Command::new("epmd");
    epmd.args(["-address", &there.address().to_string()]);
    let _epmd = ProcessGuard::spawn(&mut there.command(epmd));
    let end = Instant::now() + A_WHILE;
    let answers = || {
        let mut names = Command::new("epmd");
        names.arg("-names");
        there.command(names).output().unwrap().status.success()
    };
    while !answers() {
        assert!(Instant::now() < end, "an EPMD");
    }
    let beam = tls_node(&cluster, Otp::V25).name(&format!("shop@{}", there.address())).on(&there).start();
    let mut ping = peerl_command();
    ping.args(["ping", beam.name()]).env("HOME", cluster.home.path()).env("PEERL_COOKIE", "c");
    let failure = run(here.command(ping)).failure(1);
    assert!(failure.contains(&format!("{} speaks TLS", beam.name())), "{failure}");
}

#[test]
fn servers_of_other_protocols_are_named() {
    let cluster = Cluster::start();
    let answers: [(&[u8], &str); 4] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks SSH"),
        (b"220 post.example ESMTP\r\n", "220 post.example ESMTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"),
    ];
    for (answer, words) in answers {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Byte by byte, as a network may deliver them.
                let _ = stream.set_nodelay(true);
                let _ = answer.iter().try_for_each(|byte| stream.write_all(&[*byte]));
                let _ = stream.read(&mut [0; 1024]);
            }
        });
        let failure = cluster.run(&["ping", "x@127.0.0.1", "--epmd", "none", "--dist-port", &port]).failure(1);
        assert!(failure.contains(words), "{words}: {failure}");
    }
}

/// The server is silent until it has a complete line.
#[test]
fn a_server_that_waits_for_a_line_is_named() {
    let cluster = Cluster::start();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut byte, mut last) = ([0], 0);
            while last != b'\n' && stream.read(&mut byte).is_ok_and(|length| length > 0) {
                last = byte[0];
            }
            let _ = stream.write_all(b"<!DOCTYPE HTML>\n<html lang=\"en\">bad request</html>");
        }
    });
    let failure = cluster.run(&["ping", "x@127.0.0.1", "--epmd", "none", "--dist-port", &port]).failure(1);
    assert!(failure.contains("speaks HTTP"), "{failure}");
}

#[test]
fn clients_of_other_protocols_are_named_in_the_log() {
    let cluster = Cluster::start();
    for (request, words) in [
        (&b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"[..], "speaks HTTP"),
        (b"SSH-2.0-Go\r\n", "speaks SSH"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "speaks TLS"),
    ] {
        let (worker, name) = cluster.worker(&[]);
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port_of(&cluster, &name))).unwrap();
        socket.write_all(request).unwrap();
        let line = worker.wait_for_error_line("rejected a connection attempt", A_WHILE);
        assert!(line.contains(words) && line.contains("127.0.0.1"), "{line}");
        assert_eq!(cluster.run(&["ping", &name]).code, 0);
    }
}
