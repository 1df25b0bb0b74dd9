//! Peers that are listed but absent: no node is made to dial them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, COOKIE, Lan, Otp, ProcessGuard, matrix, peerl_command, unique_name};

/// Long enough for several attempts with pauses from half a second on.
const SEVERAL_ATTEMPTS: Duration = Duration::from_secs(6);

/// Counts from now on how often the node is told to connect to each other node.
fn count_dials(beam: &Beam) {
    let count = "Loop = fun Loop(Nodes) ->
                     receive
                         {trace, _, call, {net_kernel, connect_node, [Node]}} -> Loop([Node | Nodes]);
                         {ask, Node, From} -> From ! {dials, length([N || N <- Nodes, N =:= Node])}, Loop(Nodes);
                         _ -> Loop(Nodes)
                     end
                 end,
                 Self = self(),
                 spawn(fun() ->
                     register(dials, self()),
                     erlang:trace_pattern({net_kernel, connect_node, 1}, true, [local]),
                     erlang:trace(new, true, [call, {tracer, self()}]),
                     Self ! counting,
                     Loop([])
                 end),
                 receive counting -> ok end";
    assert_eq!(beam.eval(count).unwrap(), "ok");
}

fn dials(beam: &Beam, node: &str) -> usize {
    let ask =
        format!("dials ! {{ask, '{node}', self()}}, receive {{dials, Count}} -> Count after 20000 -> timeout end");
    beam.eval(&ask).unwrap().parse().unwrap()
}

#[test]
fn an_app_is_not_made_to_dial_names_that_no_epmd_knows() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [app, peer] = [(); 2].map(|()| Beam::erlang(otp).epmd(&cluster.epmd).start());
        count_dials(&app);
        let dead = [(); 3].map(|()| format!("{}@127.0.0.1", unique_name("gone")));
        // Its host does not answer.
        let silent = "nobody@127.0.0.99";
        let peers = format!("{}\n{}\n{silent}\n", peer.name(), dead.join("\n"));
        let spec = format!("file:{}", cluster.write("peers", peers));
        let arguments = ["sidecar", "--node", app.name(), "--discover", &spec, "--interval", "300ms"];
        let sidecar = ProcessGuard::spawn(&mut cluster.command(&arguments));
        app.wait_for("nodes()", &format!("['{}']", peer.name()), A_WHILE);
        for name in &dead {
            let line = sidecar.wait_for_line(&format!("cannot-connect {name}"), A_WHILE);
            assert!(line.contains("knows no such node"), "{line}");
        }
        std::thread::sleep(SEVERAL_ATTEMPTS);
        assert!(dials(&app, peer.name()) >= 1, "it counts");
        for name in &dead {
            assert_eq!(dials(&app, name), 0, "{name}, OTP {}", otp.number());
        }
        let of_silent = dials(&app, silent);
        assert!((1..=2).contains(&of_silent), "a host without an answer is dialled, less and less often: {of_silent}");

        // A peer that starts later is connected nevertheless.
        let late = Beam::erlang(otp).epmd(&cluster.epmd).name(&dead[1]).start();
        app.wait_for(&format!("lists:member('{}', nodes())", late.name()), "true", A_WHILE);
        assert_eq!(dials(&app, late.name()), 1);
    }
}

/// The app and its sidecar are on one machine, the others on further machines.
#[test]
fn epmds_of_other_machines_are_asked() {
    let (lan, files) = (Lan::start(), tempfile::tempdir().unwrap());
    let [here, there, mute] = [21, 22, 23].map(|number| lan.machine(lan.address(number)));
    let _epmds = [&here, &there].map(|machine| {
        let epmd = ProcessGuard::spawn(&mut machine.command(Command::new("epmd")));
        let end = Instant::now() + A_WHILE;
        loop {
            let mut names = Command::new("epmd");
            names.arg("-names");
            if machine.command(names).output().unwrap().status.success() {
                return epmd;
            }
            assert!(Instant::now() < end, "no EPMD: {}", epmd.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let beam = |machine, stem: &str| {
        let name = format!("{}@{}", unique_name(stem), peerl_test_support::Machine::address(machine));
        Beam::erlang(Otp::V25).name(&name).on(machine).epmd_port(4369).start()
    };
    let (app, peer) = (beam(&here, "front"), beam(&there, "store"));
    count_dials(&app);
    let (dead, silent) = (format!("retired@{}", there.address()), format!("retired@{}", mute.address()));
    let spec = format!("static:{},{dead},{silent}", peer.name());
    let mut command = peerl_command();
    command.args(["sidecar", "--node", app.name(), "--discover", &spec, "--interval", "300ms"]);
    command.current_dir(files.path()).env("HOME", files.path()).env("PEERL_COOKIE", COOKIE);
    let sidecar = ProcessGuard::spawn(&mut here.command(command));
    app.wait_for("nodes()", &format!("['{}']", peer.name()), A_WHILE);
    sidecar.wait_for_line(&format!("cannot-connect {dead}"), A_WHILE);
    sidecar.wait_for_line(&format!("cannot-connect {silent}"), A_WHILE);
    std::thread::sleep(SEVERAL_ATTEMPTS);
    assert_eq!([dials(&app, peer.name()), dials(&app, &dead)], [1, 0]);
    assert!((1..=2).contains(&dials(&app, &silent)));
}
