//! `peerl sidecar`: nodes without discovery of their own stay connected.

use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, BeamBuilder, Otp, ProcessGuard, matrix, unique_name};

fn sidecar(cluster: &Cluster, app: &str, more: &[&str]) -> ProcessGuard {
    let arguments = ["sidecar", "--node", app, "--interval", "300ms"];
    let sidecar = ProcessGuard::spawn(&mut cluster.command(&[&arguments, more].concat()));
    sidecar.wait_for_line("ready", A_WHILE);
    sidecar
}

/// An app that does not connect by itself.
fn app(cluster: &Cluster, otp: Otp) -> BeamBuilder {
    Beam::elixir(otp).epmd(&cluster.epmd).args(["-kernel", "dist_auto_connect", "never"])
}

fn together<const N: usize>(builders: [BeamBuilder; N]) -> [Beam; N] {
    builders.map(|builder| std::thread::spawn(move || builder.start())).map(|starting| starting.join().unwrap())
}

fn wait_for_peers(app: &Beam, peers: &[&str]) {
    let names: Vec<String> = peers.iter().map(|name| format!("'{name}'")).collect();
    app.wait_for(&format!("lists:sort(nodes()) =:= lists:sort([{}])", names.join(",")), "true", A_WHILE);
}

fn wait_for_count(process: &ProcessGuard, line: &str, count: usize) {
    let end = Instant::now() + A_WHILE;
    while process.stdout().lines().filter(|found| found.contains(line)).count() < count {
        assert!(Instant::now() < end, "{count} times {line:?}: {}", process.stdout());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_unmodified_app_is_clustered_by_whatever_finds_its_peers() {
    for otp in matrix() {
        for strategy in ["epmd", "file", "static"] {
            let cluster = Cluster::start();
            let [app, one, other] = together([
                app(&cluster, otp),
                Beam::erlang(otp).epmd(&cluster.epmd),
                Beam::erlang(otp).epmd(&cluster.epmd),
            ]);
            let spec = match strategy {
                "epmd" => "epmd:127.0.0.1".to_owned(),
                "file" => format!("file:{}", cluster.write("peers", format!("{}\n{}\n", one.name(), other.name()))),
                _ => format!("static:{},{}", one.name(), other.name()),
            };
            let sidecar = sidecar(&cluster, app.name(), &["--discover", &spec]);
            wait_for_peers(&app, &[one.name(), other.name()]);
            sidecar.wait_for_line(&format!("up {}", app.name()), A_WHILE);
            for peer in [&one, &other] {
                sidecar.wait_for_line(&format!("connected {}", peer.name()), A_WHILE);
                assert_eq!(peer.eval("nodes(hidden)").unwrap(), "[]", "only the app knows the sidecar");
                assert!(peer.eval("nodes()").unwrap().contains(app.name()));
            }
            // The sidecar is a guest: not in nodes(), and ignored by `global`.
            assert_eq!(app.eval("length(nodes(hidden))").unwrap(), "1");
            assert_eq!(app.eval("global:sync()").unwrap(), "ok");
            assert_eq!(app.eval_elixir(":global.register_name(:some_name, self())").unwrap(), ":yes");
            assert_eq!(app.eval("global:set_lock({some, self()}, [node() | nodes()], 0)").unwrap(), "true");
            assert!(!cluster.epmd.names().iter().any(|(name, _)| name.starts_with("peerl")));

            sidecar.sigterm();
            assert_eq!(sidecar.wait(A_WHILE).code(), Some(0), "{}", sidecar.stderr());
            app.wait_for("nodes(hidden)", "[]", A_WHILE);
            wait_for_peers(&app, &[one.name(), other.name()]);
        }
    }
}

#[test]
fn the_app_may_start_later_and_again() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let peer = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let name = format!("{}@127.0.0.1", unique_name("app"));
        let peers = cluster.write("peers", peer.name());
        let sidecar = sidecar(&cluster, &name, &["--discover", &format!("file:{peers}"), "--format", "json"]);
        sidecar.wait_for_line("\"event\":\"waiting\"", A_WHILE);

        let first = app(&cluster, otp).name(&name).start();
        wait_for_peers(&first, &[peer.name()]);
        wait_for_count(&sidecar, "\"event\":\"up\"", 1);

        // The app dies and comes back, while discovery fails.
        std::fs::remove_file(&peers).unwrap();
        wait_for_count(&sidecar, "\"event\":\"discovery_failed\"", 1);
        assert_eq!(first.eval("length(nodes())").unwrap(), "1", "what fails ends no connection");
        first.kill();
        wait_for_count(&sidecar, "\"event\":\"down\"", 1);
        let second = app(&cluster, otp).name(&name).start();
        wait_for_peers(&second, &[peer.name()]);
        wait_for_count(&sidecar, "\"event\":\"up\"", 2);
        for line in sidecar.stdout().lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(event["event"].is_string(), "{line}");
        }
    }
}

