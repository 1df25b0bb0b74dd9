//! Discovery for users: strategies on the command line, a watched file, removed peers.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, Otp};

#[test]
fn a_worker_follows_a_file_and_disconnects_nobody() {
    let cluster = Cluster::start();
    let [a, b] = [(); 2].map(|()| Beam::erlang(Otp::V25).epmd(&cluster.epmd).start());
    let file = cluster.write("nodes", format!("# our nodes\n{}\n", a.name()));
    let spec = format!("file:{file}");
    let (worker, name) = cluster.worker(&["--discover", &spec, "--interval", "300ms", "--removal", "when-gone-for=1s"]);
    let seen = format!("['{name}']");
    a.wait_for("nodes()", &seen, A_WHILE);
    cluster.write("nodes", format!("[{:?}, {:?}]", a.name(), b.name()));
    b.wait_for(&format!("lists:member('{name}', nodes())"), "true", A_WHILE);

    // A broken, empty or missing file does not disconnect any node.
    for content in ["this is no node\n", "# nobody\n"] {
        cluster.write("nodes", content);
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    std::fs::remove_file(&file).unwrap();
    worker.wait_for_error_line("No such file", A_WHILE);
    // Neither does the removal of a peer from the list.
    cluster.write("nodes", b.name());
    let line = worker.wait_for_error_line("no longer listed", A_WHILE);
    let peer = format!("peer={}", a.name());
    assert!(line.contains("WARN") && line.contains(&peer) && line.contains(&spec), "{line}");
    std::thread::sleep(std::time::Duration::from_secs(2));
    for beam in [&a, &b] {
        assert_eq!(beam.eval(&format!("lists:member('{name}', nodes())")).unwrap(), "true");
    }
    // A dead peer is reported and forgotten.
    a.kill();
    worker.wait_for_error_line("node down", A_WHILE);
    worker.wait_for_error_line("forgotten", A_WHILE);
}

#[cfg(feature = "dns")]
const FAILS: u8 = 1;
#[cfg(feature = "dns")]
const ELSEWHERE: u8 = 2;
#[cfg(feature = "dns")]
const UNKNOWN: u8 = 3;

/// A name server that answers every query with 127.0.0.1 or, on command, with 127.0.0.77, a failure, or "no such
/// name".
#[cfg(feature = "dns")]
fn name_server(mood: std::sync::Arc<std::sync::atomic::AtomicU8>) -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1024];
        while let Ok((_, from)) = socket.recv_from(&mut query) {
            let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..12 + name + 5];
            let mood = mood.load(std::sync::atomic::Ordering::SeqCst);
            let last = if mood == ELSEWHERE { 77 } else { 1 };
            let (code, answers) = match mood {
                FAILS => (0x82, 0),
                UNKNOWN => (0x83, 0),
                _ => (0x80, 1),
            };
            let mut response = vec![query[0], query[1], 0x81, code, 0, 1, 0, answers, 0, 0, 0, 0];
            response.extend(question);
            if answers > 0 {
                // The name of the query, A, IN, 60 s, four bytes.
                response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, last]);
            }
            let _ = socket.send_to(&response, from);
        }
    });
    address
}

#[test]
#[cfg(feature = "dns")]
fn a_worker_follows_dns_and_outlives_its_failure() {
    let cluster = Cluster::start();
    let mood = std::sync::Arc::new(std::sync::atomic::AtomicU8::new(0));
    let resolver = name_server(mood.clone());
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let (basename, _) = beam.name().split_once('@').unwrap();
    let spec = format!("dns:app.internal,basename={basename},resolver={resolver},timeout=500ms");
    let (worker, name) = cluster.worker(&["--discover", &spec, "--interval", "200ms", "--removal", "when-gone-for=1s"]);
    let seen = format!("['{name}']");
    beam.wait_for("nodes()", &seen, A_WHILE);
    // Name servers rotate: the peer's absence from an answer proves nothing.
    mood.store(ELSEWHERE, std::sync::atomic::Ordering::SeqCst);
    std::thread::sleep(std::time::Duration::from_secs(3));
    beam.eval(&format!("erlang:disconnect_node('{name}')")).unwrap();
    beam.wait_for("nodes()", &seen, A_WHILE);
    mood.store(FAILS, std::sync::atomic::Ordering::SeqCst);
    worker.wait_for_error_line("discovery failed", A_WHILE);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(beam.eval("nodes()").unwrap(), seen);
    // A connection that is lost in the meantime is restored.
    beam.eval(&format!("erlang:disconnect_node('{name}')")).unwrap();
    beam.wait_for("nodes()", &seen, A_WHILE);
    let ran = cluster.run(&["discover", &spec]);
    assert!(ran.code == 1 && ran.err.contains("app.internal"), "{ran:?}");
}

