//! Nodes that discovery no longer lists: peers stay connected, and an unlisted node itself leaves the mesh.

use std::process::Command;
use std::time::Duration;

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, COOKIE, Lan, Machine, Otp, ProcessGuard, matrix, peerl_command, unique_name};

/// With polls every 300 ms, anything due after a second has happened.
const LONG_ENOUGH: Duration = Duration::from_secs(4);

/// Records from now on which nodes each of these loses.
fn watch(beams: &[&Beam]) {
    let watch = "Loop = fun Loop(Lost) ->
                     receive
                         {nodedown, Node} -> Loop([Node | Lost]);
                         {ask, From} -> From ! {lost, lists:sort(Lost)}, Loop(Lost);
                         _ -> Loop(Lost)
                     end
                 end,
                 Self = self(),
                 spawn(fun() ->
                     register(watch, self()),
                     net_kernel:monitor_nodes(true),
                     Self ! watching,
                     Loop([])
                 end),
                 receive watching -> ok end";
    for beam in beams {
        assert_eq!(beam.eval(watch).unwrap(), "ok");
    }
}

/// The nodes that it has lost, one entry for each time.
fn lost(beam: &Beam) -> String {
    beam.eval("watch ! {ask, self()}, receive {lost, Lost} -> Lost after 20000 -> timeout end").unwrap()
}

fn list(beams: &[&Beam]) -> String {
    beams.iter().map(|beam| format!("{}\n", beam.name())).collect()
}

/// Waits until each of these is connected to all others, and to no other visible node.
fn wait_for_mesh(names: &[&str], beams: &[&Beam]) {
    for beam in beams {
        let others: Vec<String> =
            names.iter().filter(|name| **name != beam.name()).map(|name| format!("'{name}'")).collect();
        beam.wait_for(&format!("lists:sort(nodes()) =:= lists:sort([{}])", others.join(",")), "true", A_WHILE);
    }
}

fn sidecar(cluster: &Cluster, app: &str, spec: &str) -> ProcessGuard {
    let arguments = ["--node", app, "--discover", spec, "--interval", "300ms", "--removal", "when-gone-for=1s"];
    let sidecar = ProcessGuard::spawn(&mut cluster.command(&[&["sidecar"], &arguments[..]].concat()));
    sidecar.wait_for_line("ready", A_WHILE);
    sidecar
}

#[test]
fn a_sidecar_ends_nothing_when_a_peer_is_no_longer_listed() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [a, b, c] = [(); 3].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        let names = [a.name(), b.name(), c.name()];
        let spec = format!("file:{}", cluster.write("peers", list(&[&a, &b, &c])));
        let sidecar = sidecar(&cluster, a.name(), &spec);
        wait_for_mesh(&names, &[&a, &b, &c]);
        watch(&[&a, &b, &c]);

        cluster.write("peers", list(&[&a, &c]));
        let line = sidecar.wait_for_line(&format!("unlisted {}", b.name()), A_WHILE);
        assert!(line.contains(&spec) && line.contains("stays connected"), "{line}");
        let line = sidecar.wait_for_error_line(&format!("peer={}", b.name()), A_WHILE);
        assert!(line.contains("WARN") && line.contains("no longer listed"), "{line}");
        std::thread::sleep(LONG_ENOUGH);
        wait_for_mesh(&names, &[&a, &b, &c]);
        for beam in [&a, &b, &c] {
            assert_eq!(lost(beam), "[]", "{} on OTP {}", beam.name(), otp.number());
        }
        assert_eq!(sidecar.stdout().matches("unlisted").count(), 1, "{}", sidecar.stdout());
    }
}

#[test]
fn an_app_that_is_not_listed_itself_leaves_and_joins_when_it_is_listed_again() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [a, b, c] = [(); 3].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        let spec = format!("file:{}", cluster.write("peers", list(&[&a, &b, &c])));
        let sidecar = sidecar(&cluster, a.name(), &spec);
        let names = [a.name(), b.name(), c.name()];
        wait_for_mesh(&names, &[&a, &b, &c]);
        watch(&[&b, &c]);

        cluster.write("peers", list(&[&b, &c]));
        let line = sidecar.wait_for_line("left", A_WHILE);
        assert!(line.contains(b.name()) && line.contains(c.name()), "{line}");
        wait_for_mesh(&names[..1], &[&a]);
        std::thread::sleep(LONG_ENOUGH);
        wait_for_mesh(&names[..1], &[&a]);
        wait_for_mesh(&names[1..], &[&b, &c]);

        // Even after a restart, the sidecar does not connect it.
        let name = a.name().to_owned();
        a.kill();
        let again = Beam::erlang(otp).epmd(&cluster.epmd).name(&name).start();
        sidecar.wait_for_line(&format!("down {name}"), A_WHILE);
        again.wait_for("length(nodes(hidden))", "1", A_WHILE);
        std::thread::sleep(LONG_ENOUGH);
        assert_eq!(again.eval("nodes()").unwrap(), "[]");

        cluster.write("peers", list(&[&again, &b, &c]));
        wait_for_mesh(&names, &[&again, &b, &c]);
        sidecar.wait_for_line("rejoining", A_WHILE);
        for beam in [&b, &c] {
            assert_eq!(lost(beam), format!("['{name}']"), "{} on OTP {}", beam.name(), otp.number());
        }
    }
}

