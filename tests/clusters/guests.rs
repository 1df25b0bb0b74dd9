//! Guests of the library: their names at several peers; and the names that are given to nodes that connect without a
//! name.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::stage::{LIMIT, Stage, eventually, expect, name};
use bytes::{Bytes, BytesMut};
use peerl_epmd::Client;
use peerl_node::{ConnectError, Cookie, Epmd, Mfa, Node, NodeBuilder, NodeName, Nodes, Process, Term, Visibility};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::acceptor::{AfterReply, AliveAnswer, ExpectName, ExpectReply, Introduced};
use peerl_proto::handshake::initiator::{self, AfterStatus};
use peerl_proto::handshake::{HandshakeError, HandshakeReader, LocalNode};
use peerl_test_support::{Beam, COOKIE, matrix};

fn guest(stage: &Stage) -> NodeBuilder {
    peerl::guest().cookie(COOKIE).epmd_client(Client::new(stage.epmd.address()))
}

/// Another guest, which already has the name.
async fn occupant(stage: &Stage, name: &NodeName) -> Node {
    let builder = stage.builder_of(name.as_str()).epmd(Epmd::Unregistered).visibility(Visibility::Hidden);
    builder.start().await.unwrap()
}

const ECHO: &str = "register(echo, spawn(fun Echo() ->
    receive {Pid, Message} -> Pid ! {self(), node(Pid), Message}, Echo() end end)), ok";

async fn received(process: &mut Process) -> Term {
    tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap().into_term().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_has_another_name_where_its_own_is_taken() {
    let stage = Stage::new();
    for otp in matrix() {
        let (a, b, short) =
            (stage.beam(otp).await, stage.beam(otp).await, stage.erlang(otp).short_names().start_async().await);
        let guest = guest(&stage).start().await.unwrap();
        assert_eq!((guest.port(), guest.visibility()), (0, Visibility::Hidden));
        let occupant = occupant(&stage, guest.name()).await;
        occupant.connect(&name(&a)).await.unwrap();
        for beam in [&a, &b, &short] {
            guest.connect(&name(beam)).await.unwrap();
            expect(beam, &guest, ECHO, "ok").await;
        }
        assert_ne!(guest.name_at(&name(&a)), *guest.name());
        assert_eq!(guest.name_at(&name(&b)), *guest.name());
        assert!(!guest.name_at(&name(&short)).is_long());
        for beam in [&a, &b, &short] {
            talks_under_the_name_of_the_connection(&guest, beam).await;
        }
        assert_eq!(occupant.nodes(Nodes::Connected), [name(&a)]);
        assert_eq!(a.eval_async("length(nodes(hidden))").await.unwrap(), "2");

        // After a loss it gets the same names again.
        let before = guest.name_at(&name(&a));
        a.eval_async(format!("erlang:disconnect_node('{before}')")).await.unwrap();
        eventually("the loss", || !guest.nodes(Nodes::Connected).contains(&name(&a))).await;
        guest.connect(&name(&a)).await.unwrap();
        assert_eq!(guest.name_at(&name(&a)), before);
    }
}

async fn talks_under_the_name_of_the_connection(guest: &Node, beam: &Beam) {
    let (peer, known_as) = (name(beam), guest.name_at(&name(beam)));
    let mut process = guest.process();
    let own = Term::from(process.pid().clone());
    for message in [Term::from(7), Term::binary(vec![7; 300_000]), Term::list((0..20_000).map(|_| own.clone()))] {
        process.send_term(("echo", &peer), &Term::tuple([own.clone(), message.clone()])).await.unwrap();
        process.send(("echo", &peer), &(own.clone(), message.clone())).await.unwrap();
        for _ in 0..2 {
            let Term::Tuple(answer) = received(&mut process).await else { panic!() };
            assert!(answer[1].is_atom(known_as.as_str()), "{:?}", answer[1]);
            match &answer[2] {
                Term::List(pids) => assert_eq!(pids.len(), 20_000),
                echoed => assert_eq!(*echoed, message),
            }
        }
    }
    let node_of: Term = guest.call(&peer, Mfa::new("erlang", "node", (own.clone(),)).unwrap()).await.unwrap();
    assert!(node_of.is_atom(known_as.as_str()), "{node_of:?}");
    guest.ping(&peer).await.unwrap();

    // Monitors and links, both ways.
    let watched: Term = guest
        .call(&peer, Mfa::new("erlang", "spawn", (Term::atom("timer"), Term::atom("sleep"), vec![60_000])).unwrap())
        .await
        .unwrap();
    let Term::Pid(watched) = watched else { panic!("{watched:?}") };
    let monitor = process.monitor(&*watched).await;
    process.trap_exit(true);
    process.link(&watched).await;
    process.exit_other(&watched, &Term::atom("enough"));
    for _ in 0..2 {
        let message = received(&mut process).await;
        let Term::Tuple(parts) = &message else { panic!("{message:?}") };
        match parts.len() {
            3 => assert!(parts[0].is_atom("EXIT") && parts[2].is_atom("enough"), "{message:?}"),
            _ => assert!(parts[1].as_reference() == Some(&monitor) && parts[4].is_atom("enough"), "{message:?}"),
        }
    }
    let watcher = "register(watcher, spawn(fun() -> receive {P, go} -> R = monitor(process, P), P ! {self(), watching},
        receive {'DOWN', R, process, P, done} -> persistent_term:put(saw_it, yes) end end end)), ok";
    expect(beam, guest, watcher, "ok").await;
    process.send(("watcher", &peer), &(own, Term::atom("go"))).await.unwrap();
    received(&mut process).await;
    process.exit(&Term::atom("done"));
    beam.wait_for_async("persistent_term:get(saw_it, no)", "yes", LIMIT).await;
}

