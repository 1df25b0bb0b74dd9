//! Hostile or defective peers: only their own connection ends, and other peers are served.

mod attacks;
#[path = "hostile_peers/budgets.rs"]
mod budgets;
#[path = "hostile_peers/introspection.rs"]
mod introspection;
mod intruder;
mod stage;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use intruder::{Intruder, fragment};
use peerl_node::{Exception, Limits, NodeDownReason, NodeEvent, PacedTasks, Term, Violation};
use peerl_proto::control::Signal;
use peerl_proto::flags::DistributionFlags;
use peerl_term::{Atom, Pid, Reference};
use peerl_test_support::{COOKIE, Epmd, Otp, ProcessGuard, peerl_command, unique_name};
use stage::{LIMIT, Stage, event, eventually, expect, export};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let beam = stage.beam(Otp::V25).await;
    expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
    let target = node.process();
    let (own, foreign) =
        (target.pid().clone(), Pid { node: Atom::from_static("somebody@else"), id: 1, serial: 0, creation: 1 });
    let reference = Reference::new(foreign.node.clone(), 1, &[1, 2, 3]).unwrap();

    type Attack = Box<dyn FnOnce(&mut Intruder) + Send>;
    let control =
        |term: Term, payload: Option<Term>| -> Attack { Box::new(move |intruder| intruder.frame(term, payload)) };
    let body = |bytes: Vec<u8>| -> Attack { Box::new(move |intruder| intruder.bytes(&bytes)) };
    let send_start = |intruder: &Intruder| {
        let control = Term::tuple([Term::from(6), intruder.pid().into(), Term::atom(""), Term::atom("rex")]);
        let mut start = vec![0];
        start.extend_from_slice(&control.encode()[1..]);
        start
    };
    let attacks: Vec<(&str, Attack)> = vec![
        ("noise", body(vec![1, 2, 3, 4, 5])),
        ("a pass-through frame of noise", body(vec![112, 131, 200, 1])),
        ("an empty message", body(vec![131, 68, 0])),
        ("a huge length", Box::new(|intruder| intruder.socket.write_all(&[0xff; 8]).unwrap())),
        ("an atom cache reference to nothing", body(vec![131, 68, 1, 0x07, 5, 104, 1, 82, 0])),
        ("an unlink with id 0", {
            let own = own.clone();
            Box::new(move |i| i.frame(Term::tuple([35.into(), 0.into(), i.pid().into(), own.into()]), None))
        }),
        ("a monitor in another's name", {
            let own = own.clone();
            control(Term::tuple([19.into(), foreign.clone().into(), own.into(), reference.clone().into()]), None)
        }),
        ("a link in another's name", {
            let own = own.clone();
            control(Term::tuple([1.into(), foreign.clone().into(), own.into()]), None)
        }),
        ("a control message of a wrong arity", control(Term::tuple([6.into()]), None)),
        ("a control message that is no tuple", control(Term::atom("hello"), None)),
        ("a fragment without a start", body(fragment(70, 1, 1, &[1, 2, 3]))),
        ("fragments out of order", {
            Box::new(move |i| {
                let start = send_start(i);
                i.bytes(&fragment(69, 5, 4, &start));
                i.bytes(&fragment(70, 5, 2, &[1, 2, 3]));
            })
        }),
        ("a message of more fragments than anybody needs", {
            Box::new(move |i| {
                let start = send_start(i);
                i.bytes(&fragment(69, 5, u64::MAX, &start));
                i.bytes(&fragment(70, 5, 1, &[1, 2, 3]));
            })
        }),
        ("a spawn without arguments", {
            Box::new(move |i| {
                let (pid, reference) = (i.pid(), Reference::new(i.pid().node, 9, &[1]).unwrap());
                let mfa = Term::tuple([Term::atom("erpc"), Term::atom("execute_call"), 4.into()]);
                i.frame(
                    Term::tuple([29.into(), reference.into(), pid.clone().into(), pid.into(), mfa, Term::nil()]),
                    None,
                );
            })
        }),
    ];
    let mut events = node.events();
    for (what, attack) in attacks {
        let attacked = node.clone();
        let name = tokio::task::spawn_blocking(move || {
            let mut intruder = Intruder::connect(&attacked);
            attack(&mut intruder);
            intruder.assert_closed(what);
            intruder.name
        });
        let name = name.await.unwrap();
        assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { node, .. } if node.as_str() == name));
        let NodeEvent::NodeDown { node: down, reason } = event(&mut events).await else { panic!("{what}") };
        assert_eq!(down.as_str(), name);
        assert!(matches!(reason, NodeDownReason::Protocol(_)), "{what}: {reason:?}");
        expect(&beam, &node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
    }
    // The BEAM has stayed connected.
    assert!(events.try_recv().is_err());
}

