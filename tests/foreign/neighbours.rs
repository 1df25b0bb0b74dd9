//! RabbitMQ and ejabberd with a worker that joins them, hidden or visible: their clusters are as before.
//!
//! They take minutes, and are fetched on request: docs/how-to-test.md says how.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use peerl_test_support::{COOKIE, Epmd, ProcessGuard, free_port, neighbours, peerl_command, unique_name};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(180);

/// The programs of one test, with their own EPMD and home directory.
struct Host {
    epmd: Epmd,
    home: TempDir,
}

impl Host {
    fn start() -> Self {
        let home = tempfile::tempdir_in("/tmp").unwrap();
        let cookie = home.path().join(".erlang.cookie");
        std::fs::write(&cookie, COOKIE).unwrap();
        std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400)).unwrap();
        Self { epmd: Epmd::start(), home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command with these Erlang libraries.
    fn command(&self, program: impl AsRef<Path>, libraries: &[PathBuf]) -> Command {
        let mut command = Command::new(program.as_ref());
        let libraries = std::env::join_paths(libraries).unwrap();
        command.env("HOME", self.home.path()).env("ERL_LIBS", libraries).current_dir(self.home.path());
        command.env("ERL_EPMD_PORT", self.epmd.port().to_string());
        command
    }

    /// A worker that has joined a node.
    fn worker(&self, node: &str, visibility: &[&str]) -> ProcessGuard {
        let mut command = peerl_command();
        let name = format!("{}@localhost", unique_name("worker"));
        command.args(["worker", "--sname", &name, "--node", node, "--interval", "1s", "--pg", "pg"]).args(visibility);
        command.env("PEERL_COOKIE", COOKIE).env("ERL_EPMD_PORT", self.epmd.port().to_string());
        let worker = ProcessGuard::spawn(&mut command);
        worker.wait_for_line("ready", PATIENCE);
        worker
    }
}

