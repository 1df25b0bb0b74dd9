//! Options of commands as variables and as keys of the file.

use crate::cluster::{A_WHILE, Cluster, run};
use peerl_test_support::{Beam, Otp, ProcessGuard, peerl_command, unique_name};

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
    // A worker joins the nodes in the file; the variable sets its interval, the file its discovery.
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
fn the_options_of_the_page_are_settings_whose_token_is_kept_secret() {
    use std::os::unix::fs::PermissionsExt;
    let cluster = Cluster::start();
    let web = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = cluster.command(&[&["web", "--node", "nobody@127.0.0.1"], more].concat());
        command.envs(variables.iter().copied());
        command
    };
    // A public address without a token; then with a token that can be guessed, and one in a file that others can
    // read.
    let said = run(web(&[("PEERL_WEB", "0.0.0.0:0")], &[])).failure(64);
    assert!(said.contains("0.0.0.0:0") && said.contains("no token"), "{said}");
    let said = run(web(&[("PEERL_WEB", "0.0.0.0:0"), ("PEERL_TOKEN", "guess")], &[])).failure(64);
    assert!(said.contains("16 characters") && !said.contains("guess"), "{said}");
    let help = run(web(&[("PEERL_TOKEN", "correct-horse-battery")], &["--help"])).ok();
    assert!(help.contains("--token") && !help.contains("correct-horse"), "{help}");
    cluster.write("peerl.toml", "token = 'correct-horse-battery'\n");
    let path = cluster.path("peerl.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = run(web(&[("PEERL_WEB", "0.0.0.0:0")], &[])).failure(64);
    assert!(said.contains("holds a token"), "{said}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let page = ProcessGuard::spawn(&mut web(&[("PEERL_WEB", "0.0.0.0:0")], &[]));
    page.wait_for_line("ready ", A_WHILE);
    // What the demo does in a single run is not a setting.
    let mut demo = peerl_command();
    demo.args(["demo", "--workers", "1", "--pages", "10"]).env("PEERL_WEB", "127.0.0.1:0");
    run(demo).ok();
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