/// Unusual but valid messages end nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_messages() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let target = node.process();
    let own = target.pid().clone();
    let strange = node.clone();
    let answered = tokio::task::spawn_blocking(move || {
        let mut intruder = Intruder::connect(&strange);
        let (pid, me) = (intruder.pid(), intruder.pid());
        let reference = Reference::new(pid.node.clone(), 9, &[1, 2, 3, 4, 5]).unwrap();
        let stale = Pid { creation: own.creation ^ 1, ..own.clone() };
        let to_rex = |payload: Term| {
            (Term::tuple([6.into(), me.clone().into(), Term::atom(""), Term::atom("rex")]), Some(payload))
        };
        let messages = [
            // To unknown receivers, and to an old incarnation; answers to requests that were never sent.
            (Term::tuple([22.into(), pid.clone().into(), stale.clone().into()]), Some(Term::nil())),
            (Term::tuple([33.into(), pid.clone().into(), reference.clone().into()]), Some(Term::nil())),
            (
                Term::tuple([28.into(), pid.clone().into(), own.clone().into(), reference.clone().into()]),
                Some(Term::nil()),
            ),
            (
                Term::tuple([31.into(), reference.clone().into(), own.clone().into(), 0.into(), pid.clone().into()]),
                None,
            ),
            (Term::tuple([24.into(), pid.clone().into(), own.clone().into()]), Some(Term::atom("no_link"))),
            (Term::tuple([36.into(), 7.into(), pid.clone().into(), own.clone().into()]), None),
            (Term::tuple([20.into(), pid.clone().into(), own.clone().into(), reference.clone().into()]), None),
            (Term::tuple([35.into(), 7.into(), pid.clone().into(), own.clone().into()]), None),
            // Invalid requests to servers.
            to_rex(Term::from(7)),
            to_rex(Term::tuple([me.clone().into(), Term::tuple([Term::atom("call")])])),
            to_rex(Term::tuple([Term::atom("$gen_call"), Term::from(1), Term::from(2)])),
            (
                Term::tuple([
                    29.into(),
                    reference.clone().into(),
                    pid.clone().into(),
                    pid.clone().into(),
                    Term::tuple([Term::atom("erpc"), Term::atom("execute_call"), 4.into()]),
                    Term::nil(),
                ]),
                Some(Term::from(7)),
            ),
            (
                Term::tuple([
                    29.into(),
                    reference.clone().into(),
                    pid.clone().into(),
                    pid.clone().into(),
                    Term::tuple([Term::atom("rust"), Term::atom("add"), 2.into()]),
                    Term::atom("no_list"),
                ]),
                Some(Term::nil()),
            ),
        ];
        for (control, payload) in messages {
            intruder.frame(control, payload);
        }
        // Bytes after a payload: the BEAM ignores them.
        let mut body = vec![131, 68, 0];
        body.extend_from_slice(&to_rex(Term::nil()).0.encode()[1..]);
        body.extend_from_slice(&[106, 106, 106]);
        intruder.bytes(&body);
        // A ping is still answered.
        let tag = Reference::new(pid.node.clone(), 9, &[77]).unwrap();
        let is_auth = Term::tuple([Term::atom("is_auth"), pid.node.clone().into()]);
        let from = Term::tuple([pid.clone().into(), tag.into()]);
        let ping = Term::tuple([Term::atom("$gen_call"), from, is_auth]);
        intruder.frame(Term::tuple([6.into(), pid.into(), Term::atom(""), Term::atom("net_kernel")]), Some(ping));
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        while !seen.windows(5).any(|bytes| bytes == [119, 3, b'y', b'e', b's']) {
            let count = intruder.socket.read(&mut chunk).unwrap();
            assert!(count > 0, "the node closed the connection");
            seen.extend_from_slice(&chunk[..count]);
        }
    });
    answered.await.unwrap();
    assert!(node.whereis("rex").is_some());
    drop(target);
}

