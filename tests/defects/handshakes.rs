//! Handshakes byte by byte: nodes that are older than the supported releases, offer less, or stop half-way are treated as by
//! OTP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::stage::{LIMIT, Stage, expect};
use peerl_epmd::{Client, Registration};
use peerl_node::Nodes;
use peerl_proto::flags::DistributionFlags;
use peerl_test_support::{Beam, Otp, conformance, free_port, matrix, unique_name};

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

fn write(socket: &mut TcpStream, message: &[u8]) {
    socket.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
    socket.write_all(message).unwrap();
}

/// The next message; `None` if the other side closes.
fn read(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    if let Err(error) = socket.read_exact(&mut length) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no message, and no end");
        return None;
    }
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    socket.read_exact(&mut message).unwrap();
    Some(message)
}

/// A node's answer to a name message.
fn answer(port: u16, message: &[u8]) -> String {
    let mut socket = connect(port);
    write(&mut socket, message);
    read(&mut socket).map_or_else(|| "closed".to_owned(), |status| String::from_utf8(status).unwrap())
}

/// A BEAM, and its port.
async fn listening(stage: &Stage, otp: Otp) -> (Beam, u16) {
    let port = free_port();
    let range = ["inet_dist_listen_min", "inet_dist_listen_max"];
    let range = range.map(|limit| ["-kernel".to_owned(), limit.to_owned(), port.to_string()]);
    let beam = stage.erlang(otp).args(range.as_flattened().iter().map(String::as_str));
    (beam.start_async().await, port)
}

fn old_name(version: u16) -> Vec<u8> {
    let name = format!("{}@127.0.0.1", unique_name("old"));
    let flags = DistributionFlags::MANDATORY_26.bits() as u32;
    [b"n".as_slice(), &version.to_be_bytes(), &flags.to_be_bytes(), name.as_bytes()].concat()
}

fn new_name(flags: DistributionFlags) -> Vec<u8> {
    let name = format!("{}@127.0.0.1", unique_name("new"));
    let length = u16::try_from(name.len()).unwrap().to_be_bytes();
    [b"N".as_slice(), &flags.bits().to_be_bytes(), &7u32.to_be_bytes(), &length, name.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_and_what_is_refused() {
    let stage = Stage::new();
    let node = stage.node().await;
    let least = DistributionFlags::MANDATORY_26;
    let digest = DistributionFlags::MANDATORY_25_DIGEST | DistributionFlags::V4_NC | DistributionFlags::UNLINK_ID;
    let mut names: Vec<(&str, Vec<u8>, &str)> = vec![
        ("the least", new_name(least), "sok"),
        ("the digest of it", new_name(digest), "sok"),
        ("no V4_NC", new_name(least.difference(DistributionFlags::V4_NC)), "snot_allowed"),
        ("no UNLINK_ID", new_name(least.difference(DistributionFlags::UNLINK_ID)), "snot_allowed"),
        ("no maps", new_name(least.difference(DistributionFlags::MAP_TAG)), "snot_allowed"),
        ("the digest alone", new_name(DistributionFlags::MANDATORY_25_DIGEST), "snot_allowed"),
    ];
    names.extend([0, 4, 5, 6, 0xffff].map(|version| ("an old name", old_name(version), "sok")));
    for (what, message, expected) in &names {
        assert_eq!(answer(node.port(), message), *expected, "{what}");
    }
    for otp in matrix() {
        let (_beam, port) = listening(&stage, otp).await;
        for (what, message, expected) in &names {
            // OTP 25 accepts no old names, and requires less.
            let expected = match *what {
                "an old name" if otp.number() < 26 => "closed",
                "no V4_NC" | "no UNLINK_ID" | "the digest alone" if otp.number() < 26 => "sok",
                _ => expected,
            };
            assert_eq!(answer(port, message), expected, "{what}, OTP {}", otp.number());
        }
        conformance::holds(otp, [9]);
    }
}

/// The flags of a challenge or a name message of protocol version 6.
fn flags(message: &[u8]) -> u64 {
    assert_eq!(message[0], b'N');
    u64::from_be_bytes(message[1..9].try_into().unwrap())
}

/// The flags in the challenge of a node.
fn challenged(port: u16) -> u64 {
    let mut socket = connect(port);
    write(&mut socket, &new_name(DistributionFlags::FULL_MEMBER));
    assert_eq!(read(&mut socket).unwrap(), b"sok");
    flags(&read(&mut socket).unwrap())
}

/// What nodes offer, as acceptors and as those who dial.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capabilities() {
    const OURS: u64 = 0x6d_07df_7fbd;
    const PUBLISHED: u64 = 1;
    let stage = Stage::new();
    let (node, hidden) = (stage.node().await, stage.hidden().await);
    assert_eq!((challenged(node.port()), challenged(hidden.port())), (OURS, OURS - PUBLISHED));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let registration = Registration::new("silent".parse().unwrap(), listener.local_addr().unwrap().port());
    let _lease = Client::new(stage.epmd.address()).register(registration).await.unwrap();
    let dialled = || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        flags(&read(&mut socket).unwrap())
    };
    let silent = "silent@127.0.0.1".parse().unwrap();
    let (_, ours) = tokio::join!(node.connect(&silent), async { tokio::task::block_in_place(dialled) });
    assert_eq!(ours, OURS);
    for otp in matrix() {
        let expected = if otp.number() < 28 { 0x0d_07df_7fbd } else { OURS };
        let (beam, port) = listening(&stage, otp).await;
        assert_eq!(challenged(port), expected);
        let connect = beam.eval_async("spawn(fun() -> net_kernel:connect_node('silent@127.0.0.1') end)");
        connect.await.unwrap();
        assert_eq!(tokio::task::block_in_place(dialled), expected);
        // What both offer is what is used: the BEAM connects to a node of ours.
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        conformance::holds(otp, [14]);
    }
}

/// Either side ends a handshake that stops half-way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_stop() {
    let stage = Stage::new();
    let node = stage.node().await;
    let mut beams = Vec::new();
    for otp in matrix() {
        beams.push(listening(&stage, otp).await);
    }
    // After nothing, after half of a length, and after the name.
    let stalled = |port: u16| {
        let mut sockets = [connect(port), connect(port), connect(port)];
        sockets[1].write_all(&[0]).unwrap();
        write(&mut sockets[2], &new_name(DistributionFlags::FULL_MEMBER));
        assert_eq!(read(&mut sockets[2]).unwrap(), b"sok");
        sockets
    };
    let ports = beams.iter().map(|(_, port)| *port).chain([node.port()]);
    let mut sockets: Vec<_> = ports.map(stalled).collect();
    // A BEAM that stands still while a node of ours dials it.
    futures::future::join_all(beams.iter().map(async |(beam, _)| {
        beam.sigstop();
        let peer = crate::stage::name(beam);
        assert!(tokio::time::timeout(LIMIT, node.connect(&peer)).await.expect("an end").is_err());
        beam.sigcont();
        // Until it has noticed, the first attempt is in the way of a second one.
        let again = async { while node.ping(&peer).await.is_err() {} };
        tokio::time::timeout(LIMIT, again).await.expect("a connection");
    }))
    .await;
    for socket in sockets.as_flattened_mut() {
        while read(socket).is_some() {}
    }
    assert_eq!(node.nodes(Nodes::Connected).len(), beams.len());
    for (beam, _) in &beams {
        expect(beam, &node, "net_adm:ping(NODE)", "pong").await;
        conformance::holds(beam.otp(), [16]);
    }
}