/// A pid of a guest reaches a node that is connected to another guest of the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pids_do_not_mean_the_guest_of_the_same_name() {
    let stage = Stage::new();
    for otp in matrix() {
        let (a, b) = (stage.beam(otp).await, stage.beam(otp).await);
        assert!(a.ping(b.name()));
        let guest = guest(&stage).start().await.unwrap();
        let other = occupant(&stage, guest.name()).await;
        guest.connect(&name(&a)).await.unwrap();
        other.connect(&name(&b)).await.unwrap();
        assert_eq!(guest.name_at(&name(&a)), other.name_at(&name(&b)));
        // The numbers of the two are the same.
        let (mut process, mut namesake) = (guest.process(), other.process());
        while process.pid().id < namesake.pid().id {
            process = guest.process();
        }
        while namesake.pid().id < process.pid().id {
            namesake = other.process();
        }
        assert_eq!((process.pid().id, process.pid().serial), (namesake.pid().id, namesake.pid().serial));
        let receiver = "register(receiver, spawn(fun() -> receive P -> persistent_term:put(pid, P) end end)), ok";
        expect(&a, &guest, receiver, "ok").await;
        process.send(("receiver", &name(&a)), process.pid()).await.unwrap();
        a.wait_for_async("is_pid(persistent_term:get(pid, none))", "true", LIMIT).await;
        let pass_on = format!("rpc:call('{}', persistent_term, put, [pid, persistent_term:get(pid)])", b.name());
        expect(&a, &guest, &pass_on, "ok").await;
        let use_it =
            "P = persistent_term:get(pid), P ! wrong, R = monitor(process, P), receive {'DOWN', R, _, _, W} -> W end";
        expect(&b, &other, use_it, "noproc").await;
        expect(&b, &other, "register(teller, spawn(fun() -> receive P -> P ! right end end)), ok", "ok").await;
        namesake.send(("teller", &name(&b)), namesake.pid()).await.unwrap();
        assert!(received(&mut namesake).await.is_atom("right"));
    }
}

/// The way in which a test peer treats one caller.
#[derive(Clone, Copy, Debug)]
enum Treatment {
    Alive,
    Nok,
    NotAllowed,
    CloseBeforeStatus,
    CloseBeforeChallenge,
    CloseAfterReply,
    Accept,
}

struct Host {
    node: NodeName,
    port: u16,
    callers: JoinHandle<Vec<String>>,
}

/// A peer that treats consecutive callers in these ways, and then accepts no more.
fn host(treatments: Vec<Treatment>) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (node, port) = (NodeName::new("host@127.0.0.1").unwrap(), listener.local_addr().unwrap().port());
    let flags = DistributionFlags::FULL_MEMBER;
    let local = LocalNode::new(node.clone(), 77, flags, Cookie::new(COOKIE).unwrap());
    let callers = std::thread::spawn(move || {
        let mut open = Vec::new();
        let names = treatments.into_iter().map(|treatment| {
            let (mut socket, _) = listener.accept().unwrap();
            let name = treat(&mut socket, local.clone(), treatment);
            if matches!(treatment, Treatment::Accept) {
                open.push(socket);
            }
            name
        });
        let names = names.collect();
        std::thread::sleep(Duration::from_millis(300));
        names
    });
    Host { node, port, callers }
}