/// Connections that send nothing, or stop within the handshake, do not keep others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_alone() {
    let stage = Stage::new();
    let node = stage.node().await;
    let port = node.port();
    let scanner = tokio::task::spawn_blocking(move || {
        let name = |n: usize| {
            let name = format!("half{n}@127.0.0.1");
            let mut message = vec![b'N'];
            message.extend_from_slice(&DistributionFlags::FULL_MEMBER.bits().to_be_bytes());
            message.extend_from_slice(&7u32.to_be_bytes());
            message.extend_from_slice(&(name.len() as u16).to_be_bytes());
            message.extend_from_slice(name.as_bytes());
            let mut framed = (message.len() as u16).to_be_bytes().to_vec();
            framed.extend(message);
            framed
        };
        let mut sockets: Vec<TcpStream> = Vec::new();
        for n in 0..400 {
            let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            match n % 4 {
                0 => {}
                1 => socket.write_all(&[0]).unwrap(),
                2 => socket.write_all(&name(n)).unwrap(),
                _ => socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
            }
            sockets.push(socket);
        }
        sockets
    });
    let sockets = scanner.await.unwrap();
    let beam = stage.beam(Otp::V25).await;
    let started = Instant::now();
    expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // The oldest were closed (a quarter at once, because of their messages); the others will be when their time for
    // the handshake is over.
    let closed = tokio::task::spawn_blocking(move || {
        for mut socket in sockets.into_iter().take(40) {
            socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
            let mut chunk = [0; 1024];
            loop {
                match socket.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    closed.await.unwrap();
    assert_eq!(node.nodes(peerl_node::Nodes::Connected).len(), 1);
}

/// Two peers may use the same reference for monitors of the same process, and name any target in a demonitor: each
/// has its own monitor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_with_one_reference() {
    const DEMONITOR_P: i64 = 20;
    let stage = Stage::new();
    let node = stage.node().await;
    let target = node.process();
    target.register(Atom::from_static("target")).unwrap();
    let reference = Reference::new(Atom::from_static("somebody@else"), 1, &[7, 8, 9]).unwrap();
    let mut peers = [Intruder::connect(&node), Intruder::connect(&node)];
    let by_pid = Term::from(target.pid().clone());
    for (peer, to) in peers.iter_mut().zip([Term::atom("target"), by_pid.clone()]) {
        let monitor = [Term::from(MONITOR_P), peer.pid().into(), to, reference.clone().into()];
        peer.frame(Term::tuple(monitor), None);
    }
    eventually("both monitors", || target.monitored_by().len() == 2).await;
    let [first, second] = &mut peers;
    let demonitor = [Term::from(DEMONITOR_P), first.pid().into(), Term::atom("nobody"), reference.clone().into()];
    first.frame(Term::tuple(demonitor), None);
    eventually("one to go", || target.monitored_by() == [second.pid()]).await;

    // A reference that is used again belongs to the last named process.
    let again = node.process();
    let monitor = [Term::from(MONITOR_P), second.pid().into(), again.pid().clone().into(), reference.clone().into()];
    second.frame(Term::tuple(monitor), None);
    eventually("the monitor to move", || again.monitored_by() == [second.pid()]).await;
    assert_eq!(target.monitored_by(), []);
}

const MONITOR_P: i64 = 19;

/// The most that a node with the least memory keeps for a peer.
const SHARE: usize = Limits::LEAST_MEMORY / (Limits::PEER_FACTOR + 1) * Limits::PEER_FACTOR;

/// A peer that sets more monitors or links than its share of the memory has room for loses its own connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_and_links_without_end() {
    const HONEST: usize = 1000;
    let stage = Stage::new();
    let node = stage.builder().memory(Limits::LEAST_MEMORY).start().await.unwrap();
    let beam = stage.beam(Otp::V25).await;
    let target = node.process();
    target.trap_exit(true);
    target.register(Atom::from_static("target")).unwrap();
    let watch = format!(
        "register(watcher, spawn(fun() ->
             [monitor(process, {{target, NODE}}) || _ <- lists:seq(1, {HONEST})],
             Reasons = [receive {{'DOWN', _, _, _, Why}} -> Why end || _ <- lists:seq(1, {HONEST})],
             receive {{ask, To}} -> To ! lists:usort(Reasons) end
         end)), ok"
    );
    expect(&beam, &node, &watch, "ok").await;
    let before = HONEST * (Limits::MONITOR + beam.name().len());
    eventually("the monitors of the BEAM", || node.kept_bytes() == before).await;
    assert_eq!(target.monitored_by().len(), HONEST);

    let by_pid = Term::from(target.pid().clone());
    let own = by_pid.clone();
    let link = move |from: Pid, number: u32| {
        let from = Pid { id: number, ..from };
        Term::tuple([1.into(), from.into(), own.clone()])
    };
    type Numbered = Box<dyn Fn(Pid, u32) -> Term + Send>;
    let attacks: [(&str, Numbered); 3] = [
        ("monitors", Box::new(monitor_of(by_pid))),
        ("monitors by name", Box::new(monitor_of(Term::atom("target")))),
        ("links", Box::new(link)),
    ];
    let mut events = node.events();
    for (what, signal) in attacks {
        let attacked = node.clone();
        let attack = tokio::task::spawn_blocking(move || {
            let mut intruder = Intruder::connect(&attacked);
            let all: Vec<u32> = (0..1_000_000).collect();
            let pid = intruder.pid();
            let taken =
                all.chunks(1000).all(|some| intruder.frames(some.iter().map(|number| signal(pid.clone(), *number))));
            assert!(!taken, "{what} without end are taken");
            intruder.assert_closed(what);
        });
        while !attack.is_finished() {
            assert!(node.kept_bytes() <= Limits::LEAST_MEMORY);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        attack.await.unwrap();
        assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
        let NodeEvent::NodeDown { reason, .. } = event(&mut events).await else { panic!("{what}") };
        assert_eq!(reason, NodeDownReason::Protocol(Violation::TooManyMonitors), "{what}");
        eventually("what was kept to be given back", || node.kept_bytes() == before).await;
        assert_eq!(target.monitored_by().len(), HONEST, "{what}");
    }
    drop(target);
    expect(&beam, &node, "watcher ! {ask, self()}, receive Reasons -> Reasons end", "[normal]").await;
    eventually("nothing to be kept", || node.kept_bytes() == 0).await;
}

