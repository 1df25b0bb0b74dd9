//! Machines on a separate network, each with all its ports: Linux network namespaces on a bridge.
//!
//! The namespaces have no names: each lives as long as the processes in it, the first of which belongs to a fixture.
//! So the network disappears with the test, however it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::{ProcessGuard, tool};

/// A network of machines; this process is at its gateway. It needs root, and `ip` of iproute2.
pub struct Lan {
    subnet: [u8; 3],
    link: String,
    switch: ProcessGuard,
    ports: AtomicU32,
    files: TempDir,
}

impl Lan {
    /// Creates a network without machines.
    ///
    /// # Panics
    ///
    /// When it cannot be created, without root or `ip`.
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let files = tempfile::tempdir_in("/tmp").expect("a directory for the network");
        let hosts = files.path().join("hosts");
        fs::write(&hosts, "127.0.0.1 localhost\n::1 localhost\n").expect("the hosts can be written");
        let switch = holder(&hosts, "ip link add br0 type bridge && ip link set br0 up");
        let link = format!("pe{:x}-{number}", std::process::id());
        let subnet = free_subnet();
        run(ip(["link", "add", &link, "type", "veth", "peer", "name", "up0", "netns", &switch.pid().to_string()]));
        let lan = Self { subnet, link, switch, ports: AtomicU32::new(1), files };
        run(ip(["addr", "add", &format!("{}/24", lan.gateway()), "dev", &lan.link]));
        run(ip(["link", "set", &lan.link, "up"]));
        run(within(&lan.switch, ip(["link", "set", "up0", "master", "br0", "up"])));
        lan
    }

    /// The address of the machine on which the test runs.
    pub fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address with this number, from 2 on, for a machine.
    pub fn address(&self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, number)
    }

    /// The IPv6 address with this number, from 2 on, for a machine without IPv4.
    pub fn ipv6_address(&self, number: u8) -> Ipv6Addr {
        let [_, b, c] = self.subnet;
        Ipv6Addr::new(0xfd00, b.into(), c.into(), 0, 0, 0, 0, number.into())
    }

    /// The network interface through which the test itself is on the network.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Starts a machine with this address.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn machine(&self, address: Ipv4Addr) -> Machine {
        let (holder, port) = self.attach(&format!("{address}/24"), &[]);
        Machine { address: address.into(), holder, port }
    }

    /// Starts a machine with this address, and without any IPv4 address, not even `127.0.0.1`.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn machine_without_ipv4(&self, address: Ipv6Addr) -> Machine {
        // Without the search for duplicates, the address is there at once.
        let (holder, port) = self.attach(&format!("{address}/64"), &["nodad"]);
        run(within(&holder, ip(["-4", "addr", "flush", "dev", "lo"])));
        Machine { address: address.into(), holder, port }
    }

    /// Pulls the cable of a machine: nothing comes to it or from it any more, and no connection ends.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn unplug(&self, machine: &Machine) {
        run(within(&self.switch, ip(["link", "set", &machine.port, "down"])));
    }

    /// Plugs the cable of a machine in again.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn plug(&self, machine: &Machine) {
        run(within(&self.switch, ip(["link", "set", &machine.port, "up"])));
    }

    /// Starts a process in its own network namespace, on a port of the bridge, with this address.
    fn attach(&self, address: &str, flags: &[&str]) -> (ProcessGuard, String) {
        let holder = holder(&self.hosts(), "true");
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        let pid = holder.pid().to_string();
        run(within(&self.switch, ip(["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &pid])));
        run(within(&self.switch, ip(["link", "set", &port, "master", "br0", "up"])));
        run(within(&holder, ip(["addr", "add", address, "dev", "eth0"].iter().chain(flags).copied())));
        run(within(&holder, ip(["link", "set", "eth0", "up"])));
        (holder, port)
    }

    /// Adds a name to the hosts file of all machines.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn name_host(&self, name: &str, address: impl Into<IpAddr>) {
        // In place, since the machines have mounted this file.
        let mut hosts = fs::File::options().append(true).open(self.hosts()).expect("the hosts are there");
        writeln!(hosts, "{} {name}", address.into()).expect("the hosts can be written");
    }

    /// Lets the machines reach a server `http://127.0.0.1:PORT` of the machine on which the test runs; returns its
    /// address for them, with the same port.
    ///
    /// # Panics
    ///
    /// When it is not such an address, or another process has the port.
    pub fn expose(&self, server: &str) -> String {
        let port: u16 = server.rsplit(':').next().and_then(|port| port.parse().ok()).expect("the server has a port");
        let listener = TcpListener::bind((self.gateway(), port)).expect("the port is free at the gateway");
        std::thread::spawn(move || {
            for inner in listener.incoming().flatten() {
                if let Ok(outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    pass_on(&inner, &outer);
                    pass_on(&outer, &inner);
                }
            }
        });
        format!("http://{}:{port}", self.gateway())
    }

    fn hosts(&self) -> PathBuf {
        self.files.path().join("hosts")
    }
}

/// A machine of a [`Lan`]. Its network ends when this is dropped and no process runs in it any more.
pub struct Machine {
    address: IpAddr,
    holder: ProcessGuard,
    /// At the bridge.
    port: String,
}

impl Machine {
    /// The machine's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// A command that runs the given one on this machine.
    pub fn command(&self, command: Command) -> Command {
        within(&self.holder, command)
    }

    /// The words before a command, which run it on this machine.
    pub(crate) fn prefix(&self) -> Vec<String> {
        prefix(&self.holder)
    }
}

/// A process in new network and mount namespaces, with its own `/etc/hosts`, which has run a script there.
fn holder(hosts: &Path, script: &str) -> ProcessGuard {
    let script = format!("ip link set lo up && mount --bind \"$1\" /etc/hosts && {script} && echo up && exec cat");
    let ip = tool::require("ip");
    let path = ip.parent().expect("a program is in a directory").display().to_string();
    let mut command = Command::new(tool::require("unshare"));
    command.args(["--net", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(hosts);
    command.env("PATH", format!("{}:{path}", std::env::var("PATH").unwrap_or_default()));
    let holder = ProcessGuard::spawn(&mut command);
    holder.wait_for_line("up", Duration::from_secs(20));
    holder
}

fn prefix(holder: &ProcessGuard) -> Vec<String> {
    let nsenter = tool::require("nsenter").display().to_string();
    let pid = holder.pid().to_string();
    [nsenter.as_str(), "--target", &pid, "--net", "--mount", "--"].map(str::to_owned).to_vec()
}

fn within(holder: &ProcessGuard, command: Command) -> Command {
    let prefix = prefix(holder);
    let mut inner = Command::new(&prefix[0]);
    inner.args(&prefix[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inner.env(name, value),
            None => inner.env_remove(name),
        };
    }
    inner
}

fn ip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(tool::require("ip"));
    command.args(arguments);
    command
}

fn run(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed (it needs root): {error}");
}

/// A subnet for tests in which this machine has no address.
fn free_subnet() -> [u8; 3] {
    let taken = ip(["-o", "-4", "addr"]).output().expect("ip addr starts").stdout;
    let taken = String::from_utf8_lossy(&taken).into_owned();
    let start = std::process::id() % 256;
    let third =
        (start..start + 256).map(|number| number % 256).find(|third| !taken.contains(&format!(" 10.213.{third}.")));
    [10, 213, third.and_then(|third| u8::try_from(third).ok()).expect("some subnet of 10.213.0.0/16 is free")]
}

/// Copies a stream until its end, in a thread.
fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::free_port;

    #[test]
    fn machines_reach_each_other_and_leave_nothing() {
        let lan = Lan::start();
        let machines = [2, 3].map(|number| lan.machine(lan.address(number)));
        lan.name_host("two.example", lan.address(3));

        // Both have the same port.
        let serve = |machine: &Machine, text: &str| {
            let script = format!(
                "import socket\ns = socket.create_server(('', 4369)); print('up', flush=True)\n\
                 while True: s.accept()[0].sendall(b'{text}')"
            );
            let mut python = Command::new("python3");
            python.args(["-c", &script]);
            let server = ProcessGuard::spawn(&mut machine.command(python));
            server.wait_for_line("up", Duration::from_secs(20));
            server
        };
        let _servers = [serve(&machines[0], "one"), serve(&machines[1], "two")];
        let ask = |machine: &Machine, host: &str, port: u16| {
            let mut python = Command::new("python3");
            let script = format!("import socket; print(socket.create_connection(('{host}', {port})).recv(9).decode())");
            python.args(["-c", &script]);
            String::from_utf8(machine.command(python).output().unwrap().stdout).unwrap().trim().to_owned()
        };
        assert_eq!(ask(&machines[0], "two.example", 4369), "two");
        assert_eq!(ask(&machines[1], &lan.address(2).to_string(), 4369), "one");
        assert_eq!(ask(&machines[1], "localhost", 4369), "two");

        let port = free_port();
        let here = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        std::thread::spawn(move || here.accept().unwrap().0.write_all(b"here").unwrap());
        assert_eq!(lan.expose(&format!("http://127.0.0.1:{port}")), format!("http://{}:{port}", lan.gateway()));
        assert_eq!(ask(&machines[0], &lan.gateway().to_string(), port), "here");

        let link = format!("/sys/class/net/{}", lan.link());
        assert!(Path::new(&link).exists());
        drop((machines, _servers, lan));
        let end = Instant::now() + Duration::from_secs(20);
        while Path::new(&link).exists() {
            assert!(Instant::now() < end, "{link} is left behind");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