fn treat(socket: &mut TcpStream, local: LocalNode, treatment: Treatment) -> String {
    let mut buffer = BytesMut::new();
    let message = handshake_message(socket, &mut buffer).unwrap();
    let Introduced::Named(caller) = ExpectName::new(local).receive(&message).unwrap() else { panic!() };
    let name = caller.name().to_string();
    let reply = |socket: &mut TcpStream, buffer: &mut BytesMut, (state, out): (ExpectReply, [Vec<u8>; 2])| {
        socket.write_all(&out.concat()).unwrap();
        let message = handshake_message(socket, buffer).unwrap();
        let AfterReply::Established(_, out) = state.receive(&message).unwrap() else { panic!() };
        out
    };
    match treatment {
        Treatment::Alive => {
            let (state, out) = caller.ask_alive();
            socket.write_all(&out).unwrap();
            let message = handshake_message(socket, &mut buffer).unwrap();
            assert!(matches!(state.receive(&message, 1), Ok(AliveAnswer::KeepOld)));
        }
        Treatment::Nok => socket.write_all(&caller.yield_to_ours()).unwrap(),
        Treatment::NotAllowed => socket.write_all(&caller.refuse()).unwrap(),
        Treatment::CloseBeforeStatus => {}
        Treatment::CloseBeforeChallenge => socket.write_all(b"\0\x03sok").unwrap(),
        Treatment::CloseAfterReply => drop(reply(socket, &mut buffer, caller.accept(7))),
        Treatment::Accept => {
            let out = reply(socket, &mut buffer, caller.accept(7));
            socket.write_all(&out).unwrap();
        }
    }
    name
}

