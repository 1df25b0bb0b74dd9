//! Clients without the cookie at the ports of the program: they cannot forge log lines, flood the log, or keep others
//! out.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::initiator::{self, AfterStatus};
use peerl_proto::handshake::{HandshakeError, LocalNode};
use peerl_proto::node_name::NodeName;
use peerl_term::text::alters_display;
use peerl_test_support::{
    Beam, COOKIE, Epmd, Lan, Machine, Otp, ProcessGuard, conformance, free_port, matrix, peerl_command, unique_name,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Characters that would end a line, retitle a terminal, clear its screen and reverse text, if printed literally.
const HOSTILE: &str = "x\nWARN forged\r\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{2028}";

/// The same as the program prints it.
const ESCAPED: &str = r"x\nWARN forged\r\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{2028}";

/// A `peerl worker`, its name and its port.
struct Worker {
    process: ProcessGuard,
    name: NodeName,
    port: u16,
}

impl Worker {
    fn start(epmd: &Epmd, options: &[&str]) -> Self {
        let mut command = peerl_command();
        command.env("ERL_EPMD_PORT", epmd.port().to_string());
        Self::run(command, &format!("{}@127.0.0.1", unique_name("w")), options, |command| command)
    }

    fn start_on(machine: &Machine, options: &[&str]) -> Self {
        let name = format!("{}@{}", unique_name("w"), machine.address());
        Self::run(peerl_command(), &name, options, |command| machine.command(command))
    }

    fn run(mut command: Command, name: &str, options: &[&str], place: impl Fn(Command) -> Command) -> Self {
        command.args(["worker", "--name", name, "--epmd", "external"]).args(options).env("PEERL_COOKIE", COOKIE);
        let process = ProcessGuard::spawn(&mut place(command));
        let ready = process.wait_for_line("ready", LIMIT);
        let port = ready.rsplit([' ', ':']).next().unwrap().trim_end_matches('}').parse().unwrap();
        Self { process, name: name.parse().unwrap(), port }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.name.host().parse().unwrap(), self.port)
    }
}

/// Runs a handshake up to the proof, with another cookie or without capabilities; returns how the node ended it.
fn try_to_connect(worker: &Worker, name: &str, flags: DistributionFlags) -> Result<(), HandshakeError> {
    let local = LocalNode::new(name.parse().unwrap(), 9, flags, Cookie::new("guessed").unwrap());
    let mut socket = TcpStream::connect(worker.address()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let (state, out) = initiator::start(local, worker.name.clone());
    socket.write_all(&out).unwrap();
    let Some(status) = message(&mut socket) else { return Err(state.closed()) };
    let AfterStatus::Proceed(state) = state.receive(&status)? else { panic!("{name} is connected already") };
    let Some(challenge) = message(&mut socket) else { return Err(state.closed()) };
    let (state, out) = state.receive(&challenge, 1)?;
    socket.write_all(&out).unwrap();
    match message(&mut socket) {
        Some(acknowledgement) => state.receive(&acknowledgement).map(drop),
        None => Err(state.closed()),
    }
}

/// The next message of a handshake; `None` at the end.
fn message(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    socket.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    socket.read_exact(&mut message).ok()?;
    Some(message)
}

/// Connections that send nothing, or too little.
fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connection = |number| {
        let mut socket = TcpStream::connect(address).unwrap();
        if number % 4 > 0 {
            socket.write_all(&[0]).unwrap();
        }
        socket
    };
    (0..count).map(connection).collect()
}