#[test]
fn peers_that_die_come_and_go_are_taken_in_again() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [app, peer] = together([app(&cluster, otp), Beam::erlang(otp).epmd(&cluster.epmd)]);
        let file = cluster.write("peers", peer.name());
        let sidecar = sidecar(&cluster, app.name(), &["--discover", &format!("file:{file}")]);
        wait_for_peers(&app, &[peer.name()]);

        peer.kill();
        sidecar.wait_for_line(&format!("lost {}", peer.name()), A_WHILE);
        let line = sidecar.wait_for_line(&format!("cannot-connect {}", peer.name()), A_WHILE);
        assert!(line.contains("knows no such node"), "{line}");
        let again = Beam::erlang(otp).epmd(&cluster.epmd).name(peer.name()).start();
        wait_for_peers(&app, &[again.name()]);

        // An ended connection is restored; the two may do that themselves before the sidecar sees it.
        let started = Instant::now();
        while sidecar.stdout().matches("lost").count() < 2 {
            assert!(started.elapsed() < A_WHILE, "{}", sidecar.stdout());
            app.eval(&format!("erlang:disconnect_node('{}')", again.name())).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        wait_for_peers(&app, &[again.name()]);

        // An unlisted peer stays connected; a new one is connected at once.
        let late = Beam::erlang(otp).epmd(&cluster.epmd).start();
        cluster.write("peers", late.name());
        app.wait_for(&format!("lists:member('{}', nodes())", late.name()), "true", A_WHILE);
        assert!(app.eval("nodes()").unwrap().contains(again.name()));
    }
}

#[test]
fn a_peer_that_hangs_holds_nobody_up() {
    let cluster = Cluster::start();
    let [app, hanging, peer] = together([
        app(&cluster, Otp::V25),
        Beam::erlang(Otp::V25).epmd(&cluster.epmd),
        Beam::erlang(Otp::V25).epmd(&cluster.epmd),
    ]);
    hanging.sigstop();
    let started = Instant::now();
    let sidecar = sidecar(&cluster, app.name(), &["--discover", "epmd:127.0.0.1", "--timeout", "1s"]);
    wait_for_peers(&app, &[peer.name()]);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    let line = sidecar.wait_for_line(&format!("cannot-connect {}", hanging.name()), A_WHILE);
    assert!(line.contains("no answer"), "{line}");
    hanging.sigcont();
    wait_for_peers(&app, &[peer.name(), hanging.name()]);

    // An app that hangs is not gone.
    app.sigstop();
    sidecar.wait_for_error_line("does not list its connections", A_WHILE);
    app.sigcont();
    assert_eq!(app.eval("length(nodes())").unwrap(), "2");
    assert!(!sidecar.stdout().contains("down"), "{}", sidecar.stdout());
}

#[test]
fn a_dry_run_changes_nothing() {
    let cluster = Cluster::start();
    let builder = || Beam::erlang(Otp::V25).epmd(&cluster.epmd);
    let [app, one, other] = together([app(&cluster, Otp::V25), builder(), builder()]);
    app.eval(&format!("net_kernel:connect_node('{}')", one.name())).unwrap();
    let dry = |more: &[&str]| {
        let arguments = ["sidecar", "--node", app.name(), "--discover", "epmd:127.0.0.1", "--dry-run"];
        cluster.run(&[&arguments, more].concat())
    };
    let rows = dry(&["--format", "json"]).json();
    let state =
        |name: &str| rows.as_array().unwrap().iter().find(|row| row["peer"] == name).unwrap()["connected"].clone();
    assert_eq!(
        (rows.as_array().unwrap().len(), state(one.name()), state(other.name())),
        (2, true.into(), false.into())
    );
    assert!(dry(&[]).ok().contains("would be connected"));
    // The app of this machine, by the naming rule.
    let of_this_machine = format!("auto:ip,towards=127.0.0.1,basename={}", app.name().split('@').next().unwrap());
    let auto = |node: &str| cluster.run(&["sidecar", "--node", node, "--discover", "epmd:127.0.0.1", "--dry-run"]);
    assert!(auto(&of_this_machine).ok().contains("would be connected"));
    let mistake = auto("auto:colour");
    assert!(mistake.code == 64 && mistake.err.contains("auto:colour"), "{mistake:?}");
    app.wait_for("nodes(hidden)", "[]", A_WHILE);
    wait_for_peers(&app, &[one.name()]);

    assert!(cluster.run(&["sidecar", "--node", app.name()]).failure(64).contains("--discover"));
    let nobody = ["sidecar", "--node", "nobody@127.0.0.1", "--discover", "epmd:127.0.0.1", "--dry-run"];
    assert!(cluster.run(&nobody).failure(1).contains("there is no node"));
}

#[test]
fn cookies_that_differ_are_told() {
    let cluster = Cluster::start();
    let [app, peer] = together([app(&cluster, Otp::V25), Beam::erlang(Otp::V25).epmd(&cluster.epmd).cookie("another")]);
    let discover = format!("static:{}", peer.name());
    let sidecar_ = sidecar(&cluster, app.name(), &["--discover", &discover]);
    let line = sidecar_.wait_for_line(&format!("cannot-connect {}", peer.name()), A_WHILE);
    assert!(line.contains(&format!("{} has another cookie", peer.name())), "{line}");
    sidecar_.sigint();
    assert_eq!(sidecar_.wait(A_WHILE).code(), Some(0));

    let stranger = sidecar(&cluster, app.name(), &["--discover", &discover, "--cookie", "wrong"]);
    let line = stranger.wait_for_line(&format!("waiting {}", app.name()), A_WHILE);
    assert!(line.contains("cookie"), "{line}");
}

#[test]
fn short_names_too() {
    let cluster = Cluster::start();
    let short = |builder: BeamBuilder| builder.short_names().epmd(&cluster.epmd);
    let [app, peer] = together([short(Beam::elixir(Otp::V25)), short(Beam::erlang(Otp::V25))]);
    let _sidecar = sidecar(&cluster, app.name(), &["--discover", "epmd:localhost"]);
    wait_for_peers(&app, &[peer.name()]);
}
