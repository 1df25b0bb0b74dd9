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
