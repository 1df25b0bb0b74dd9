//! TLS with BEAM nodes that are started with `-proto_dist inet_tls`.

use std::path::Path;
use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, event, expect, export, name, until};
use peerl_node::testing::Network;
use peerl_node::transport::{Tls, TlsConfig};
use peerl_node::{Mfa, Node, NodeDownReason, NodeEvent, Nodes, Term, Visibility};
use peerl_otp::global::{Method, NodeGlobal};
use peerl_test_support::{Authority, Beam, BeamBuilder, Identity, KeyKind, Otp, conformance, matrix, unique_name};
use rcgen::SanType;

const MIB: usize = 1 << 20;

/// A node at `localhost`, where certificates are for.
async fn node(stage: &Stage, config: TlsConfig) -> Node {
    let node = stage.builder_of(&format!("{}@localhost", unique_name("peerl")));
    let node = node.transport(Tls::new(config).unwrap()).start().await.unwrap();
    export(&node);
    node
}

fn mutual(identity: &Identity) -> TlsConfig {
    TlsConfig::mutual(&identity.certificate, &identity.key, &identity.authority)
}

fn erlang(stage: &Stage, otp: Otp, optfile: &Path) -> BeamBuilder {
    let optfile = optfile.to_str().unwrap();
    stage.erlang(otp).short_names().args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile])
}

async fn beam(stage: &Stage, otp: Otp, optfile: &Path) -> Beam {
    erlang(stage, otp, optfile).start_async().await
}

async fn both_directions(node: &Node, beam: &Beam) {
    let (peer, mut events) = (name(beam), node.events());
    // The peer connects, and later this node.
    expect(beam, node, "net_adm:ping(NODE)", "pong").await;
    expect(beam, node, "nodes() =:= [NODE]", "true").await;
    assert_eq!(eval(beam, node, "erpc:call(NODE, rust, add, [1, 2])").await, "3");
    assert_eq!(eval(beam, node, "rpc:call(NODE, rust, add, [3, 4])").await, "7");
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
    expect(beam, node, "erlang:disconnect_node(NODE)", "true").await;
    assert!(matches!(event(&mut events).await, NodeEvent::NodeDown { reason: NodeDownReason::ConnectionClosed, .. }));
    expect(beam, node, &until("nodes()", "[]"), "ok").await;
    node.connect(&peer).await.unwrap();
    let sum: i64 = node.call(&peer, Mfa::new("lists", "sum", (vec![1, 2, 3],)).unwrap()).await.unwrap();
    assert_eq!(sum, 6);
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
}

/// Of a size, there and back; this node calls.
async fn payload_to_beam(node: &Node, beam: &Beam, bytes: usize) {
    let data = Term::binary((0..bytes).map(|index| (index / 251) as u8).collect::<Vec<u8>>());
    let mfa = Mfa::new("lists", "last", (vec![data.clone()],)).unwrap();
    let back: Term = node.call(&name(beam), mfa).timeout(4 * LIMIT).await.unwrap();
    assert!(back == data);
}

