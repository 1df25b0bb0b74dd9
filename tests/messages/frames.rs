//! Frames between a node and a BEAM: atom caches that overflow, and a link that is slow.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, export, name};
use peerl_epmd::{Client, Registration};
use peerl_node::{Atom, Mfa, NodeEvent, Term};
use peerl_test_support::{conformance, matrix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// More atoms than a cache has entries, in messages that use many of them at once, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atoms_beyond_the_cache() {
    const ATOMS: usize = 5_000;
    const AT_ONCE: usize = 250;
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        // The longest have 255 characters of two bytes.
        let longest: Vec<Atom> = (0..10).map(|n| Atom::new(&format!("{n}{}", "é".repeat(254))).unwrap()).collect();
        let short = (0..ATOMS).map(|n| Atom::new(&format!("ours_{n}")).unwrap());
        let ours: Vec<Term> = short.chain(longest).map(Term::Atom).collect();
        for _ in 0..2 {
            for atoms in ours.chunks(AT_ONCE) {
                let mfa = Mfa::with_terms(
                    Atom::from_static("lists"),
                    Atom::from_static("reverse"),
                    vec![Term::list(atoms.to_vec())],
                );
                let reversed: Term = node.call(&peer, mfa).timeout(LIMIT).await.unwrap();
                assert!(reversed.as_list().unwrap().iter().eq(atoms.iter().rev()));
            }
        }
        let theirs = format!(
            "Longest = [binary_to_atom(<<(integer_to_binary(N))/binary, (binary:copy(<<\"ä\"/utf8>>, 254))/binary>>) || N <- lists:seq(0, 9)],
             Lists = [Longest | [[list_to_atom(\"theirs_\" ++ integer_to_list(N)) || N <- lists:seq(From, From + {AT_ONCE} - 1)]
                                 || From <- lists:seq(0, {ATOMS} - 1, {AT_ONCE})]],
             [Atoms || _ <- [1, 2], Atoms <- Lists, erpc:call(NODE, rust, echo, [Atoms]) =/= Atoms]"
        );
        assert_eq!(eval(&beam, &node, &theirs).await, "[]");
        conformance::holds(otp, [17]);
    }
}

/// Passes on what comes at a port of this host to another one, and back, each way with this many bytes a second. What it has
/// missed for want of the processor it makes up for within a second.
async fn slow_link(to: SocketAddr, rate: usize) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let pass_on = move |mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf| async move {
        let mut buffer = vec![0; rate / 50];
        let mut next = Instant::now();
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            let earliest = Instant::now() - Duration::from_secs(1);
            next = next.max(earliest) + Duration::from_secs_f64(length as f64 / rate as f64);
            tokio::time::sleep_until(next).await;
        }
    };
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(pass_on(near_in, far_out));
            tokio::spawn(pass_on(far_in, near_out));
        }
    });
    port
}

/// Messages that take longer than the tick time, both ways at once: the nodes stay connected, and small messages come through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_on_a_slow_link() {
    const SIZE: usize = 100_000_000;
    const RATE: usize = 12_000_000;
    const TICK_TIME: u64 = 6;
    const PATIENCE: Duration = Duration::from_secs(120);
    for otp in matrix() {
        let stage = Stage::new();
        let ticks = ["-kernel", "net_ticktime", &TICK_TIME.to_string()];
        let beam = stage.erlang(otp).args(ticks).start_async().await;
        let short = name(&beam).name().to_owned();
        let (_, port) = stage.epmd.names().into_iter().find(|(name, _)| *name == short).unwrap();
        // The node finds the BEAM behind the link.
        let other = Stage::new();
        let registration =
            Registration::new(short.parse().unwrap(), slow_link((Ipv4Addr::LOCALHOST, port).into(), RATE).await);
        let _lease = Client::new(other.epmd.address()).register(registration).await.unwrap();
        let node = other.builder().net_ticktime(Duration::from_secs(TICK_TIME)).start().await.unwrap();
        export(&node);
        let mut events = node.events();
        node.ping(&name(&beam)).await.unwrap();
        let NodeEvent::NodeUp { .. } = crate::stage::event(&mut events).await else { panic!() };

        let mut process = node.process();
        process.register(Atom::from_static("sink")).unwrap();
        let exchange = format!(
            "register(sink, spawn(fun() -> receive {{From, B}} -> From ! {{size, byte_size(B)}} end end)),
             spawn(fun() -> {{sink, NODE}} ! binary:copy(<<7>>, {SIZE}) end), ok"
        );
        assert_eq!(eval(&beam, &node, &exchange).await, "ok");
        let large = Term::tuple([process.pid().clone().into(), Term::binary(vec![7; SIZE])]);
        process.send_term(("sink", &name(&beam)), &large).await.unwrap();
        drop(large);
        let small = async {
            for n in 0..20u32 {
                let sum = node.call::<u32>(&name(&beam), Mfa::new("erlang", "+", (n, 1)).unwrap());
                assert_eq!(sum.timeout(PATIENCE).await.unwrap(), n + 1);
                let call = format!("erpc:call(NODE, rust, add, [{n}, 1])");
                assert_eq!(eval(&beam, &node, &call).await, (n + 1).to_string());
            }
        };
        let messages = async {
            let (mut came, mut went) = (false, false);
            while !(came && went) {
                let message =
                    tokio::time::timeout(PATIENCE, process.receive()).await.expect("a large message").unwrap();
                match message.into_term().unwrap() {
                    Term::Tuple(size) => {
                        assert_eq!(size[1], Term::from(SIZE as u64));
                        went = true;
                    }
                    data => {
                        assert_eq!(data.as_binary().map(|data| data.len()), Some(SIZE));
                        came = true;
                    }
                }
            }
        };
        tokio::join!(small, messages);
        assert!(events.try_recv().is_err(), "the nodes stay connected");
        conformance::holds(otp, [23]);
    }
}