#[test]
fn a_worker_leaves_by_the_same_rule() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [b, c] = [(); 2].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        assert!(b.ping(c.name()));
        let file = cluster.write("nodes", list(&[&b, &c]));
        let options = ["--interval", "300ms", "--removal", "when-gone-for=1s"];
        let (worker, name) = cluster.worker(&[&["--discover", &format!("file:{file}")], &options[..]].concat());
        let names = [&name, b.name(), c.name()];
        wait_for_mesh(&names, &[&b, &c]);
        // It was never listed, so the list contains only other nodes.
        watch(&[&b, &c]);
        std::thread::sleep(LONG_ENOUGH);
        assert_eq!([lost(&b), lost(&c)], ["[]", "[]"]);

        // What it says of a node that is not there shows that it has read this list.
        cluster.write("nodes", format!("{name}\nprobe@127.0.0.1\n{}", list(&[&b, &c])));
        worker.wait_for_error_line("there is no node probe@127.0.0.1", A_WHILE);
        cluster.write("nodes", list(&[&b, &c]));
        worker.wait_for_error_line("the node has left the mesh", A_WHILE);
        wait_for_mesh(&names[1..], &[&b, &c]);
        std::thread::sleep(LONG_ENOUGH);
        wait_for_mesh(&names[1..], &[&b, &c]);
        cluster.write("nodes", format!("{name}\n{}", list(&[&b, &c])));
        wait_for_mesh(&names, &[&b, &c]);
        assert_eq!([lost(&b), lost(&c)], [format!("['{name}']"), format!("['{name}']")]);
    }
}

#[test]
fn a_node_that_cannot_leave_says_so_and_stays() {
    let cluster = Cluster::start();
    let b = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    // It lacks the function, like releases before 25.1.
    let (_worker, app) = cluster.worker(&["--no-global"]);
    let all = format!("{app}\n{}", b.name());
    let spec = format!("file:{}", cluster.write("peers", &all));
    let sidecar = sidecar(&cluster, &app, &spec);
    let connected = format!("['{app}']");
    b.wait_for("nodes(hidden)", &connected, A_WHILE);
    cluster.write("peers", b.name());
    let line = sidecar.wait_for_line("cannot-leave", A_WHILE);
    assert!(line.contains("25.1") && line.contains("stays connected"), "{line}");
    std::thread::sleep(LONG_ENOUGH);
    assert_eq!(b.eval("nodes(hidden)").unwrap(), connected);
    assert_eq!(sidecar.stdout().matches("cannot-leave").count(), 1, "{}", sidecar.stdout());
}

/// Each node is on its own machine, with its EPMD and its sidecar.
#[test]
fn sidecars_of_a_network_take_out_their_own_app_only() {
    let (lan, files) = (Lan::start(), tempfile::tempdir().unwrap());
    let machines: [Machine; 3] = [11, 12, 13].map(|number| lan.machine(lan.address(number)));
    let _epmds = machines.each_ref().map(|machine| {
        let epmd = ProcessGuard::spawn(&mut machine.command(Command::new("epmd")));
        let answers = || {
            let mut names = Command::new("epmd");
            names.arg("-names");
            machine.command(names).output().unwrap().status.success()
        };
        let end = std::time::Instant::now() + A_WHILE;
        while !answers() {
            assert!(std::time::Instant::now() < end, "no EPMD: {}", epmd.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        epmd
    });
    let beams = machines.each_ref().map(|machine| {
        let name = format!("{}@{}", unique_name("svc"), machine.address());
        Beam::erlang(Otp::V25).name(&name).on(machine).epmd_port(4369).start()
    });
    let [x, y, z] = &beams;
    let names = [x.name(), y.name(), z.name()];
    let peers = files.path().join("peers");
    std::fs::write(&peers, list(&[x, y, z])).unwrap();
    let spec = format!("file:{}", peers.display());
    let sidecars = [0, 1, 2].map(|index| {
        let mut command = peerl_command();
        let options = ["--discover", &spec, "--interval", "300ms", "--removal", "when-gone-for=2s"];
        command.args(["sidecar", "--node", names[index]]).args(options);
        command.current_dir(files.path()).env("HOME", files.path()).env("PEERL_COOKIE", COOKIE);
        let sidecar = ProcessGuard::spawn(&mut machines[index].command(command));
        sidecar.wait_for_line("ready", A_WHILE);
        sidecar
    });
    wait_for_mesh(&names, &[x, y, z]);
    watch(&[x, y, z]);

    std::fs::write(&peers, list(&[x, z])).unwrap();
    sidecars[1].wait_for_line("left", A_WHILE);
    sidecars[0].wait_for_line(&format!("forgotten {}", y.name()), A_WHILE);
    wait_for_mesh(&names[1..2], &[y]);
    std::thread::sleep(LONG_ENOUGH);
    wait_for_mesh(&names[1..2], &[y]);
    wait_for_mesh(&[x.name(), z.name()], &[x, z]);
    for other in [x, z] {
        assert_eq!(lost(other), format!("['{}']", y.name()));
    }
    std::fs::write(&peers, list(&[x, y, z])).unwrap();
    wait_for_mesh(&names, &[x, y, z]);
}
