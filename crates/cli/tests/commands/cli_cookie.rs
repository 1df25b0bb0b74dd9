//! The sources of the cookie; commands that only query create no file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::cluster::{A_WHILE, Cluster, run};
use peerl_test_support::{Beam, COOKIE, Lan, ProcessGuard, matrix, peerl_command};
use tempfile::TempDir;

/// `peerl` in this home directory, without a cookie in its environment.
fn command(cluster: &Cluster, home: &Path, arguments: &[&str]) -> Command {
    let mut command = cluster.command(arguments);
    command.env_remove("PEERL_COOKIE").env_remove("XDG_CONFIG_HOME").env("HOME", home).current_dir(home);
    command
}

fn write_cookie(path: &Path, cookie: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, cookie).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn commands_that_ask_make_no_cookie() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(matrix()[0]).epmd(&cluster.epmd).start();
    let (home, node) = (TempDir::new().unwrap(), beam.name());
    let items = tempfile::NamedTempFile::new().unwrap();
    fs::write(items.path(), "1\n").unwrap();
    let commands: [&[&str]; 12] = [
        &["ping", node],
        &["call", node, "erlang:node()"],
        &["nodes", node],
        &["mesh", "--node", node],
        &["mesh", "--node", node, "--dry-run"],
        &["sidecar", "--node", node, "--discover", "epmd:127.0.0.1", "--dry-run"],
        &["sidecar", "--node", node, "--discover", "epmd:127.0.0.1"],
        &["pmap", "erlang:abs(_)", "--items", items.path().to_str().unwrap(), "--node", node],
        &["checksum", "http://127.0.0.1:1/", "--node", node],
        &["discover", "epmd:127.0.0.1"],
        &["names"],
        &["health", "127.0.0.1:1"],
    ];
    for arguments in commands {
        let ran = run(command(&cluster, home.path(), arguments));
        assert!(is_empty(home.path()), "{arguments:?}: {ran:?}");
        if !["discover", "names", "health"].contains(&arguments[0]) {
            let failure = ran.failure(1);
            assert!(failure.contains("there is no cookie") && failure.contains("PEERL_COOKIE"), "{failure}");
        }
    }
}

#[test]
fn the_places_of_otp_in_its_order() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let home = TempDir::new().unwrap();
        let ping = |config: Option<&Path>| {
            let mut command = command(&cluster, home.path(), &["ping", beam.name()]);
            command.envs(config.map(|config| ("XDG_CONFIG_HOME", config)));
            run(command)
        };
        let config = home.path().join("settings");
        write_cookie(&config.join("erlang/.erlang.cookie"), COOKIE);
        ping(Some(&config)).ok();
        assert!(ping(None).failure(1).contains("there is no cookie"));
        write_cookie(&home.path().join(".config/erlang/.erlang.cookie"), COOKIE);
        ping(None).ok();
        assert!(!home.path().join(".erlang.cookie").exists());
        write_cookie(&home.path().join(".erlang.cookie"), "another");
        assert!(ping(Some(&config)).failure(1).contains("another cookie"));
    }
}

#[test]
fn a_worker_makes_a_cookie_only_if_there_is_none() {
    let cluster = Cluster::start();
    let worker = |home: &Path| {
        let worker = ProcessGuard::spawn(&mut command(&cluster, home, &["worker", "--listen", "127.0.0.1"]));
        worker.wait_for_line("ready ", A_WHILE);
        worker.sigterm();
        assert!(worker.wait(A_WHILE).success());
    };
    let home = TempDir::new().unwrap();
    worker(home.path());
    let made = home.path().join(".erlang.cookie");
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o400);
    let cookie = fs::read(&made).unwrap();
    worker(home.path());
    assert_eq!((fs::read(&made).unwrap(), cookie.len()), (cookie, 20));

    let other = TempDir::new().unwrap();
    write_cookie(&other.path().join(".config/erlang/.erlang.cookie"), "configured");
    worker(other.path());
    assert!(!other.path().join(".erlang.cookie").exists());
}

/// Between two machines, with a cookie only in the configuration directory.
#[test]
fn the_configured_cookie_opens_a_node_of_another_machine() {
    let lan = Lan::start();
    let (here, there) = (lan.machine(lan.address(7)), lan.machine(lan.address(8)));
    let home = TempDir::new().unwrap();
    write_cookie(&home.path().join("xdg/erlang/.erlang.cookie"), "shared_by_two");
    let peerl = |arguments: &[&str]| {
        let mut command = peerl_command();
        command.args(arguments).env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path().join("xdg"));
        command
    };
    let name = format!("member@{}", there.address());
    let worker = ProcessGuard::spawn(&mut there.command(peerl(&["worker", "--name", &name])));
    worker.wait_for_line("ready ", A_WHILE);
    run(here.command(peerl(&["ping", &name]))).ok();
    assert!(!home.path().join(".erlang.cookie").exists());
}
