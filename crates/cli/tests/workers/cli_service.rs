//! A worker's notifications for systemd, received by a socket in its place.

use std::collections::HashSet;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{ProcessGuard, unique_name};

/// The service manager's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn new(cluster: &Cluster) -> Self {
        let path = cluster.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, name: format!("{}@127.0.0.1", unique_name("w")) }
    }

    /// A worker started like by systemd, with a watchdog of a second and a half.
    fn worker(&self, cluster: &Cluster, shell: &str, more: &[&str]) -> ProcessGuard {
        let arguments = [&["worker", "--name", &self.name, "--listen", "127.0.0.1"], more].concat();
        let peerl = cluster.command(&arguments);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell} exec \"$@\""), "sh"]).arg(peerl.get_program()).args(peerl.get_args());
        command.current_dir(cluster.home.path());
        for (name, value) in peerl.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("NOTIFY_SOCKET", cluster.path("notify")).env("WATCHDOG_USEC", "1500000");
        ProcessGuard::spawn(&mut command)
    }

    /// The next message, if one arrives in time.
    fn hear(&self, limit: Duration) -> Option<String> {
        let end = Instant::now() + limit;
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => return Some(String::from_utf8(buffer[..length].to_vec()).unwrap()),
                Err(_) if Instant::now() >= end => return None,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The lines of the first message that has one with this prefix.
    fn wait_for(&self, beginning: &str) -> Vec<String> {
        let end = Instant::now() + A_WHILE;
        while let Some(message) = self.hear(end.saturating_duration_since(Instant::now())) {
            let lines: Vec<String> = message.lines().map(str::to_owned).collect();
            if lines.iter().any(|line| line.starts_with(beginning)) {
                return lines;
            }
        }
        panic!("nothing begins with {beginning:?}");
    }

    /// Drops earlier messages.
    fn forget(&self) {
        while self.hear(Duration::ZERO).is_some() {}
    }
}

#[test]
fn ready_status_watchdog_and_stopping() {
    let cluster = Cluster::start();
    let manager = Manager::new(&cluster);
    let worker = manager.worker(&cluster, "", &["--drain", "40s"]);
    let first: HashSet<String> = manager.wait_for("").into_iter().collect();
    assert!(first.contains("READY=1"), "nothing is said before it is ready: {first:?}");
    let status = format!("STATUS={}: ready, connected with 0 nodes, no calls under way", manager.name);
    assert!(first.contains(&status), "{first:?}");
    assert_eq!(cluster.run(&["call", &manager.name, "peerl:echo(1)"]).ok().trim(), "1");
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }

    let (name, mut call) = (manager.name.clone(), cluster.command(&["call", &manager.name, "timer:sleep(12000)"]));
    let mut caller = call.spawn().unwrap();
    manager.wait_for(&format!("STATUS={name}: ready, connected with 0 nodes, 1 call under way"));
    worker.sigterm();
    let last = manager.wait_for("STOPPING=1");
    assert!(last.contains(&"EXTEND_TIMEOUT_USEC=50000000".to_owned()), "{last:?}");
    let status = format!("STATUS={name}: draining, connected with 0 nodes, 1 call under way");
    assert!(last.contains(&status), "{last:?}");
    manager.wait_for("WATCHDOG=1");
    assert!(worker.is_running(), "it drains");
    assert!(caller.wait().unwrap().success());
    assert_eq!(worker.wait(A_WHILE).code(), Some(0));
}

#[test]
fn a_worker_that_takes_no_connections_lets_the_watchdog_bite() {
    let cluster = Cluster::start();
    let manager = Manager::new(&cluster);
    // So few descriptors that some silent connections use them up.
    let worker = manager.worker(&cluster, "ulimit -n 48;", &[]);
    let ready = worker.wait_for_line("ready", A_WHILE);
    let port: u16 = ready.rsplit(' ').next().unwrap().parse().unwrap();
    manager.wait_for("WATCHDOG=1");
    // They are silent for at most the time of a handshake, 7 s: then others take their places.
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    worker.wait_for_error_line("no watchdog notification", A_WHILE);
    manager.forget();
    let end = Instant::now() + A_WHILE;
    while let Some(heard) = manager.hear(Duration::from_millis(1500)) {
        assert!(Instant::now() < end, "it is not well, and says {heard:?}");
    }
    drop(silent);
    manager.wait_for("WATCHDOG=1");
}
