//! `peerl mesh`: separately started nodes become a mesh, and stay one.

use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster, Ran};
use peerl_test_support::{Beam, BeamBuilder, Otp, ProcessGuard, free_port, matrix};

/// For nodes that do not connect by themselves. Their `global`, which cannot either, would disconnect others for each hole of the mesh.
const LONER: [&str; 6] =
    ["-kernel", "dist_auto_connect", "never", "-kernel", "prevent_overlapping_partitions", "false"];

fn loners(cluster: &Cluster, otp: Otp, count: usize) -> Vec<Beam> {
    let builders = (0..count).map(|index| match index {
        0 => Beam::elixir(otp),
        _ => Beam::erlang(otp),
    });
    start(builders.map(|builder| builder.epmd(&cluster.epmd).args(LONER)))
}

fn start(builders: impl Iterator<Item = BeamBuilder>) -> Vec<Beam> {
    let starting: Vec<_> = builders.map(|builder| std::thread::spawn(move || builder.start())).collect();
    starting.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// The nodes that a node reports as connected.
fn peers(beam: &Beam) -> Vec<String> {
    let nodes = beam.eval("lists:sort(nodes())").unwrap();
    let names = nodes.trim_matches(['[', ']']).split(',').map(|name| name.trim_matches('\'').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

#[track_caller]
fn assert_mesh(beams: &[&Beam]) {
    for beam in beams {
        let mut others: Vec<&str> =
            beams.iter().map(|other| other.name()).filter(|name| *name != beam.name()).collect();
        others.sort();
        assert_eq!(peers(beam), others, "{}", beam.name());
    }
}

fn wait_for_mesh(beams: &[&Beam]) {
    let end = Instant::now() + A_WHILE;
    while beams.iter().any(|beam| peers(beam).len() < beams.len() - 1) {
        assert!(Instant::now() < end, "{:?}", beams.iter().map(|beam| peers(beam)).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_mesh(beams);
}

fn mesh(cluster: &Cluster, more: &[&str]) -> Ran {
    cluster.run(&[&["mesh", "--discover", "epmd:127.0.0.1", "--format", "json"], more].concat())
}

fn watch(cluster: &Cluster, more: &[&str]) -> ProcessGuard {
    let arguments = ["mesh", "--discover", "epmd:127.0.0.1", "--watch", "--interval", "300ms"];
    ProcessGuard::spawn(&mut cluster.command(&[&arguments, more].concat()))
}

fn strings(value: &serde_json::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn nodes_started_apart_become_a_mesh() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beams = loners(&cluster, otp, 4);
        let all: Vec<&Beam> = beams.iter().collect();

        let dry = mesh(&cluster, &["--dry-run"]);
        assert_eq!(dry.code, 2, "{dry:?}");
        let report = dry.json();
        assert_eq!(report["whole"], false);
        assert_eq!(report["partitions"].as_array().unwrap().len(), 4);
        assert_eq!(report["would_connect"].as_array().unwrap().len(), 6);
        assert_eq!(report["connected"].as_array().unwrap().len(), 0);
        assert!(all.iter().all(|beam| peers(beam).is_empty()), "a dry run does nothing");

        let healed = mesh(&cluster, &[]);
        assert_eq!(healed.code, 0, "{healed:?}");
        let report = healed.json();
        assert_eq!(report["connected"].as_array().unwrap().len(), 6);
        let mut names: Vec<&str> = all.iter().map(|beam| beam.name()).collect();
        names.sort();
        assert_eq!(strings(&report["partitions"][0]), names);
        for (row, name) in report["nodes"].as_array().unwrap().iter().zip(&names) {
            assert_eq!((row["node"].as_str(), row["kind"].as_str()), (Some(*name), Some("beam")));
            assert_eq!(row["release"], otp.number().to_string());
            assert_eq!(strings(&row["connected"]).len(), 3);
        }
        assert_mesh(&all);
        // The guest leaves nothing behind, and nothing is left to do.
        beams[0].wait_for("nodes(hidden)", "[]", A_WHILE);
        let again = cluster.run(&["mesh", "--discover", "epmd:127.0.0.1"]).ok();
        assert!(again.contains("whole 4") && !again.contains("connected "), "{again}");
    }
}

#[test]
fn a_mesh_with_a_hole_is_seen_and_filled() {
    let cluster = Cluster::start();
    let mut beams = loners(&cluster, Otp::V25, 3);
    beams.sort_by(|one, other| one.name().cmp(other.name()));
    for (one, other) in [(0, 1), (1, 2)] {
        let connect = format!("net_kernel:connect_node('{}')", beams[other].name());
        assert_eq!(beams[one].eval(&connect).unwrap(), "true");
    }
    let dry = mesh(&cluster, &["--dry-run"]).json();
    assert_eq!(dry["partitions"].as_array().unwrap().len(), 1);
    let missing = dry["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "{dry}");
    let ends = [missing[0]["node"].as_str().unwrap(), missing[0]["peer"].as_str().unwrap()];
    assert!(ends.contains(&beams[0].name()) && ends.contains(&beams[2].name()), "{dry}");
    assert_eq!(mesh(&cluster, &[]).code, 0);
    assert_mesh(&beams.iter().collect::<Vec<_>>());
}

#[test]
fn watching_heals_what_breaks() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beams = loners(&cluster, otp, 3);
        let all: Vec<&Beam> = beams.iter().collect();
        let watch = watch(&cluster, &["--format", "json"]);
        watch.wait_for_line("\"whole\",\"nodes\":3,\"unreachable\":0", A_WHILE);
        wait_for_mesh(&all);

        // One node is cut off, which a BEAM with `dist_auto_connect never` does not repair.
        for other in &beams[1..] {
            beams[0].eval(&format!("erlang:disconnect_node('{}')", other.name())).unwrap();
        }
        watch.wait_for_line("\"partitioned\"", A_WHILE);
        wait_for_mesh(&all);

        // A later node is included.
        let late = Beam::erlang(otp).epmd(&cluster.epmd).args(LONER).start();
        wait_for_mesh(&[&beams[0], &beams[1], &beams[2], &late]);

        watch.sigterm();
        assert_eq!(watch.wait(A_WHILE).code(), Some(0), "{}", watch.stderr());
        assert_mesh(&[&beams[0], &beams[1], &beams[2], &late]);
        for line in watch.stdout().lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(event["event"].is_string(), "{line}");
        }
    }
}

#[test]
fn nodes_that_hang_or_have_gone_are_named_and_hold_nobody_up() {
    let cluster = Cluster::start();
    let beams = loners(&cluster, Otp::V25, 4);
    let (hanging, dead) = (&beams[3], format!("dead@{}", "127.0.0.1"));
    hanging.sigstop();
    let started = Instant::now();
    let ran = cluster.run(&[
        "mesh",
        "--discover",
        "epmd:127.0.0.1",
        "--node",
        &dead,
        "--timeout",
        "2500ms",
        "--format",
        "json",
    ]);
    let took = started.elapsed();
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_mesh(&[&beams[0], &beams[1], &beams[2]]);
    let report = ran.json();
    let error = |name: &str| {
        let row = report["nodes"].as_array().unwrap().iter().find(|row| row["node"] == name).unwrap();
        row["error"].as_str().unwrap_or_default().to_owned()
    };
    assert!(error(hanging.name()).contains("no answer within"), "{report}");
    assert!(error(&dead).contains("there is no node"), "{report}");
    assert_eq!(error(beams[0].name()), "");
    hanging.sigcont();
    assert_eq!(mesh(&cluster, &[]).code, 0);
    assert_mesh(&beams.iter().collect::<Vec<_>>());
}

#[test]
fn one_that_hangs_while_watched_is_taken_in_when_it_goes_on() {
    let cluster = Cluster::start();
    let beams = loners(&cluster, Otp::V25, 3);
    let watch = watch(&cluster, &["--timeout", "1s"]);
    watch.wait_for_line("whole 3", A_WHILE);
    beams[2].sigstop();
    watch.wait_for_line(&format!("unreachable {}", beams[2].name()), A_WHILE);
    // The others continue to be healed.
    beams[0].eval(&format!("erlang:disconnect_node('{}')", beams[1].name())).unwrap();
    watch.wait_for_line("partitioned", A_WHILE);
    wait_for_mesh_of_two(&beams[0], &beams[1]);
    beams[2].sigcont();
    let end = Instant::now() + A_WHILE;
    while watch.stdout().matches(&format!("reached {}", beams[2].name())).count() < 2 {
        assert!(Instant::now() < end, "{}", watch.stdout());
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_for_mesh(&beams.iter().collect::<Vec<_>>());
    watch.sigint();
    assert_eq!(watch.wait(A_WHILE).code(), Some(0));
}

fn wait_for_mesh_of_two(one: &Beam, other: &Beam) {
    one.wait_for(&format!("lists:member('{}', nodes())", other.name()), "true", A_WHILE);
    other.wait_for(&format!("lists:member('{}', nodes())", one.name()), "true", A_WHILE);
}

#[test]
fn hidden_nodes_are_left_alone_and_workers_and_loners_taken_in() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let epmd = |builder: BeamBuilder| builder.epmd(&cluster.epmd);
        let beams = start(
            [
                epmd(Beam::erlang(otp)),
                epmd(Beam::erlang(otp)).args(["-connect_all", "false"]),
                epmd(Beam::erlang(otp)).hidden(),
            ]
            .into_iter(),
        );
        let (_one, one) = cluster.worker(&[]);
        let (_two, two) = cluster.worker(&[]);
        let (_unseen, unseen) = cluster.worker(&["--hidden"]);
        let ran = mesh(&cluster, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let mut others = vec![beams[1].name().to_owned(), one.clone(), two.clone()];
        others.sort();
        assert_eq!(peers(&beams[0]), others);
        assert_eq!(peers(&beams[1]).len(), 3);
        // A hidden node is left alone; the command's own node may be there for a moment.
        beams[2].wait_for("nodes(connected)", "[]", A_WHILE);
        let seen = beams[0].eval(&format!("lists:sort(rpc:call('{one}', erlang, nodes, []))")).unwrap();
        assert!([beams[0].name(), beams[1].name(), &two].iter().all(|name| seen.contains(name)), "{seen}");
        let report = ran.json();
        let row = |name: &str| report["nodes"].as_array().unwrap().iter().find(|row| row["node"] == name).unwrap();
        assert_eq!((&row(&one)["kind"], &row(&one)["hidden"]), (&"peerl".into(), &false.into()));
        assert_eq!((&row(&unseen)["kind"], &row(&unseen)["hidden"]), (&"peerl".into(), &true.into()));
        assert_eq!((&row(beams[2].name())["hidden"], &row(beams[2].name())["kind"]), (&true.into(), &"beam".into()));
        assert_eq!(row(beams[1].name())["connect_all"], false);
        assert_eq!(row(beams[0].name())["connect_all"], true);

        assert_eq!(mesh(&cluster, &["--with-hidden"]).code, 0);
        beams[2].wait_for("length(nodes(connected))", "5", A_WHILE);
    }
}

#[test]
fn other_cookies_are_reported() {
    let cluster = Cluster::start();
    let builder = || Beam::erlang(Otp::V25).epmd(&cluster.epmd);
    let beams = start([builder(), builder(), builder().cookie("another"), builder()].into_iter());
    // These two have cookies of their own for each other, but the cluster's for all others.
    for (one, other) in [(0, 3), (3, 0)] {
        beams[one].eval(&format!("erlang:set_cookie('{}', 'own_{one}')", beams[other].name())).unwrap();
    }
    let ran = mesh(&cluster, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let report = ran.json();
    let stranger = report["nodes"].as_array().unwrap().iter().find(|row| row["node"] == beams[2].name()).unwrap();
    assert!(stranger["error"].as_str().unwrap().contains("cookie"), "{report}");
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "{report}");
    let error = missing[0]["error"].as_str().unwrap();
    assert!(error.contains("a cookie of its own") && error.contains("finds it at port"), "{report}");
    wait_for_mesh_of_two(&beams[0], &beams[1]);
    assert_eq!(beams[2].eval("nodes(connected)").unwrap(), "[]");
}

#[test]
fn short_names_too() {
    let cluster = Cluster::start();
    let builder = || Beam::erlang(Otp::V25).short_names().epmd(&cluster.epmd);
    let beams = start([builder(), builder()].into_iter());
    let ran = cluster.run(&["mesh", "--discover", "epmd:localhost"]).ok();
    assert!(ran.contains("whole 2"), "{ran}");
    assert_mesh(&[&beams[0], &beams[1]]);
}

#[test]
fn failures_are_told() {
    let cluster = Cluster::start();
    assert!(cluster.run(&["mesh"]).failure(64).contains("--discover"));
    assert!(cluster.run(&["mesh", "--discover", "epmd:127.0.0.1"]).failure(1).contains("no nodes"));
    let nobody = cluster.run(&["mesh", "--node", "nobody@127.0.0.1"]);
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.out.contains("unreachable nobody@127.0.0.1"), "{nobody:?}");

    // With --watch, missing nodes are awaited.
    let watch = watch(&cluster, &[]);
    watch.wait_for_line("discovery-failed", A_WHILE);
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    watch.wait_for_line(&format!("reached {} (beam, OTP 25)", beam.name()), A_WHILE);
    watch.wait_for_line("whole 1", A_WHILE);
    let port = free_port();
    let gone = ProcessGuard::spawn(
        cluster
            .command(&["mesh", "--discover", "epmd:127.0.0.1", "--watch", "--interval", "300ms"])
            .env("ERL_EPMD_PORT", port.to_string()),
    );
    gone.wait_for_line("discovery-failed", A_WHILE);
    gone.sigterm();
    assert_eq!(gone.wait(A_WHILE).code(), Some(0));
}