/// The same; the BEAM calls.
async fn payload_of_beam(node: &Node, beam: &Beam, bytes: usize) {
    let call = "B = binary:copy(<<1, 2, 3, 4, 5, 6, 7, 8>>, EIGHTH), B =:= erpc:call(NODE, rust, echo, [B], infinity)";
    let call = call.replace("NODE", &format!("'{}'", node.name())).replace("EIGHTH", &(bytes / 8).to_string());
    assert_eq!(beam.eval_within_async(call, 8 * LIMIT).await.as_deref(), Ok("true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_nodes_verify_each_other() {
    let (stage, authority) = (Stage::new(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    for otp in matrix() {
        for versions in ["", ", {versions, ['tlsv1.3', 'tlsv1.2']}", ", {versions, ['tlsv1.3']}"] {
            let beam = beam(&stage, otp, &identity.optfile(versions)).await;
            let node = node(&stage, mutual(&identity)).await;
            both_directions(&node, &beam).await;
            payload_to_beam(&node, &beam, MIB).await;
            payload_of_beam(&node, &beam, MIB).await;
        }
        conformance::holds(otp, [67, 68]);
    }
}

/// The largest messages come in fragments, and the links between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_256_mb() {
    let (stage, authority) = (Stage::new(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    for otp in matrix() {
        let beam = beam(&stage, otp, &identity.optfile("")).await;
        let node = node(&stage, mutual(&identity)).await;
        payload_of_beam(&node, &beam, 256_000_000).await;
    }
}

/// An idle connection with a tick time of 8 s is up after 15 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_stay_up() {
    let (stage, authority) = (Stage::new(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    let runs = matrix().into_iter().map(async |otp| {
        let ticks = ["-kernel", "net_ticktime", "8"];
        let beam = erlang(&stage, otp, &identity.optfile("")).args(ticks).start_async().await;
        let node = stage.builder_of(&format!("{}@localhost", unique_name("peerl")));
        let node = node.transport(Tls::new(mutual(&identity)).unwrap()).net_ticktime(Duration::from_secs(8));
        let node = node.start().await.unwrap();
        let mut events = node.events();
        node.connect(&name(&beam)).await.unwrap();
        assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(events.try_recv().is_err(), "the connection has stayed up");
        expect(&beam, &node, "nodes() =:= [NODE]", "true").await;
    });
    futures::future::join_all(runs).await;
    for otp in matrix() {
        conformance::holds(otp, [68]);
    }
}

/// Files that are replaced count for the next connection, as soon as they fit each other. Nothing of an earlier session is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_read_again_when_they_change() {
    let (stage, authority, other) = (Stage::new(), Authority::new(), Authority::new());
    let [ours, theirs] = ["ours", "theirs"].map(|stem| authority.issue(stem, &["localhost"]));
    // Each renewal is a file of its own that takes the place of the earlier one.
    let renew = |from: &Path, to: &Path| {
        let new = to.with_extension("new");
        std::fs::copy(from, &new).unwrap();
        std::fs::rename(new, to).unwrap();
    };
    for otp in matrix() {
        for versions in ["", ", {versions, ['tlsv1.3']}"] {
            let [good, bad] = ["good", "bad"].map(|stem| match stem {
                "good" => authority.issue(stem, &["localhost"]),
                _ => authority.issue(stem, &["elsewhere.example"]),
            });
            let all = |identity: &Identity| {
                renew(&identity.certificate, &ours.certificate);
                renew(&identity.key, &ours.key);
            };
            all(&good);
            let trusted = authority.directory().join("trusted.pem");
            renew(&authority.file(), &trusted);
            let beam = beam(&stage, otp, &theirs.optfile(versions)).await;
            let config = TlsConfig::mutual(&ours.certificate, &ours.key, &trusted);
            let node = node(&stage, config).await;
            let ping = "erlang:disconnect_node(NODE), net_adm:ping(NODE)";
            expect(&beam, &node, ping, "pong").await;
            renew(&bad.certificate, &ours.certificate);
            expect(&beam, &node, ping, "pong").await;
            renew(&bad.key, &ours.key);
            expect(&beam, &node, ping, "pang").await;
            all(&good);
            expect(&beam, &node, ping, "pong").await;
            renew(&other.file(), &trusted);
            expect(&beam, &node, ping, "pang").await;
            renew(&authority.file(), &trusted);
            expect(&beam, &node, ping, "pong").await;
        }
        conformance::holds(otp, [67]);
    }
}

/// Hosts that are addresses: OTP tells them as the name of the server, and compares them as release 25 or as later ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_are_addresses() {
    let (stage, authority) = (Stage::new(), Authority::new());
    for otp in matrix() {
        let stem = format!("node{}", otp.number());
        let identity = match otp {
            // The kind DNS, of which rcgen makes only what is a name.
            Otp::V25 => authority.issue_with(&stem, KeyKind::Ec, &[], |params| {
                let name = "127.0.0.1".try_into().unwrap();
                params.subject_alt_names.push(SanType::DnsName(name));
            }),
            _ => authority.issue(&stem, &["127.0.0.1"]),
        };
        let optfile = identity.optfile("");
        let arguments = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile.to_str().unwrap()];
        let beam = stage.erlang(otp).args(arguments).start_async().await;
        let node = stage.builder().transport(Tls::new(mutual(&identity)).unwrap()).start().await.unwrap();
        export(&node);
        both_directions(&node, &beam).await;
        conformance::holds(otp, [68]);
    }
}

/// Who knows the number of records, here from the file of options of all nodes, makes a new connection before OTP renegotiates, when
/// nothing is under way. A member leaves the whole mesh for a moment, so that its peers do not part with each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_renewed_before_otp_renegotiates() {
    let (stage, authority) = (Stage::new(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    let optfile = identity.optfile(", {versions, ['tlsv1.2']}, {renegotiate_at, 600}");
    let runs = matrix().into_iter().flat_map(|otp| [(otp, Visibility::Visible), (otp, Visibility::Hidden)]);
    let runs = runs.map(async |(otp, visibility)| {
        let [caller, other] = [beam(&stage, otp, &optfile).await, beam(&stage, otp, &optfile).await];
        let node = stage.builder_of(&format!("{}@localhost", unique_name("peerl"))).visibility(visibility);
        let node = node.transport(Tls::new(TlsConfig::from_optfile(&optfile).unwrap()).unwrap()).start().await.unwrap();
        export(&node);
        let server = node.process();
        let mut events = node.events();
        expect(&caller, &node, &format!("net_adm:ping('{}')", other.name()), "pong").await;
        let watch = format!("net_kernel:monitor_nodes(true), monitor_node('{}', true), ok", other.name());
        for beam in [&caller, &other] {
            node.connect(&name(beam)).await.unwrap();
        }
        if visibility == Visibility::Visible {
            assert!(node.global().register(Term::atom("server"), server.pid(), Method::RandomExit).await.unwrap());
        }
        let calls = format!(
            "{watch}, Calls = [begin
                 N rem 50 =:= 0 andalso timer:sleep(500),
                 erpc:call(NODE, rust, add, [N, 1]) =:= N + 1
             end || N <- lists:seq(1, 700)],
             Lost = receive {{nodedown, '{}'}} -> lost after 0 -> none end,
             {{lists:usort(Calls), Lost}}",
            other.name()
        );
        expect(&caller, &node, &calls, "{[true],none}").await;
        let mut ends = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let NodeEvent::NodeDown { node, reason } = event {
                ends.push((node, reason));
            }
        }
        assert!(ends.iter().any(|(node, _)| *node == name(&caller)), "{ends:?}");
        assert!(ends.iter().all(|(_, reason)| *reason == NodeDownReason::Disconnect), "{ends:?}");
        if visibility == Visibility::Visible {
            for beam in [&caller, &other] {
                expect(beam, &node, &until("is_pid(global:whereis_name(server))", "true"), "ok").await;
                expect(beam, &node, &until("length(nodes())", "2"), "ok").await;
            }
        }
    });
    futures::future::join_all(runs).await;
}

/// By TLS 1.2, OTP renegotiates after some records, 2^28 unless its options say less, and ends the connection of a peer that does
/// not; the next message makes another one. This node does not know the number. By TLS 1.3 it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_otp_renegotiates() {
    const CALLS: &str = "[catch erpc:call(NODE, rust, add, [N, 1], 2000) || N <- lists:seq(1, 60)], ok";
    let (stage, authority) = (Stage::new(), Authority::new());
    let identity = authority.issue("node", &["localhost"]);
    for otp in matrix() {
        for (version, ends) in [("tlsv1.2", true), ("tlsv1.3", false)] {
            let options = format!(", {{versions, ['{version}']}}, {{renegotiate_at, 40}}");
            let beam = beam(&stage, otp, &identity.optfile(&options)).await;
            let node = node(&stage, mutual(&identity)).await;
            let mut events = node.events();
            expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
            assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
            expect(&beam, &node, CALLS, "ok").await;
            if ends {
                let down = event(&mut events).await;
                assert!(
                    matches!(down, NodeEvent::NodeDown { reason: NodeDownReason::ConnectionClosed, .. }),
                    "{down:?}"
                );
                expect(&beam, &node, &until("net_adm:ping(NODE)", "pong"), "ok").await;
            } else {
                assert!(events.try_recv().is_err(), "the connection has stayed up");
            }
        }
    }
}

/// Nodes on simulated hosts connect by TLS over what carries their bytes, whatever that does.
#[tokio::test(start_paused = true)]
async fn nodes_on_a_simulated_network() {
    let (network, authority) = (Network::seeded(7), Authority::new());
    let hosts = ["one", "two", "three"];
    let mut nodes = Vec::new();
    for host in hosts {
        let node = network.on_host(host, peerl_otp::node(format!("node@{host}")));
        let tls = Tls::over(network.host(host), mutual(&authority.issue(host, &[host]))).unwrap();
        let node = node.transport(tls).start().await.unwrap();
        export(&node);
        nodes.push(node);
    }
    // A certificate for another host.
    let stranger = network.on_host("four", peerl_otp::node("node@four"));
    let tls = Tls::over(network.host("four"), mutual(&authority.issue("four", &["five"]))).unwrap();
    let _stranger = stranger.transport(tls).start().await.unwrap();

    network.set_delay(Duration::from_millis(1)..=Duration::from_millis(50));
    let [one, two, three] = &nodes[..] else { unreachable!() };
    one.connect(two.name()).await.unwrap();
    two.connect(three.name()).await.unwrap();
    let all_meet = async || {
        for node in &nodes {
            eventually_in_time(|| node.nodes(Nodes::Visible).len() == 2).await;
        }
    };
    all_meet().await;
    let refused = one.connect(&"node@four".parse().unwrap()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("five"), "{refused:?}");

    let data = Term::binary((0..MIB).map(|index| (index / 251) as u8).collect::<Vec<u8>>());
    let echo = || Mfa::new("rust", "echo", (data.clone(),)).unwrap();
    assert!(one.call::<Term>(three.name(), echo()).await.unwrap() == data);
    network.partition("one", "three");
    eventually_in_time(|| !one.nodes(Nodes::Visible).contains(three.name())).await;
    network.heal("one", "three");
    for (node, peer) in [(one, three), (one, two), (two, three)] {
        node.connect(peer.name()).await.unwrap();
    }
    all_meet().await;
    assert!(three.call::<Term>(one.name(), echo()).await.unwrap() == data);
}

/// In simulated time.
async fn eventually_in_time(mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it has not come about within 1,000 s");
}