/// The number of connections that the other side has left open.
fn open(sockets: &mut [TcpStream]) -> usize {
    let is_open = |socket: &mut TcpStream| {
        socket.set_nonblocking(true).unwrap();
        matches!(socket.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    sockets.iter_mut().map(is_open).filter(|is_open| *is_open).count()
}

#[track_caller]
fn assert_printable(text: &str) {
    assert!(!text.contains(|c| c != '\n' && alters_display(c)), "{text:?}");
}

#[test]
fn names_forge_no_record_of_the_text_log() {
    let epmd = Epmd::start();
    let worker = Worker::start(&epmd, &["-vv"]);
    let name = format!("{HOSTILE}@127.0.0.1");
    try_to_connect(&worker, &name, DistributionFlags::FULL_MEMBER).unwrap_err();
    try_to_connect(&worker, &name, DistributionFlags::empty()).unwrap_err();
    worker.process.wait_for_error_line("has another cookie", LIMIT);
    worker.process.wait_for_error_line("lacks what this node requires", LIMIT);
    let log = worker.process.stderr();
    assert_printable(&log);
    let rejected: Vec<&str> = log.lines().filter(|line| line.contains("rejected a connection attempt")).collect();
    assert_eq!(rejected.len(), 2, "{log}");
    for line in rejected {
        assert!(line.contains(ESCAPED) && line.contains("address=127.0.0.1:"), "{line}");
    }
    for line in log.lines() {
        assert!(line.starts_with("20"), "a record begins with its time: {line:?}");
    }
}

#[test]
fn names_forge_no_record_of_the_json_log() {
    let epmd = Epmd::start();
    let worker = Worker::start(&epmd, &["--log-format", "json"]);
    let name = format!("{HOSTILE}@127.0.0.1");
    try_to_connect(&worker, &name, DistributionFlags::FULL_MEMBER).unwrap_err();
    let line = worker.process.wait_for_error_line("has another cookie", LIMIT);
    assert_printable(&worker.process.stderr());
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["peer"], name);
    assert_eq!(record["level"], "WARN");
    assert!(record["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
}

/// Thousands of attempts cause a few lines, and the right cookie connects meanwhile.
#[test]
fn rejections_are_summed_up() {
    const ATTEMPTS: usize = 2000;
    for otp in matrix() {
        let epmd = Epmd::start();
        let worker = Worker::start(&epmd, &[]);
        let beam = Beam::erlang(otp).epmd(&epmd).start();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let worker = &worker;
                scope.spawn(move || {
                    for number in 0..ATTEMPTS / 4 {
                        let name = format!("guest{thread}_{number}@10.9.8.7");
                        try_to_connect(worker, &name, DistributionFlags::FULL_MEMBER).unwrap_err();
                    }
                });
            }
            assert!(beam.ping(worker.name.as_str()));
        });
        let sum = worker.process.wait_for_error_line("rejected more connection attempts", LIMIT);
        assert!(sum.contains("127.0.0.1: wrong cookie (") && sum.contains("count="), "{sum}");
        let log = worker.process.stderr();
        assert!(log.lines().count() <= 4 && log.len() < 2000, "{log}");
        conformance::holds(otp, [8]);
    }
}

