//! A peerl worker in a separate process: the benchmark starts its own program again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use peerl_epmd::Client;
use peerl_node::{Atom, Epmd as Mapper, Exception, MailboxPolicy, Mfa, Node, NodeName, Overflow, Term, Visibility};
use peerl_term::Binary;
use peerl_test_support::{COOKIE, Epmd, unique_name};
use tokio::sync::{Mutex, oneshot};

use crate::harness::Settings;

const ROLE: &str = "PEERL_BENCH_WORKER";

/// A worker process. It ends when this is dropped, or when the benchmark ends.
pub(crate) struct Worker {
    name: NodeName,
    port: u16,
    raw_port: u16,
    child: Child,
}

impl Worker {
    pub(crate) fn start(settings: &Settings, epmd: &Epmd) -> Self {
        let name = format!("{}@127.0.0.1", unique_name("worker"));
        let mut command = Command::new(std::env::current_exe().expect("a program knows its path"));
        if let Some(threads) = settings.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        let mut child = command
            .env(ROLE, format!("{name} {}", epmd.address()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("it says that it is ready");
        let mut ports = line.split_whitespace().map(|port| port.parse().expect("a port"));
        let (port, raw_port) = (ports.next().expect("a port"), ports.next().expect("a second one"));
        Self { name: name.parse().expect("a name"), port, raw_port, child }
    }

    pub(crate) fn name(&self) -> &NodeName {
        &self.name
    }

    /// The port of the node.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A port that reads and counts bytes: all bytes of each connection until its write side is shut down; the answer
    /// is their number.
    pub(crate) fn raw_port(&self) -> u16 {
        self.raw_port
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts a process with the name `sink` that takes this many messages.
    pub(crate) async fn sink(&self, node: &Node, messages: u64) {
        let started: Atom =
            node.call(&self.name, Mfa::new("bench", "sink", (messages,)).expect("a call")).await.expect("ok");
        assert_eq!(started.as_str(), "ok");
    }

    /// Waits until it has taken them.
    pub(crate) async fn sunk(&self, node: &Node, messages: u64) {
        let taken: u64 = node.call(&self.name, Mfa::new("bench", "sunk", ()).expect("a call")).await.expect("a number");
        assert_eq!(taken, messages);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the parent process ends, if this process was started as a worker.
pub(crate) fn run_if_worker() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (name, epmd) = role.split_once(' ').expect("a name and an address");
    let runtime = Settings::from_args().runtime();
    let node = runtime.block_on(start_node(name, epmd.parse().expect("an address"), Visibility::Visible));
    serve(&node);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    println!("{} {}", node.port(), listener.local_addr().expect("its address").port());
    std::io::stdout().flush().expect("the owner reads");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || count(stream));
        }
    });
    // The parent's end of the pipe closes when the parent ends, for any reason.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

/// A node of this process.
pub(crate) async fn start_node(name: &str, epmd: SocketAddr, visibility: Visibility) -> Node {
    peerl::node(name)
        .cookie(COOKIE)
        .listen_address(Ipv4Addr::LOCALHOST.into())
        .epmd(Mapper::External)
        .epmd_client(Client::new(epmd))
        .visibility(visibility)
        .start()
        .await
        .expect("the node starts")
}

fn serve(node: &Node) {
    let export = "an atom";
    node.export("bench", "echo", |(x,): (i64,)| async move { Ok::<_, Exception>(x) }).expect(export);
    node.export("erlang", "byte_size", |(binary,): (Binary,)| async move { Ok::<_, Exception>(binary.len()) })
        .expect(export);
    let full: Arc<Mutex<Option<oneshot::Receiver<u64>>>> = Arc::default();
    let sinks = (node.clone(), full.clone());
    node.export("bench", "sink", move |(messages,): (u64,)| {
        let (node, full) = sinks.clone();
        async move {
            let (filled, result) = oneshot::channel();
            *full.lock().await = Some(result);
            // A sender that is faster than the receiver has to wait (back-pressure).
            let policy = MailboxPolicy { overflow: Overflow::Wait, ..MailboxPolicy::default() };
            let mut sink = node.process_with(policy);
            sink.register(Atom::from_static("sink")).map_err(|_| Exception::badarg())?;
            tokio::spawn(async move {
                for _ in 0..messages {
                    let Ok(_) = sink.receive().await else { return };
                }
                drop(sink);
                let _ = filled.send(messages);
            });
            Ok::<_, Exception>(Atom::from_static("ok"))
        }
    })
    .expect(export);
    node.export("bench", "sunk", move |()| {
        let full = full.clone();
        async move {
            let result = full.lock().await.take().ok_or_else(Exception::badarg)?;
            result.await.map_err(|_| Exception::badarg())
        }
    })
    .expect(export);
}

fn count(mut stream: std::net::TcpStream) {
    let (mut total, mut chunk) = (0u64, vec![0; 256 << 10]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        total += count as u64;
    }
    let _ = stream.write_all(&total.to_be_bytes());
}
