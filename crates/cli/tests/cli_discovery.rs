//! Discovery as users see it: strategies on the command line, a file that is watched, peers that are removed.

mod cluster;

use cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, Otp};

#[test]
fn a_worker_follows_a_file_and_disconnects_who_is_gone_for_long_enough() {
    let cluster = Cluster::start();
    let [a, b] = [(); 2].map(|()| Beam::erlang(Otp::V25).epmd(&cluster.epmd).start());
    let file = cluster.write("nodes", format!("# our nodes\n{}\n{}\n", a.name(), b.name()));
    let spec = format!("file:{file}");
    let (_worker, name) = cluster.worker(&["--discover", &spec, "--interval", "1s", "--removal", "when-gone-for=2s"]);
    let seen = format!("['{name}']");
    a.wait_for("nodes()", &seen, A_WHILE);
    b.wait_for("nodes()", &seen, A_WHILE);

    // A file that is broken, empty or away is no reason to disconnect anybody; nor is a long time of that.
    for content in ["this is no node\n", "# nobody\n"] {
        cluster.write("nodes", content);
        std::thread::sleep(std::time::Duration::from_secs(4));
    }
    std::fs::remove_file(&file).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!([a.eval("nodes()").unwrap(), b.eval("nodes()").unwrap()], [seen.clone(), seen.clone()]);

    cluster.write("nodes", b.name());
    a.wait_for("nodes()", "[]", A_WHILE);
    assert_eq!(b.eval("nodes()").unwrap(), seen);
    cluster.write("nodes", format!("[{:?}, {:?}]", a.name(), b.name()));
    a.wait_for("nodes()", &seen, A_WHILE);
}

/// A name server that says 127.0.0.1 to every question, or, once told so, that it fails.
#[cfg(feature = "dns")]
fn name_server(failing: std::sync::Arc<std::sync::atomic::AtomicBool>) -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1024];
        while let Ok((_, from)) = socket.recv_from(&mut query) {
            let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..12 + name + 5];
            let fails = failing.load(std::sync::atomic::Ordering::SeqCst);
            let (code, answers) = if fails { (0x82, 0) } else { (0x80, 1) };
            let mut response = vec![query[0], query[1], 0x81, code, 0, 1, 0, answers, 0, 0, 0, 0];
            response.extend(question);
            if !fails {
                // The name as in the question, A, IN, for 60 s, four bytes.
                response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
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
    let failing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let resolver = name_server(failing.clone());
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let (basename, _) = beam.name().split_once('@').unwrap();
    let spec = format!("dns:app.internal,basename={basename},resolver={resolver},timeout=500ms");
    let (worker, name) = cluster.worker(&["--discover", &spec, "--interval", "200ms", "--removal", "when-gone-for=1s"]);
    let seen = format!("['{name}']");
    beam.wait_for("nodes()", &seen, A_WHILE);
    failing.store(true, std::sync::atomic::Ordering::SeqCst);
    worker.wait_for_error_line("discovery failed", A_WHILE);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(beam.eval("nodes()").unwrap(), seen);
    // A connection that is lost meanwhile is made again.
    beam.eval(&format!("erlang:disconnect_node('{name}')")).unwrap();
    beam.wait_for("nodes()", &seen, A_WHILE);
    let ran = cluster.run(&["discover", &spec]);
    assert!(ran.code == 1 && ran.err.contains("app.internal"), "{ran:?}");
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