#[test]
fn tables_and_json_of_foreign_names_are_printable() {
    let port = free_port();
    let mut epmd = peerl_command();
    let epmd = ProcessGuard::spawn(epmd.args(["epmd", "--address", "127.0.0.1", "--port", &port.to_string()]));
    epmd.wait_for_line("ready", LIMIT);
    // EPMD accepts no white space and no control characters; bidirectional overrides are neither.
    let name = "ab\u{202e}c\u{2066}d";
    let mut lease = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut request = b"x\x23\x8dM\x00\x00\x06\x00\x05".to_vec();
    request.extend_from_slice(&(name.len() as u16).to_be_bytes());
    request.extend_from_slice(name.as_bytes());
    request.extend_from_slice(&[0, 0]);
    lease.write_all(&(request.len() as u16).to_be_bytes()).unwrap();
    lease.write_all(&request).unwrap();
    lease.read_exact(&mut [0; 6]).unwrap();
    let shown = |arguments: &[&str]| {
        let mut command = peerl_command();
        let output = command.args(arguments).env("ERL_EPMD_PORT", port.to_string()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for arguments in [["names", "127.0.0.1"], ["discover", "epmd:127.0.0.1"]] {
        for format in ["text", "json", "erlang", "elixir"] {
            let text = shown(&[&arguments[..], &["--format", format]].concat());
            assert_printable(&text);
            let escaped = match format {
                "text" => r"ab\u{202e}c\u{2066}d",
                "json" => r"ab\u202ec\u2066d",
                "erlang" => r"ab\x{202E}c\x{2066}d",
                _ => r"ab\u{202E}c\u{2066}d",
            };
            assert!(text.contains(escaped), "{arguments:?} {format}: {text}");
        }
    }
}

/// The output of a called function is written literally to a file or a program, but escaped on a terminal.
#[test]
fn output_of_called_functions() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    let call = r#"io:put_chars("a\tb\e]0;owned\x07\n")"#;
    let mut command = peerl_command();
    command.args(["call", beam.name(), call]).env("PEERL_COOKIE", COOKIE);
    command.env("ERL_EPMD_PORT", epmd.port().to_string());
    let piped = command.output().unwrap();
    assert!(piped.status.success(), "{piped:?}");
    assert_eq!(String::from_utf8_lossy(&piped.stdout), "a\tb\u{1b}]0;owned\u{7}\nok\n");

    let mut terminal = Command::new("script");
    let line = format!("'{}' call {} '{call}'", command.get_program().display(), beam.name());
    terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    terminal.env("PEERL_COOKIE", COOKIE).env("ERL_EPMD_PORT", epmd.port().to_string());
    let shown = terminal.output().expect("script of bsdutils is there");
    let shown = String::from_utf8_lossy(&shown.stdout).replace("\r\n", "\n");
    assert_eq!(shown, "a\tb\\u{1b}]0;owned\\u{7}\nok\n");
}

#[test]
fn errors_of_peers_are_printable() {
    for otp in matrix() {
        let epmd = Epmd::start();
        let beam = Beam::erlang(otp).epmd(&epmd).start();
        let error = |call: &str, format: &str| {
            let mut command = peerl_command();
            command.args(["call", beam.name(), call, "--format", format, "-v"]).env("PEERL_COOKIE", COOKIE);
            let output = command.env("ERL_EPMD_PORT", epmd.port().to_string()).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let reason = r#"\nWARN forged\e]0;owned\x07\x{9b}2J\x{202e}"#;
        for format in ["text", "json", "elixir"] {
            for call in [
                format!("erlang:error(\"x{reason}\")"),
                format!("erlang:exit('x{reason}')"),
                format!("erlang:throw(<<\"x{reason}\"/utf8>>)"),
                format!("'m{reason}':f()"),
            ] {
                let shown = error(&call, format);
                assert_printable(&shown);
                assert!(shown.lines().any(|line| line.starts_with("peerl: ")), "{shown}");
                assert!(!shown.lines().any(|line| line.starts_with("WARN")), "{shown}");
            }
        }
    }
}

/// Silent connections to EPMD from this host: nodes register, find each other and stay registered.
#[test]
fn silent_clients_of_epmd() {
    for otp in matrix() {
        let port = free_port();
        let mut epmd = peerl_command();
        let epmd = ProcessGuard::spawn(epmd.args(["epmd", "--address", "127.0.0.1", "--port", &port.to_string()]));
        epmd.wait_for_line("ready", LIMIT);
        let early = Beam::erlang(otp).epmd_port(port).start();
        let mut sockets = silent((Ipv4Addr::LOCALHOST, port).into(), 400);
        let late = Beam::erlang(otp).epmd_port(port).start();
        assert!(early.ping(late.name()));
        let names = "begin {ok, Names} = net_adm:names({127,0,0,1}), length(Names) end";
        assert_eq!(late.eval(names).unwrap(), "2");
        let open = open(&mut sockets);
        assert!((100..=128).contains(&open), "half of the places are this host's: {open}");
        let warned = epmd.stderr();
        assert_eq!(warned.lines().count(), 1, "{warned}");
    }
}

/// A flood from one machine of a network, and honest nodes on others.
#[test]
fn a_flood_from_another_machine() {
    let lan = Lan::start();
    let [server, honest] = [2, 3].map(|number| lan.machine(lan.address(number)));
    let serve = |machine: &Machine| {
        let epmd = ProcessGuard::spawn(&mut machine.command({
            let mut command = peerl_command();
            command.arg("epmd");
            command
        }));
        epmd.wait_for_line("ready", LIMIT);
        epmd
    };
    let _epmds = [serve(&server), serve(&honest)];
    let worker = Worker::start_on(&server, &[]);

    // Begun before the flood, and slower than it.
    let script = format!(
        "import socket\nsockets = [socket.create_connection(('{}', port)) for port in (4369, {})]\nprint('up', flush=True)\n\
         input()\nfor s in sockets:\n s.settimeout(0.2)\n try: s.recv(1); print('closed')\n except TimeoutError: print('open')\n\
         print('end', flush=True)",
        server.address(),
        worker.port
    );
    let mut python = Command::new("python3");
    python.args(["-c", &script]);
    let slow = ProcessGuard::spawn(&mut honest.command(python));
    slow.wait_for_line("up", LIMIT);

    let epmd: SocketAddr = (server.address(), 4369).into();
    let mut sockets = [silent(epmd, 400), silent(worker.address(), 400)];
    slow.write_stdin(b"\n");
    slow.wait_for_line("end", LIMIT);
    assert_eq!(slow.stdout(), "up\nopen\nopen\nend\n");
    for sockets in &mut sockets {
        let open = open(sockets);
        assert!((100..=128).contains(&open), "half of the places are one machine's: {open}");
    }

    for otp in matrix() {
        let name = format!("{}@{}", unique_name("honest"), honest.address());
        let beam = Beam::erlang(otp).name(&name).on(&honest).start();
        assert!(beam.ping(worker.name.as_str()));
    }
    let mut names = peerl_command();
    names.args(["names", &server.address().to_string()]);
    let listed = honest.command(names).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(worker.name.name()), "{listed:?}");
    let flood = format!("address={}", lan.gateway());
    let log = worker.process.stderr();
    assert!((1..=3).contains(&log.lines().filter(|line| line.contains(&flood)).count()), "{log}");
}
