//! The server with `erl`, `epmd -names`, `erl_dist` and our own client, compared with the daemon.

mod support;

use std::time::Duration;

use erl_dist::epmd::{EpmdClient, NodeEntry};
use peerl_epmd::{CommandCheck, Config, End, Error, LeaseState, Server, ServerHandle};
use peerl_test_support::{Beam, Epmd, Otp, conformance, free_port, matrix, unique_name};
use support::{PATIENCE, client, local, node, reaches, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::compat::TokioAsyncReadCompatExt;

const ALFA: &[u8] = b"\x00\x11x\x82\xe1M\x00\x00\x06\x00\x05\x00\x04alfa\x00\x00";

async fn serve() -> ServerHandle {
    serve_with(Config::default()).await
}

async fn serve_with(config: Config) -> ServerHandle {
    serve_on(free_port(), config).await
}

async fn serve_on(port: u16, config: Config) -> ServerHandle {
    Server::bind([local(port)], config).await.unwrap().spawn()
}

fn port(server: &ServerHandle) -> u16 {
    server.local_addr().port()
}

fn beam(otp: Otp, server: &ServerHandle) -> impl Future<Output = Beam> + Send + use<> {
    Beam::erlang(otp).epmd_port(port(server)).start_async()
}

#[tokio::test(flavor = "multi_thread")]
async fn beam_nodes_find_each_other() {
    for otp in matrix() {
        let server = serve().await;
        let (alfa, beta) = tokio::join!(beam(otp, &server), beam(otp, &server));
        let ping = alfa.eval_async(&format!("net_adm:ping('{}')", beta.name())).await;
        assert_eq!(ping.unwrap(), "pong");

        let short = |beam: &Beam| beam.name().split_once('@').unwrap().0.to_owned();
        let names = alfa.eval_async("{ok, Names} = net_adm:names({127,0,0,1}), length(Names)").await;
        assert_eq!(names.unwrap(), "2");
        let listed = run("epmd", port(&server), &["-names"]).await;
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.starts_with(&format!("epmd: up and running on port {} with data:\n", port(&server))));
        for beam in [&alfa, &beta] {
            assert!(listed.contains(&format!("name {} at port ", short(beam))), "{listed}");
        }
        let unknown = alfa.eval_async("erl_epmd:port_please(\"nobody\", {127,0,0,1})").await;
        assert_eq!(unknown.unwrap(), "noport");

        beta.kill();
        let client = client(port(&server));
        until("beta unregistered", async || client.lookup(&short(&beta)).await.unwrap().is_none()).await;
        assert!(client.lookup(&short(&alfa)).await.unwrap().is_some());
        conformance::holds(otp, [4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elixir_nodes_with_short_names() {
    let server = serve().await;
    let start = || Beam::elixir(Otp::V25).short_names().epmd_port(port(&server)).start_async();
    let (alfa, beta) = tokio::join!(start(), start());
    let ping = alfa.eval_elixir_async(&format!("Node.ping(:\"{}\")", beta.name())).await;
    assert_eq!(ping.unwrap(), ":pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beam_that_comes_back_has_another_creation_and_a_name_only_one_beam() {
    for otp in matrix() {
        let server = serve().await;
        let name = unique_name("alfa");
        let start = || Beam::erlang(otp).name(&name).epmd_port(port(&server));
        let creation = async |beam: &Beam| -> u32 {
            beam.eval_async("erlang:system_info(creation)").await.unwrap().parse().unwrap()
        };
        let first = start().start_async().await;
        let first_creation = creation(&first).await;

        let rival = start();
        let rival = tokio::task::spawn_blocking(|| rival.try_start().map(drop)).await.unwrap();
        let refused = rival.expect_err("the name is taken");
        assert!(refused.log.contains("seems to be in use"), "{}", refused.log);

        first.kill();
        let client = client(port(&server));
        until("the name is free", async || client.names().await.unwrap().is_empty()).await;
        let second = start().start_async().await;
        assert_eq!(creation(&second).await, first_creation + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beam_registers_again_with_a_new_server() {
    for otp in matrix() {
        let server = serve().await;
        let port = port(&server);
        let beam = beam(otp, &server).await;
        let creation = beam.eval_async("erlang:system_info(creation)").await.unwrap();
        server.shutdown().await;
        assert!(matches!(client(port).names().await, Err(Error::NoEpmd { .. })));

        let _server = serve_on(port, Config::default()).await;
        until("the BEAM is back", async || client(port).names().await.unwrap().len() == 1).await;
        assert_eq!(beam.eval_async("erlang:system_info(creation)").await.unwrap(), creation);
        conformance::holds(otp, [5]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beam_that_starts_epmd_by_itself_is_content_with_ours() {
    let server = serve().await;
    let script = "{ok, [{\"alone\", _}]} = net_adm:names({127,0,0,1}), io:put_chars(\"content\"), halt().";
    let arguments = ["-noinput", "-name", "alone@127.0.0.1", "-setcookie", "c", "-eval", script];
    let output = run("erl", port(&server), &arguments).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "content", "{output:?}");
}

#[tokio::test]
async fn the_epmd_command() {
    let mut server = serve().await;
    let port = port(&server);
    let said = async |arguments: &[&str]| {
        let output = run("epmd", port, arguments).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let lease = client(port).register(node("alfa", 9101)).await.unwrap();
    let names = said(&["-names"]).await;
    assert_eq!(names, format!("epmd: up and running on port {port} with data:\nname alfa at port 9101\n"));
    let killed = said(&["-kill"]).await;
    assert!(killed.contains("Killing not allowed - living nodes in database"), "{killed}");
    said(&["-stop", "alfa"]).await;
    assert!(client(port).lookup("alfa").await.unwrap().is_some());

    lease.release().await;
    let killed = said(&["-kill"]).await;
    assert_eq!(killed, "Killed\n");
    let end = timeout(PATIENCE, server.wait()).await.unwrap();
    assert_eq!(end, End::Killed);
    assert!(!server.is_running());
    assert_eq!(server.wait().await, End::Killed);
}

#[tokio::test]
async fn the_epmd_command_with_the_relaxed_check() {
    let mut config = Config::default();
    config.command_check = CommandCheck::Relaxed;
    let mut server = serve_with(config).await;
    let port = port(&server);
    let lease = client(port).register(node("alfa", 9101)).await.unwrap();
    let mut states = lease.states();
    let stopped = run("epmd", port, &["-stop", "alfa"]).await;
    assert_eq!(String::from_utf8_lossy(&stopped.stdout), "STOPPED\n");
    // The lease is registered again at once, so `Lost` itself may go unseen.
    timeout(PATIENCE, states.changed()).await.unwrap().unwrap();
    reaches(&mut states, LeaseState::Held).await;
    let killed = run("epmd", port, &["-kill"]).await;
    assert_eq!(String::from_utf8_lossy(&killed.stdout), "Killed\n");
    assert_eq!(timeout(PATIENCE, server.wait()).await.unwrap(), End::Killed);
}

#[tokio::test]
async fn erl_dist_is_served() {
    let server = serve().await;
    let connect = async || {
        let stream = TcpStream::connect(server.local_addr()).await.unwrap();
        EpmdClient::new(stream.compat())
    };
    let entry = NodeEntry::new_hidden("alfa", 9101);
    let (lease, creation) = connect().await.register(entry.clone()).await.unwrap();
    assert!(creation.get() > 3);
    assert_eq!(connect().await.get_node("alfa").await.unwrap(), Some(entry.clone()));
    assert_eq!(connect().await.get_node("beta").await.unwrap(), None);
    assert_eq!(connect().await.get_names().await.unwrap(), [("alfa".to_owned(), 9101)]);
    assert!(connect().await.dump().await.unwrap().starts_with("active name     <alfa> at port 9101, fd = "));
    assert!(connect().await.register(entry).await.is_err());
    assert_eq!(connect().await.kill().await.unwrap(), "NO");
    drop(lease);
    until("unregistered", async || connect().await.get_names().await.unwrap().is_empty()).await;
    assert_eq!(connect().await.kill().await.unwrap(), "OK");
}

#[tokio::test]
async fn our_client_keeps_its_lease_across_servers() {
    let server = serve().await;
    let port = port(&server);
    let lease = client(port).register(node("alfa", 9101)).await.unwrap();
    let creation = lease.creation();
    let mut states = lease.states();
    server.shutdown().await;
    reaches(&mut states, LeaseState::Lost).await;
    let _server = serve_on(port, Config::default()).await;
    let back = Instant::now();
    reaches(&mut states, LeaseState::Held).await;
    assert!(back.elapsed() < PATIENCE);
    assert_eq!(lease.creation(), creation);
    assert_eq!(client(port).names().await.unwrap().len(), 1);
}

/// Every request, valid or not, gets the same bytes from our server as from the daemon.
#[tokio::test]
async fn same_bytes_as_the_daemon() {
    let daemon = Epmd::start();
    let server = serve().await;
    let alive2 = |version: u8, name: &[u8], rest: &[u8]| {
        let mut body = b"x\xff\xffH\x00\x00".to_vec();
        body.push(version);
        body.extend_from_slice(b"\x00\x05");
        body.extend_from_slice(&(name.len() as u16).to_be_bytes());
        body.extend_from_slice(name);
        body.extend_from_slice(rest);
        framed(&body)
    };
    let requests = [
        ("registers", ALFA.to_vec()),
        ("taken, wide", ALFA.to_vec()),
        ("taken, narrow", alive2(5, b"alfa", b"\x00\x00")),
        ("narrow", alive2(5, b"beta", b"\x00\x00")),
        ("extra", alive2(6, b"gamma", b"\x00\x02xy")),
        ("bytes behind the extra", alive2(6, "délta".as_bytes(), b"\x00\x01xyz")),
        ("not UTF-8", alive2(6, b"\xff", b"\x00\x00")),
        ("255 characters", alive2(6, "å".repeat(255).as_bytes(), b"\x00\x00")),
        ("256 characters", alive2(6, "å".repeat(256).as_bytes(), b"\x00\x00")),
        ("NUL in the name", alive2(6, b"a\0b", b"\x00\x00")),
        ("extra of 1021 bytes", alive2(6, b"omega", &[b"\x03\xfd".as_slice(), &[1; 1021]].concat())),
        ("extra longer than the body", alive2(6, b"omega", b"\x00\x05xy")),
        ("name longer than the body", framed(b"x\xff\xffH\x00\x00\x06\x00\x05\x00\x50alfa\x00\x00")),
        ("13 bytes of ALIVE2", framed(b"x\xff\xffH\x00\x00\x06\x00\x05\x00\x00\x00\x00")),
        ("where", framed(b"zalfa")),
        ("where, NUL", framed(b"zalfa\0")),
        ("where, extra", framed(b"zgamma")),
        ("where, UTF-8", framed("zdélta".as_bytes())),
        ("where, unknown", framed(b"znobody")),
        ("where, no name", framed(b"z")),
        ("where, NUL in the name", framed(b"za\0b")),
        ("where, not UTF-8", framed(b"z\xff")),
        ("names", framed(b"n")),
        ("names with bytes behind", framed(b"nxyz")),
        ("dump", framed(b"d")),
        ("kill", framed(b"k")),
        ("stop", framed(b"salfa")),
        ("empty", framed(b"")),
        ("unknown tag", framed(b"\x01")),
        ("old ALIVE", framed(b"a\x11\x11alfa")),
        ("too long", b"\xff\xff".to_vec()),
        ("one too long", [b"\x0b\xf2n".as_slice(), &[0; 3057]].concat()),
        ("longest", [b"\x0b\xf1n".as_slice(), &[0; 3056]].concat()),
        ("bytes behind", b"\x00\x01nn".to_vec()),
    ];
    let mut held = Vec::new();
    for (what, request) in requests {
        let theirs = Exchange::with(daemon.port(), &request).await;
        let ours = Exchange::with(port(&server), &request).await;
        assert_eq!(theirs.normal(), ours.normal(), "{what}: the daemon's, ours");
        held.push((theirs, ours));
    }
    drop(held);
    let empty = [b"\x00\x01n".as_slice(), b"\x00\x01k"];
    for at in [daemon.port(), port(&server)] {
        until("all are unregistered", async || client(at).names().await.unwrap().is_empty()).await;
    }
    for request in empty {
        let theirs = Exchange::with(daemon.port(), request).await;
        let ours = Exchange::with(port(&server), request).await;
        assert_eq!(theirs.normal(), ours.normal());
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes(), body].concat()
}

/// An EPMD's reaction to one request.
struct Exchange {
    port: u16,
    answer: Vec<u8>,
    /// The connection, if EPMD left it open.
    open: Option<TcpStream>,
}

impl Exchange {
    async fn with(port: u16, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(local(port)).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(Duration::from_millis(300), stream.read_to_end(&mut answer)).await;
        let open = closed.is_err().then_some(stream);
        Self { port, answer, open }
    }

    /// The answer without the values that differ between EPMDs: the port, creations and descriptors.
    fn normal(&self) -> (String, bool) {
        let mut answer = self.answer.clone();
        match *answer.as_slice() {
            [b'v', 0, ..] => answer.truncate(2),
            [b'y', 0, 0, 1..=3] => answer.truncate(3),
            [a, b, c, d, ..] if u32::from_be_bytes([a, b, c, d]) == u32::from(self.port) => drop(answer.drain(..4)),
            _ => {}
        }
        let text = String::from_utf8_lossy(&answer);
        let without_fd = text.lines().map(|line| line.split(", fd = ").next().unwrap_or_default());
        (without_fd.collect::<Vec<_>>().join("\n"), self.open.is_some())
    }
}

#[tokio::test]
async fn the_answer_to_alive2_comes_in_one_piece() {
    let server = serve().await;
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(ALFA).await.unwrap();
        let mut answer = [0; 16];
        assert_eq!(stream.read(&mut answer).await.unwrap(), 6);
        assert_eq!(answer[..2], *b"v\x00");
        drop(stream);
        let client = client(port(&server));
        until("unregistered", async || client.names().await.unwrap().is_empty()).await;
    }
}

#[tokio::test]
async fn any_byte_on_a_lease_unregisters() {
    let server = serve().await;
    let client = client(port(&server));
    let mut lease = Exchange::with(port(&server), ALFA).await.open.expect("registered");
    assert!(client.lookup("alfa").await.unwrap().is_some());
    lease.write_all(b"\0").await.unwrap();
    assert_eq!(lease.read(&mut [0]).await.unwrap(), 0, "the server closes");
    assert_eq!(client.lookup("alfa").await.unwrap(), None);
}

#[tokio::test]
async fn requests_may_come_byte_by_byte_but_not_for_ever() {
    let mut config = Config::default();
    config.idle = Duration::from_secs(3);
    let server = serve_with(config).await;
    let mut patient = TcpStream::connect(server.local_addr()).await.unwrap();
    patient.set_nodelay(true).unwrap();
    for byte in ALFA {
        patient.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    let mut answer = [0; 6];
    patient.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..2], *b"v\x00");

    let start = Instant::now();
    let mut silent = TcpStream::connect(server.local_addr()).await.unwrap();
    let mut slow = TcpStream::connect(server.local_addr()).await.unwrap();
    slow.write_all(b"\x0b\xf1z").await.unwrap();
    let drip = async {
        while slow.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, drip).await.expect("a slow client is thrown out");
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0, "a silent client is thrown out");
    assert!(start.elapsed() < PATIENCE);
    // The lease is silent for longer, and stays.
    assert!(client(port(&server)).lookup("alfa").await.unwrap().is_some());
}

/// Silent and slow clients are displaced by those that send requests; registered nodes are not.
#[tokio::test]
async fn silent_connections_starve_nobody() {
    let mut config = Config::default();
    config.connections = 8;
    let server = serve_with(config).await;
    let client = client(port(&server));
    let mut leases = Vec::new();
    for number in 0..20 {
        leases.push(client.register(node(&format!("n{number}"), 9101)).await.unwrap());
    }
    let mut silent = Vec::new();
    for number in 0..150 {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        if number % 3 > 0 {
            stream.write_all(&[0]).await.unwrap();
        }
        silent.push(stream);
        assert_eq!(client.names().await.unwrap().len(), 20, "after {number} silent connections");
        assert!(client.lookup("n7").await.unwrap().is_some());
    }
    leases.push(client.register(node("late", 9102)).await.unwrap());
    assert!(leases.iter().all(|lease| lease.state() == LeaseState::Held));
    for stream in &mut silent[..140] {
        let closed = timeout(PATIENCE, stream.read(&mut [0])).await.expect("the oldest ones are closed");
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }
    assert!(timeout(Duration::from_millis(200), silent[149].read(&mut [0])).await.is_err(), "the newest one stays");
}

#[tokio::test]
async fn names_are_limited() {
    let mut config = Config::default();
    config.names = 2;
    let server = serve_with(config).await;
    let client = client(port(&server));
    let alfa = client.register(node("alfa", 9101)).await.unwrap();
    let _beta = client.register(node("beta", 9102)).await.unwrap();
    let third = client.register(node("gamma", 9103)).await;
    assert!(matches!(third, Err(Error::NameTaken { .. })), "{third:?}");
    alfa.release().await;
    client.register(node("gamma", 9103)).await.unwrap();
}

#[tokio::test]
async fn names_that_forge_the_list_are_refused() {
    let server = serve().await;
    let name = b"x at port 1\nname y";
    let mut body = b"x\xff\xffM\x00\x00\x06\x00\x05\x00\x12".to_vec();
    body.extend_from_slice(name);
    body.extend_from_slice(b"\x00\x00");
    let forged = Exchange::with(port(&server), &framed(&body)).await;
    assert_eq!(forged.answer, b"v\x01\x00\x00\x00\x63");
    assert_eq!(client(port(&server)).names().await.unwrap(), []);
}

#[tokio::test]
async fn garbage_is_survived() {
    let server = serve().await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.push((state >> 56) as u8);
        }
        // Half of them have a valid length.
        if state & 1 == 0 {
            bytes[..3].copy_from_slice(&[0, 62, b"xzndks"[(state >> 8) as usize % 6]]);
        }
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("an end");
        if !server.is_running() {
            break;
        }
    }
    // One of them may have killed it legitimately: no node was registered.
    if server.is_running() {
        assert_eq!(client(port(&server)).names().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let mut config = Config::default();
    config.idle = Duration::from_secs(5);
    let server = serve_with(config).await;
    let client = client(port(&server));
    let _lease = client.register(node("alfa", 9101)).await.unwrap();
    let mut deaf = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(b"\x00\x01n").await.unwrap();
        deaf.push(stream);
    }
    assert_eq!(client.names().await.unwrap().len(), 1);
}

#[tokio::test]
async fn shutdown_closes_leases_and_frees_the_port() {
    let server = serve().await;
    let port = port(&server);
    let mut lease = Exchange::with(port, ALFA).await.open.expect("registered");
    let mut idle = TcpStream::connect(local(port)).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    timeout(PATIENCE, server.shutdown()).await.unwrap();
    assert_eq!(lease.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    let again = serve_on(port, Config::default()).await;
    assert_eq!(client(port).names().await.unwrap(), []);

    // Dropping the handle ends the server too.
    drop(again);
    until("ended", async || matches!(client(port).names().await, Err(Error::NoEpmd { .. }))).await;
}

#[tokio::test]
async fn binding() {
    let server = Server::bind([local(0), "[::1]:0".parse().unwrap()], Config::default()).await.unwrap();
    let addresses = server.local_addrs().to_vec();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0].port(), addresses[1].port());
    assert_eq!(server.local_addr(), addresses[0]);
    let taken = Server::bind([addresses[0]], Config::default()).await.unwrap_err();
    assert!(matches!(taken, Error::AddressInUse { .. }), "{taken}");
    let none = Server::bind([], Config::default()).await.unwrap_err();
    assert!(matches!(none, Error::NoAddress), "{none}");
    let elsewhere = Server::bind(["192.0.2.1:0".parse().unwrap()], Config::default()).await.unwrap_err();
    assert!(matches!(elsewhere, Error::Bind { .. }), "{elsewhere}");

    let server = server.spawn();
    for address in addresses {
        let lease = peerl_epmd::Client::new(address).register(node("alfa", 9101)).await.unwrap();
        assert_eq!(client(port(&server)).names().await.unwrap().len(), 1);
        lease.release().await;
    }
}
