//! The help texts, and errors in using the command line.

use crate::cluster::{Cluster, run};
use peerl_test_support::{HttpServer, Request, Response, free_port, peerl_command};

fn peerl(arguments: &[&str]) -> crate::cluster::Ran {
    let mut command = peerl_command();
    command.args(arguments).current_dir(std::env::temp_dir()).env("ERL_EPMD_PORT", free_port().to_string());
    run(command)
}

#[test]
fn every_command_has_help_with_examples() {
    let help = peerl(&["help"]).ok();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further indentation continues the description of the command before.
    let commands = commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|command| *command != "help").collect();
    assert!(commands.len() > 8, "{help}");
    for command in commands {
        for arguments in [["help", command], [command, "--help"]] {
            let help = peerl(&arguments).ok();
            assert!(help.contains("Examples:"), "{command}");
            assert!(help.contains(&format!("peerl {command}")), "{command}");
        }
    }
    assert!(peerl(&["--version"]).ok().starts_with("peerl 0."));
}

#[test]
fn manual_pages_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man/man1");
    peerl(&["man", pages.to_str().unwrap()]).ok();
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(page("peerl.1").contains("peerl\\-worker(1)"));
    assert!(page("peerl-worker.1").contains("\\-\\-drain"));
    assert_eq!(peerl(&["man", "/dev/null/no"]).code, 1);
}

#[test]
fn health_is_what_the_admin_endpoint_says() {
    let endpoint = HttpServer::start(|request: Request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/healthz") => Response::json(200, "{\"healthy\":true}\n"),
        ("GET", "/readyz") => Response::json(503, "{\"ready\":false}\n"),
        _ => Response::text(404, ""),
    });
    let address = format!("127.0.0.1:{}", endpoint.port());
    let well = peerl(&["health", "--admin", &address]);
    assert_eq!((well.code, well.out.as_str()), (0, "{\"healthy\":true}\n"));
    let not_ready = peerl(&["health", "--admin", &address, "--ready"]);
    assert_eq!((not_ready.code, not_ready.out.as_str()), (1, "{\"ready\":false}\n"));
    endpoint.refuse();
    let away = peerl(&["health", "--admin", &address]);
    assert_eq!(away.code, 1);
    assert!(away.err.contains("does not answer") && away.err.contains("--admin"), "{}", away.err);
    assert_eq!(peerl(&["health", "--admin", "nowhere"]).code, 64);
    assert_eq!(peerl(&["health"]).code, 64);
}

#[test]
fn mistakes_are_usage_errors() {
    for arguments in [
        &[][..],
        &["dance"],
        &["call"],
        &["call", "nobody", "a:b()"],
        &["call", "a@127.0.0.1", "lists:reverse("],
        &["call", "a@127.0.0.1", "not a call"],
        &["ping"],
        &["ping", "a@b@c"],
        &["checksum"],
        &["checksum", "http://127.0.0.1/"],
        &["checksum", "http://127.0.0.1/", "--local", "0"],
        &["checksum", "http://127.0.0.1/", "--local", "1", "--node", "a@127.0.0.1"],
        &["checksum", "http://127.0.0.1/", "--local", "1", "--resume"],
        &["checksum", "http://127.0.0.1/", "--local", "1", "--timeout", "soon"],
        &["checksum", "http://127.0.0.1/", "--node", "a@127.0.0.1", "--function", "m:f/2"],
        &["pmap", "m:f(_)"],
        &["pmap", "m:f(1)", "--items", "/dev/null", "--node", "a@127.0.0.1"],
        &["discover"],
        &["discover", "ec3:x"],
        &["worker", "--discover", "static:"],
        &["worker", "--name", "w@h"],
        &["worker", "--sname", "w@h.x"],
        &["worker", "--name", "w@127.0.0.1", "--sname", "w"],
        &["worker", "--dist-port", "9-1"],
        &["worker", "--name", "w@127.0.0.1", "--epmd", "none"],
        &["names", "--format", "yaml"],
        &["names", "localhost:port"],
        &["names", "--config", "/no/such/file"],
        &["completions", "tcsh"],
    ] {
        let ran = peerl(arguments);
        assert_eq!(ran.code, 64, "{arguments:?}: {ran:?}");
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn settings_come_from_flags_environment_and_file() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    cluster.write("peerl.toml", "format = 'json'\ndiscover = ['epmd:127.0.0.1']\n");
    assert_eq!(cluster.run(&["discover"]).json()[0]["node"], name);
    let from_environment = |format: &str, more: &[&str]| {
        let mut command = cluster.command(&[&["discover"], more].concat());
        command.env("PEERL_FORMAT", format);
        run(command).ok()
    };
    assert!(from_environment("erlang", &[]).starts_with("[#{"));
    assert!(from_environment("erlang", &["--format", "elixir"]).starts_with("[%{"));
    let mut command = cluster.command(&["discover"]);
    command.env("PEERL_FORMAT", "yaml");
    assert!(run(command).failure(64).contains("PEERL_FORMAT"));
    let other = cluster.write("other.toml", "cokie = 'x'\n");
    let failure = cluster.run(&["discover", "--config", &other]).failure(64);
    assert!(failure.contains("other.toml") && failure.contains("cokie"), "{failure}");
}

#[test]
fn a_reader_that_goes_away_is_no_error_to_shout_about() {
    let mut command = peerl_command();
    let mut child = command
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