fn monitor_of(to: Term) -> impl Fn(Pid, u32) -> Term {
    move |from, number| {
        let reference = Reference::new(from.node.clone(), 9, &[number, 1, 2]).unwrap();
        Term::tuple([MONITOR_P.into(), from.into(), to.clone(), reference.into()])
    }
}

/// A peer whose share of the memory is full gets `system_limit` for processes that it wants to link to or to monitor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_without_memory_are_not_spawned() {
    const REQUESTS: usize = 300;
    let stage = Stage::new();
    let node = stage.builder().memory(Limits::LEAST_MEMORY).start().await.unwrap();
    export(&node);
    let target = node.process();
    target.trap_exit(true);
    let (to, attacked) = (Term::from(target.pid().clone()), node.clone());
    let attack = tokio::task::spawn_blocking(move || {
        let mut intruder = Intruder::connect(&attacked);
        let pid = intruder.pid();
        // Nearly all of the share: the connection takes some, and what is being read.
        let monitors = u32::try_from((SHARE - (640 << 10)) / (Limits::MONITOR + pid.node.as_str().len())).unwrap();
        assert!(intruder.frames((0..monitors).map(|number| monitor_of(to.clone())(pid.clone(), number))));
        let reference = |number: usize| Reference::new(pid.node.clone(), 9, &[u32::try_from(number).unwrap()]).unwrap();
        for number in 0..REQUESTS {
            let sleep = [Term::atom("rust"), Term::atom("sleep"), Term::list([Term::from(60_000)])];
            let (mfa, arguments) = if number % 2 == 0 {
                (Term::tuple([Term::atom("rust"), Term::atom("sleep"), 1.into()]), sleep[2].clone())
            } else {
                let [module, function, arguments] = sleep;
                let call = [reference(REQUESTS + number).into(), module, function, arguments];
                (Term::tuple([Term::atom("erpc"), Term::atom("execute_call"), 4.into()]), Term::list(call))
            };
            let options = Term::list([Term::atom("monitor"), Term::atom("link")]);
            let from = Term::from(pid.clone());
            let request = [29.into(), reference(number).into(), from.clone(), from, mfa, options];
            intruder.frame(Term::tuple(request), Some(arguments));
        }
        let replies = (0..REQUESTS).map(|_| match intruder.message().signal {
            Signal::SpawnReply { result, .. } => result,
            other => panic!("{other:?}"),
        });
        let (spawned, refused): (Vec<_>, Vec<_>) = replies.partition(Result::is_ok);
        assert!(!spawned.is_empty() && refused.len() > REQUESTS / 6, "{} spawned", spawned.len());
        assert!(refused.iter().all(|reply| *reply == Err(Atom::from_static("system_limit"))));
        // The connection is up.
        assert_eq!(attacked.nodes(peerl_node::Nodes::Hidden).len(), 1);
        assert!(attacked.kept_bytes() <= SHARE);
        // Others find room.
        let mut other = Intruder::connect(&attacked);
        let (from, mfa) = (Term::from(other.pid()), Term::tuple([Term::atom("rust"), Term::atom("add"), 2.into()]));
        let options = Term::list([Term::atom("monitor"), Term::atom("link")]);
        let request = [29.into(), reference(0).into(), from.clone(), from, mfa, options];
        other.frame(Term::tuple(request), Some(Term::list([1.into(), 2.into()])));
        assert!(matches!(other.message().signal, Signal::SpawnReply { result: Ok(_), .. }));
    });
    attack.await.unwrap();
    eventually("the processes to end", || node.calls_served() == 0).await;
    eventually("what was kept to be given back", || node.kept_bytes() == 0).await;
}