#[test]
#[cfg(feature = "dns")]
fn a_name_that_nobody_has_is_told_once_with_resolver_and_question() {
    let cluster = Cluster::start();
    let mood = std::sync::Arc::new(std::sync::atomic::AtomicU8::new(UNKNOWN));
    let resolver = name_server(mood.clone());
    let spec = format!("dns:mispelt.internal.,basename=app,resolver={resolver}");
    let asked = format!("A and AAAA records of mispelt.internal. from {resolver}");
    let ran = cluster.run(&["discover", &spec, "--format", "json"]);
    assert!(ran.code == 2 && ran.json() == serde_json::json!([]), "{ran:?}");
    assert!(ran.err.lines().count() == 1 && ran.err.contains(&asked) && ran.err.contains("dns:mispelt"), "{ran:?}");

    let (worker, _) = cluster.worker(&["--discover", &spec, "--interval", "200ms"]);
    let line = worker.wait_for_error_line("discovery finds no nodes", A_WHILE);
    assert!(line.contains("WARN") && line.contains(&asked) && line.contains("dns:mispelt"), "{line}");
    std::thread::sleep(std::time::Duration::from_secs(2));
    mood.store(FAILS, std::sync::atomic::Ordering::SeqCst);
    worker.wait_for_error_line("discovery failed", A_WHILE);
    std::thread::sleep(std::time::Duration::from_secs(2));
    mood.store(ELSEWHERE, std::sync::atomic::Ordering::SeqCst);
    worker.wait_for_error_line("discovery finds nodes", A_WHILE);
    for change in ["discovery finds no nodes", "discovery failed", "discovery finds nodes"] {
        let lines = worker.stderr();
        assert_eq!(lines.lines().filter(|line| line.contains(change)).count(), 1, "{change}: {lines}");
    }
}

#[test]
fn a_mesh_is_not_whole_while_a_strategy_finds_nobody() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let file = cluster.write("nodes", "# nobody yet\n");
    let spec = format!("file:{file}");
    let mesh = |more: &[&str]| cluster.run(&[&["mesh", "--node", beam.name()], more].concat());
    assert!(mesh(&[]).ok().contains("whole 1"));
    let ran = mesh(&["--discover", &spec]);
    assert!(ran.code == 2 && ran.out.contains("not whole: 1 strategy without nodes"), "{ran:?}");
    assert!(ran.err.contains(&spec) && ran.err.contains("no nodes"), "{ran:?}");
    assert!(cluster.run(&["mesh", "--discover", &spec]).failure(1).contains(&file));
}

#[test]
fn strategies_are_combined_and_explained() {
    let cluster = Cluster::start();
    let file = cluster.write("nodes", "a@127.0.0.1\n");
    let spec = format!("any(static:b@127.0.0.1; file:{file})");
    let ran = cluster.run(&["discover", &spec, "--format", "json"]);
    let nodes: Vec<_> = ran.json().as_array().unwrap().iter().map(|row| row["node"].clone()).collect();
    assert_eq!(nodes, ["a@127.0.0.1", "b@127.0.0.1"], "{ran:?}");
    assert!(cluster.run(&["discover", "file:/no/such/file"]).failure(1).contains("/no/such/file"));
    for (wrong, says) in [
        ("ec3:x", "there is no discovery strategy \"ec3\""),
        ("static:a@h,colour=red", "unknown field `colour`"),
        ("any(static:a@h", "any(STRATEGY"),
    ] {
        let ran = cluster.run(&["discover", wrong]);
        assert!(ran.code == 64 && ran.err.contains(says), "{ran:?}");
    }
    let ran = cluster.run(&["worker", "--removal", "sometimes"]);
    assert!(ran.code == 64 && ran.err.contains("when-gone-for"), "{ran:?}");
}