fn handshake_message(socket: &mut TcpStream, buffer: &mut BytesMut) -> Option<Bytes> {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    loop {
        if let Some(message) = HandshakeReader::default().next(buffer).unwrap() {
            return Some(message);
        }
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).unwrap_or(0);
        if count == 0 {
            return None;
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}

/// Connects a guest, and returns the names that it has tried.
async fn visit(treatments: Vec<Treatment>) -> (Result<(), ConnectError>, Vec<String>) {
    let host = host(treatments);
    let guest = peerl::guest().cookie(COOKIE).epmd(Epmd::None { port: host.port }).start().await.unwrap();
    let result = tokio::time::timeout(LIMIT, guest.connect(&host.node)).await.unwrap();
    let callers = tokio::task::spawn_blocking(|| host.callers.join().unwrap()).await.unwrap();
    (result, callers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peer_decides_which_name_is_free() {
    use Treatment::{Accept, Alive, CloseAfterReply, CloseBeforeChallenge, CloseBeforeStatus, Nok};
    for treatments in [
        vec![Accept],
        vec![Alive, Nok, CloseBeforeStatus, CloseAfterReply, Alive, Accept],
        vec![CloseBeforeChallenge, CloseAfterReply, Accept],
        [vec![Alive; 255], vec![Accept]].concat(),
    ] {
        let count = treatments.len();
        let (result, names) = visit(treatments).await;
        result.unwrap();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), count);
        assert!(names.iter().all(|name| name.starts_with("remsh_peerl_")), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_matter_of_the_name_is_told_soon() {
    let (result, _) = visit(vec![Treatment::CloseAfterReply; 3]).await;
    let Err(ConnectError::Handshake { source: HandshakeError::CookieMismatch { .. }, .. }) = result else {
        panic!("{result:?}")
    };
    let (result, _) = visit(vec![Treatment::NotAllowed]).await;
    let Err(ConnectError::Handshake { source: HandshakeError::NotAllowed { .. }, .. }) = result else {
        panic!("{result:?}")
    };
    let (result, _) = visit(vec![Treatment::CloseBeforeStatus; 3]).await;
    let Err(ConnectError::Handshake { source: HandshakeError::Closed { .. }, .. }) = result else {
        panic!("{result:?}")
    };
    let (result, names) = visit(vec![Treatment::Alive; 256]).await;
    assert!(matches!(result, Err(ConnectError::NoGuestName(_))), "{result:?}");
    assert_eq!(names.into_iter().collect::<HashSet<_>>().len(), 256);
}

/// A node without a name, connected to a peerl node.
struct Nameless {
    name: NodeName,
    creation: u32,
    _socket: TcpStream,
}

fn come_without_a_name(node: &Node, host: &str, cookie: &str) -> Result<Nameless, HandshakeError> {
    let asked = NodeName::new(&format!("undefined@{host}")).unwrap();
    let local = LocalNode::new(asked, 0, DistributionFlags::HIDDEN, Cookie::new(cookie).unwrap());
    let (mut socket, mut buffer) = (TcpStream::connect(("127.0.0.1", node.port())).unwrap(), BytesMut::new());
    let (state, out) = initiator::start_dynamic(local, node.name().clone());
    socket.write_all(&out).unwrap();
    let message = handshake_message(&mut socket, &mut buffer).unwrap();
    let AfterStatus::Proceed(state) = state.receive(&message)? else { panic!() };
    let (name, creation) = (state.local_name().clone(), state.local_creation());
    let (state, out) = state.receive(&handshake_message(&mut socket, &mut buffer).unwrap(), 1)?;
    socket.write_all(&out).unwrap();
    match handshake_message(&mut socket, &mut buffer) {
        Some(message) => state.receive(&message)?,
        None => return Err(state.closed()),
    };
    Ok(Nameless { name, creation, _socket: socket })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_given_are_unlike_those_of_other_nodes_and_are_used_again() {
    let stage = Stage::new();
    let nodes = [stage.node().await, stage.node().await];
    let come = |node: &Node, host| come_without_a_name(node, host, COOKIE).unwrap();
    let here: Vec<Nameless> = nodes.iter().flat_map(|node| (0..3).map(|_| come(node, "box"))).collect();
    let elsewhere = come(&nodes[0], "other");
    let names: HashSet<&str> = here.iter().map(|nameless| nameless.name.name()).collect();
    assert_eq!(names.len(), here.len());
    // One of 64 random bits with fewer than 6 digits of base 36 is one of ten billion.
    assert!(names.iter().all(|name| name.len() >= 6), "{names:?}");

    let (name, creation) = (here[0].name.clone(), here[0].creation);
    drop(here.into_iter().take(1).collect::<Vec<_>>());
    eventually("all are gone", || nodes[0].nodes(Nodes::Hidden) == [elsewhere.name.clone()]).await;
    let again: Vec<Nameless> = (0..4).map(|_| come(&nodes[0], "box")).collect();
    let same = again.iter().find(|nameless| nameless.name == name).unwrap();
    assert_ne!(same.creation, creation);
    eventually("all are there", || {
        let known = nodes[0].nodes(Nodes::Hidden);
        again.iter().all(|nameless| known.contains(&nameless.name))
    })
    .await;

    // A caller without the cookie does not use up a name.
    drop(again);
    eventually("all are gone again", || nodes[0].nodes(Nodes::Hidden) == [elsewhere.name.clone()]).await;
    for _ in 0..10 {
        assert!(come_without_a_name(&nodes[0], "box", "wrong").is_err());
    }
    let last: Vec<Nameless> = (0..4).map(|_| come(&nodes[0], "box")).collect();
    assert!(last.iter().any(|nameless| nameless.name == name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_otp_are_given_names() {
    let stage = Stage::new();
    for otp in matrix() {
        let nodes = [stage.node().await, stage.node().await];
        let mut names = HashSet::new();
        for node in &nodes {
            let shell = stage.erlang(otp).name("undefined").start_async().await;
            expect(&shell, node, "net_kernel:connect_node(NODE)", "true").await;
            let name = shell.eval_async("node()").await.unwrap().trim_matches('\'').to_owned();
            eventually("it is there", || node.nodes(Nodes::Hidden) == [NodeName::new(&name).unwrap()]).await;
            // After a disconnection it reconnects, with a name that is already known.
            expect(&shell, node, "erlang:disconnect_node(NODE)", "true").await;
            eventually("it is gone", || node.nodes(Nodes::Hidden).is_empty()).await;
            shell.wait_for_async(format!("net_kernel:connect_node('{}')", node.name()), "true", LIMIT).await;
            let again = shell.eval_async("node()").await.unwrap().trim_matches('\'').to_owned();
            assert_eq!(again, name);
            names.insert(name);
        }
        assert_eq!(names.len(), nodes.len(), "{names:?}");
    }
}