/// However many calls a peer makes at once, what others want done does not wait until all of them have begun.
#[tokio::test]
async fn calls_that_come_at_once_are_overtaken() {
    const CALLS: u32 = 20_000;
    let stage = Stage::new();
    for through_rex in [false, true] {
        let node = stage.node().await;
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        node.export("rust", "wait", move |()| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<Result<(), Exception>>()
        })
        .unwrap();
        let rex = node.whereis("rex").unwrap();
        let attacked = node.clone();
        let flood = tokio::task::spawn_blocking(move || {
            let mut intruder = Intruder::connect(&attacked);
            let from = Term::from(intruder.pid());
            for number in 0..CALLS {
                let reference = Reference::new(intruder.pid().node, 9, &[number]).unwrap();
                if through_rex {
                    let call =
                        [Term::atom("call"), Term::atom("rust"), Term::atom("wait"), Term::nil(), Term::atom("user")];
                    let caller = Term::tuple([from.clone(), reference.into()]);
                    let call = Term::tuple([Term::atom("$gen_call"), caller, Term::tuple(call)]);
                    intruder.frame(Term::tuple([22.into(), from.clone(), rex.clone().into()]), Some(call));
                } else {
                    let mfa = Term::tuple([Term::atom("rust"), Term::atom("wait"), 0.into()]);
                    let request = [29.into(), reference.into(), from.clone(), from.clone(), mfa, Term::nil()];
                    intruder.frame(Term::tuple(request), Some(Term::nil()));
                }
            }
            intruder
        });
        let (mut most, end) = (0, Instant::now() + LIMIT);
        while begun.load(Ordering::Relaxed) < CALLS as usize {
            assert!(Instant::now() < end, "{} have begun", begun.load(Ordering::Relaxed));
            let before = begun.load(Ordering::Relaxed);
            // It waits its turn, as a task that has something to read does.
            tokio::spawn(async {}).await.unwrap();
            most = most.max(begun.load(Ordering::Relaxed) - before);
        }
        // A few turns, before the task and until this one goes on.
        assert!(most <= 4 * PacedTasks::MOST, "{most} calls were begun before another task");
        drop(flood.await.unwrap());
    }
}

/// A peer that says that it has thousands of scope processes writes a few lines into the log.
#[test]
fn scope_processes_without_end_are_summed_up_in_the_log() {
    const MANY: u32 = 5000;
    let epmd = Epmd::start();
    let name = format!("{}@127.0.0.1", unique_name("worker"));
    let mut command = peerl_command();
    command.args(["worker", "--name", &name, "--epmd", "external"]);
    command.env("PEERL_COOKIE", COOKIE).env("ERL_EPMD_PORT", epmd.port().to_string());
    let worker = ProcessGuard::spawn(&mut command);
    let ready = worker.wait_for_line("ready", LIMIT);
    let port = ready.rsplit(' ').next().unwrap().parse().unwrap();
    let intruder_name = format!("{}@127.0.0.1", unique_name("intruder"));
    let mut intruder = Intruder::connect_to(&intruder_name, &name.parse().unwrap(), port);
    for id in 1..=MANY {
        let own = Term::from(Pid { id, ..intruder.pid() });
        let to_scope = Term::tuple([6.into(), own.clone(), Term::atom(""), Term::atom("pg")]);
        intruder.frame(to_scope, Some(Term::tuple([Term::atom("discover"), own])));
    }
    let first = worker.wait_for_error_line("more scope processes than are taken: Pid", LIMIT);
    assert!(first.contains("WARN") && first.contains("the scope pg"), "{first}");
    worker.wait_for_error_line("more scope processes than are taken: 4983 more within 10 seconds", LIMIT);
    let log = worker.stderr();
    assert_eq!(log.lines().filter(|line| line.contains("scope processes")).count(), 2, "{log}");
}
