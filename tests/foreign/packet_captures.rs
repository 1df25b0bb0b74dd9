//! Connections of a peerl node in a packet analyser: tshark reads a captured session of both roles, and of EPMD.

use std::path::Path;
use std::process::Command;

use crate::stage::{LIMIT, eventually, expect, export};
use futures::StreamExt;
use peerl_epmd::{Client, Config, Server};
use peerl_node::{Atom, Epmd, Message, Mfa, Node, NodeName, Nodes, Term};
use peerl_test_support::{Beam, COOKIE, Otp, ProcessGuard, free_ports, matrix, unique_name};

/// A session on separate ports: of an EPMD, a BEAM, and two peerl nodes.
struct Session {
    ports: [u16; 4],
}

impl Session {
    fn new() -> Self {
        let first = free_ports(4);
        Self { ports: [first, first + 1, first + 2, first + 3] }
    }

    /// Captures the session.
    async fn captured(&self, file: &Path, session: impl Future<Output = ()>) {
        let ports = self.ports.map(|port| format!("tcp port {port}")).join(" or ");
        let mut dumpcap = Command::new("dumpcap");
        dumpcap.args(["-q", "-B", "16", "-i", "lo", "-f", &ports, "-w"]).arg(file);
        let dumpcap = ProcessGuard::spawn(&mut dumpcap);
        dumpcap.wait_for_error_line("File:", LIMIT);
        session.await;
        dumpcap.sigint();
        assert!(dumpcap.wait(LIMIT).success());
    }

    /// tshark's output for the packets that match this filter: their fields, one line each.
    fn shown(&self, file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(file).args(["-Y", filter, "-T", "fields", "-E", "occurrence=a"]);
        for (port, protocol) in self.ports.into_iter().zip(["epmd", "erldp", "erldp", "erldp"]) {
            tshark.args(["-d", &format!("tcp.port=={port},{protocol}")]);
        }
        tshark.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = tshark.output().expect("tshark is installed: run scripts/setup-tests");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(str::to_owned).collect()
    }
}

/// A BEAM connects to this node, and requests answers of every kind.
async fn the_beam_dials(beam: &Beam, node: &Node) {
    expect(beam, node, "net_adm:ping(NODE)", "pong").await;
    expect(beam, node, "rpc:call(NODE, rust, add, [1, 2])", "3").await;
    expect(beam, node, "X = binary:copy(<<\"capture\">>, 50000), X =:= rpc:call(NODE, rust, echo, [X])", "true").await;
    expect(beam, node, "rpc:call(NODE, rust, echo, [[{an_atom, \"text\", 1.5, #{k => <<1:7>>}}, self()]]), ok", "ok")
        .await;
    expect(beam, node, "element(1, rpc:call(NODE, rust, none, []))", "badrpc").await;
    let spawned = "{P, R} = spawn_monitor(NODE, rust, sleep, [60000]), link(P), unlink(P), exit(P, enough),
                   receive {'DOWN', R, process, P, Reason} -> Reason end";
    expect(beam, node, spawned, "enough").await;
    expect(beam, node, "net_adm:names() =/= x, erlang:disconnect_node(NODE)", "true").await;
    eventually("the end", || node.nodes(Nodes::Connected).is_empty()).await;
}

/// This node connects.
async fn we_dial(node: &Node, peer: &NodeName) {
    node.ping(peer).await.unwrap();
    let sum: i64 = node.call(peer, Mfa::new("erlang", "+", (40, 2)).unwrap()).await.unwrap();
    assert_eq!(sum, 42);
    let large = Term::binary(vec![b'x'; 400_000]);
    let mfa =
        Mfa::with_terms(Atom::from_static("lists"), Atom::from_static("reverse"), vec![Term::list([large.clone()])]);
    let reversed: Term = node.call(peer, mfa).await.unwrap();
    assert_eq!(reversed, Term::list([large]));
    let mfa = |n: &i64| Mfa::new("erlang", "abs", (*n,)).unwrap();
    let many: Vec<_> = node.pmap(vec![peer.clone()], mfa, -200..0).window(32).run::<i64>().collect().await;
    assert!(many.iter().all(|mapped| mapped.result.is_ok()));
    let mut process = node.process();
    let monitor = process.monitor(("nobody", peer)).await;
    let Ok(Message::Down(down)) = tokio::time::timeout(LIMIT, process.receive()).await.unwrap() else { panic!() };
    assert_eq!(down.reference, monitor);
    process.send_term(("nobody", peer), &Term::tuple([Term::atom("lost"), Term::from(1_i64 << 40)])).await.unwrap();
}

async fn capture(otp: Otp) {
    let session = Session::new();
    let [epmd, beam_port, first, last] = session.ports;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("session.pcapng");
    session
        .captured(&file, async {
            let address = ([127, 0, 0, 1], epmd).into();
            let server = Server::bind([address], Config::default()).await.unwrap().spawn();
            let listen = ["-kernel", "inet_dist_listen_min", "PORT", "inet_dist_listen_max", "PORT"];
            let number = beam_port.to_string();
            let listen = listen.map(|argument| if argument == "PORT" { &number } else { argument });
            let beam = Beam::erlang(otp).epmd_port(epmd).args(listen).start_async().await;
            let builder = || {
                peerl::node(format!("{}@127.0.0.1", unique_name("seen")))
                    .cookie(COOKIE)
                    .listen(first..=last)
                    .epmd(Epmd::External)
                    .epmd_client(Client::new(address))
            };
            let node = builder().start().await.unwrap();
            export(&node);
            the_beam_dials(&beam, &node).await;
            node.shutdown().await;
            drop(node);
            let node = builder().start().await.unwrap();
            we_dial(&node, &crate::stage::name(&beam)).await;
            assert_eq!(Client::new(address).names().await.unwrap().len(), 2);
            node.shutdown().await;
            drop(server);
        })
        .await;
    let info = |filter: &str| session.shown(&file, filter, &["_ws.col.Info"]);
    assert_eq!(info("_ws.malformed"), [""; 0], "OTP {}", otp.number());
    // Each message of the handshakes, of both roles, is recognized.
    for dialled in [beam_port, first] {
        let shown = info(&format!("erldp && tcp.port == {dialled}"));
        let messages = shown.iter().map(|info| info.split(' ').next().unwrap_or_default()).take(5);
        let expected = ["SEND_NAME", "SEND_STATUS", "SEND_CHALLENGE", "SEND_CHALLENGE_REPLY", "SEND_CHALLENGE_ACK"];
        assert!(messages.eq(expected), "OTP {}: {shown:?}", otp.number());
        for message in
            ["MONITOR_P", "REG_SEND", "SPAWN_REQUEST", "SPAWN_REPLY", "PAYLOAD_MONITOR_P_EXIT", "Reassembled"]
        {
            assert!(shown.iter().any(|info| info.contains(message)), "{message}: {shown:?}");
        }
    }
    let ports = info("epmd");
    for message in ["EPMD_ALIVE2_REQ", "EPMD_PORT2_REQ", "EPMD_PORT2_RESP OK", "EPMD_NAMES_REQ"] {
        assert!(ports.iter().any(|info| info.starts_with(message)), "{message}: {ports:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tshark_finds_nothing_malformed() {
    for otp in matrix() {
        capture(otp).await;
    }
}
