//! Options of commands as variables and as keys of the file.

mod cluster;

use cluster::{A_WHILE, Cluster, run};
use peerl_test_support::{Beam, Otp, ProcessGuard, unique_name};

#[test]
fn nodes_and_intervals_come_from_variables_and_the_file() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let mut command = cluster.command(&["nodes", "--format", "json"]);
    let ran = run({
        command.env("PEERL_NODE", beam.name());
        command
    });
    assert!(ran.ok().contains(beam.name()));
    // A worker joins the nodes of the file; its interval is that of the variable, and discovery that of the file.
    let file = cluster.write("peers", "\n");
    cluster.write("peerl.toml", format!("interval = '1h'\ndiscover = 'file:{file}'\nnode = ['{}']\n", beam.name()));
    let name = format!("{}@127.0.0.1", unique_name("w"));
    let mut command = cluster.command(&["worker", "--name", &name, "--listen", "127.0.0.1"]);
    let worker = ProcessGuard::spawn(command.env("PEERL_INTERVAL", "200ms").env("PEERL_INTERVALL", "1s"));
    beam.wait_for("nodes()", &format!("['{name}']"), A_WHILE);
    let line = worker.wait_for_error_line("PEERL_INTERVALL", A_WHILE);
    assert!(line.contains("WARN") && line.contains("nearest one is PEERL_INTERVAL"), "{line}");
}

#[test]
fn what_an_option_does_not_take_is_said_of_the_variable_or_key() {
    let cluster = Cluster::start();
    let ping = |variable: Option<&str>, more: &[&str]| {
        let mut command = cluster.command(&[&["ping", "nobody@127.0.0.1"], more].concat());
        command.envs(variable.map(|value| ("PEERL_TIMEOUT", value)));
        run(command)
    };
    let said = ping(Some("soon"), &[]).failure(64);
    assert!(said.contains("PEERL_TIMEOUT") && said.contains("soon"), "{said}");
    ping(Some("soon"), &["--timeout", "5s"]).failure(1);
    cluster.write("peerl.toml", "timeout = 'later'\n");
    let said = ping(None, &[]).failure(64);
    assert!(said.contains("timeout") && said.contains("later"), "{said}");
    ping(Some("5s"), &[]).failure(1);
    cluster.write("peerl.toml", "time_out = '1s'\n");
    let said = ping(None, &[]).failure(64);
    assert!(said.contains("time_out") && said.contains("nearest one is `timeout`"), "{said}");
}

#[test]
fn a_peer_can_have_a_cookie_and_a_node_another_tick_time() {
    use std::os::unix::fs::PermissionsExt;
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    beam.eval("erlang:set_cookie(node(), 'another')").unwrap();
    let ping = || cluster.run(&["ping", beam.name()]);
    ping().failure(1);
    cluster.write("peerl.toml", format!("net_ticktime = 20\n[cookies]\n'{}' = 'another'\n", beam.name()));
    let path = cluster.path("peerl.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    ping().ok();
}
