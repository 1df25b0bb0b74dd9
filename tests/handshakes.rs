//! Handshakes of nodes that are older than the supported releases, or offer less: accepted or refused as by OTP.

mod stage;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use peerl_proto::flags::DistributionFlags;
use peerl_test_support::{free_port, matrix, unique_name};
use stage::{LIMIT, Stage};

/// A node's answer to a name message: the messages of the first read, or nothing if it closes.
fn answer(port: u16, message: &[u8]) -> String {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
    socket.write_all(message).unwrap();
    let mut length = [0; 2];
    if socket.read_exact(&mut length).is_err() {
        return "closed".to_owned();
    }
    let mut status = vec![0; u16::from_be_bytes(length).into()];
    socket.read_exact(&mut status).unwrap();
    String::from_utf8(status).unwrap()
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
    // OTP 25 accepts no old names, and requires less.
    for otp in matrix().into_iter().filter(|otp| otp.number() >= 26) {
        let port = free_port();
        let beam = stage.erlang(otp).args(["-kernel", "inet_dist_listen_min", &port.to_string()]);
        let beam = beam.args(["-kernel", "inet_dist_listen_max", &port.to_string()]).start_async().await;
        for (what, message, expected) in &names {
            assert_eq!(answer(port, message), *expected, "{what}, OTP {}", beam.otp().number());
        }
    }
    for (what, message, expected) in &names {
        assert_eq!(answer(node.port(), message), *expected, "{what}");
    }
}