/// The output of a command that succeeds, without the spaces around it.
fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{command:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Waits until the value is the expected one.
fn wait_for(what: &str, expected: &str, value: impl Fn() -> String) {
    let end = Instant::now() + PATIENCE;
    loop {
        let value = value();
        if value == expected {
            return;
        }
        assert!(Instant::now() < end, "{what} is {value}, not {expected}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Joins a hidden and then a visible worker, which leave again: at each moment the snapshot is the same.
fn stays_as_it_is(host: &Host, node: &str, connected: impl Fn() -> String, snapshot: impl Fn() -> Vec<String>) {
    let before = snapshot();
    let alone = connected();
    let joined = (alone.parse::<usize>().unwrap() + 1).to_string();
    for visibility in [&["--hidden"][..], &[]] {
        let worker = host.worker(node, visibility);
        wait_for("the number of connected nodes", &joined, &connected);
        assert_eq!(snapshot(), before, "with a worker {visibility:?}");
        worker.sigterm();
        worker.wait(PATIENCE);
        wait_for("the number of connected nodes", &alone, &connected);
        assert_eq!(snapshot(), before, "after a worker {visibility:?}");
    }
}

#[ignore = "takes minutes, and needs RabbitMQ"]
#[test]
fn of_rabbitmq() {
    let host = Host::start();
    let root = neighbours();
    let servers = std::fs::read_dir(root.join("usr/lib/rabbitmq/lib")).unwrap();
    let scripts = servers.map(|entry| entry.unwrap().path().join("sbin")).next().expect("a release of RabbitMQ");
    std::fs::write(host.path("plugins"), "[].").unwrap();
    let script = |script: &str, node: &str| {
        let mut command = host.command(scripts.join(script), &[root.join("usr/lib/erlang/lib")]);
        let short = node.split('@').next().unwrap();
        command.env("RABBITMQ_NODENAME", node).env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
        command.env("RABBITMQ_MNESIA_BASE", host.path(short)).env("RABBITMQ_LOG_BASE", host.path("log"));
        command
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", host.path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", host.path("none"));
        let port = free_port().to_string();
        command.env("RABBITMQ_CTL_DIST_PORT_MIN", &port).env("RABBITMQ_CTL_DIST_PORT_MAX", &port);
        command.env("RABBITMQ_NODE_PORT", free_port().to_string()).env("RABBITMQ_DIST_PORT", free_port().to_string());
        command
    };
    let control = |node: &str, arguments: &[&str]| {
        let mut command = script("rabbitmqctl", node);
        command.args(["--node", node, "--quiet"]).args(arguments);
        output(command)
    };
    let names = ["rabbit1", "rabbit2"].map(|stem| format!("{}@localhost", unique_name(stem)));
    let _servers = names.each_ref().map(|name| ProcessGuard::spawn(&mut script("rabbitmq-server", name)));
    for name in &names {
        // The node has first to be found.
        wait_for("the start", "true", || {
            let mut command = script("rabbitmqctl", name);
            command.args(["--node", name, "await_startup"]);
            command.output().unwrap().status.success().to_string()
        });
    }
    let [first, second] = &names;
    control(second, &["stop_app"]);
    control(second, &["join_cluster", first]);
    control(second, &["start_app"]);
    let snapshot = || {
        let status = names.iter().map(|name| {
            let status = control(name, &["cluster_status", "--formatter", "json"]);
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            // In some order.
            let sorted = |key: &str| {
                let mut values: Vec<String> =
                    status[key].as_array().into_iter().flatten().map(ToString::to_string).collect();
                values.sort();
                format!("{key} {values:?}")
            };
            let keys = ["disk_nodes", "ram_nodes", "running_nodes", "alarms", "listeners"].map(sorted);
            format!("{} {} {}", keys.join(" "), status["partitions"], status["versions"])
        });
        let mut snapshot: Vec<String> = status.collect();
        snapshot.extend(names.iter().map(|name| control(name, &["await_online_nodes", "2"])));
        // A node leaves the cluster for a while, and is back.
        control(second, &["stop_app"]);
        snapshot.push(control(first, &["eval", "length(rabbit_nodes:all_running())."]));
        control(second, &["start_app"]);
        snapshot.push(control(first, &["await_online_nodes", "2"]));
        snapshot.push(control(second, &["list_queues", "--formatter", "json"]));
        snapshot
    };
    let connected = || control(first, &["eval", "length([N || N <- nodes(connected), hd(atom_to_list(N)) =/= $r])."]);
    stays_as_it_is(&host, first, || wait_until_same(&connected), snapshot);
}

/// A value that is the same twice: command lines connect for a moment, too.
fn wait_until_same(value: &impl Fn() -> String) -> String {
    loop {
        let [first, second] = [value(), value()];
        if first == second {
            return first;
        }
    }
}

#[ignore = "takes minutes, and needs ejabberd"]
#[test]
fn of_ejabberd() {
    let host = Host::start();
    let root = neighbours();
    let libraries = [root.join("usr/lib/erlang/lib"), root.join("usr/lib/x86_64-linux-gnu")];
    let settings = "hosts:\n  - localhost\nloglevel: warning\nlisten: []\nmodules: {}\n";
    std::fs::write(host.path("ejabberd.yml"), settings).unwrap();
    let erl = |name: &str| {
        let mut command = host.command("erl", &libraries);
        command.env("EJABBERD_CONFIG_PATH", host.path("ejabberd.yml"));
        command.env("EJABBERD_LOG_PATH", host.path(&format!("{name}.log")));
        command.args(["-noinput", "-start_epmd", "false", "-sname", name]);
        command
    };
    let names = ["ejabberd1", "ejabberd2"].map(|stem| format!("{}@localhost", unique_name(stem)));
    let _servers = names.each_ref().map(|name| {
        let mut command = erl(name);
        command.args(["-mnesia", "dir", &format!("{:?}", host.path(name)), "-s", "ejabberd"]);
        ProcessGuard::spawn(&mut command)
    });
    // What the script `ejabberdctl` runs.
    let run = |node: &str, arguments: &[&str]| {
        let mut command = erl(&format!("{}@localhost", unique_name("ctl")));
        command.args(["-hidden", "-s", "ejabberd_ctl", "-extra", node]).args(arguments);
        command
    };
    let control = |node: &str, arguments: &[&str]| output(run(node, arguments));
    for name in &names {
        wait_for("the start", "true", || {
            let status = run(name, &["status"]).output().unwrap();
            String::from_utf8_lossy(&status.stdout).contains("is running").to_string()
        });
    }
    let [first, second] = &names;
    control(second, &["join_cluster", first]);
    let cluster = || {
        let mut nodes: Vec<String> = control(first, &["list_cluster"]).lines().map(str::to_owned).collect();
        nodes.sort();
        nodes.join(" ")
    };
    wait_for("the cluster", &names.join(" "), cluster);
    let snapshot = || {
        let mut snapshot = vec![cluster()];
        for name in &names {
            snapshot.push(control(name, &["status"]));
            let mut nodes: Vec<String> = control(name, &["list_cluster"]).lines().map(str::to_owned).collect();
            nodes.sort();
            snapshot.push(nodes.join(" "));
        }
        snapshot.push(control(first, &["connected_users_number"]));
        snapshot
    };
    let connected = || {
        let mut command = erl(&format!("{}@localhost", unique_name("ask")));
        let ask = format!(
            "io:format(\"~p\", [length([N || N <- erpc:call('{first}', erlang, nodes, [connected]), N =/= node()])]), halt()."
        );
        command.args(["-hidden", "-eval", &ask]);
        output(command)
    };
    stays_as_it_is(&host, first, || wait_until_same(&connected), snapshot);
}
