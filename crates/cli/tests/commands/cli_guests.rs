//! The names of guests and of unnamed workers: few names in all, and unique at every peer.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster, run};
use peerl_test_support::{Beam, COOKIE, Lan, Machine, ProcessGuard, matrix, peerl_command, python_tool, unique_name};

fn atoms(beam: &Beam) -> usize {
    beam.eval("erlang:system_info(atom_count)").unwrap().parse().unwrap()
}

#[test]
fn one_guest_after_another_has_one_of_a_few_names() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let (long, short) = (
            Beam::erlang(otp).epmd(&cluster.epmd).start(),
            Beam::erlang(otp).short_names().epmd(&cluster.epmd).start(),
        );
        let visit = || {
            for beam in [&long, &short] {
                cluster.run(&["ping", beam.name()]).ok();
                cluster.run(&["call", beam.name(), "erlang:node()"]).ok();
            }
            cluster.run(&["nodes", long.name()]).ok();
        };
        visit();
        // The first count makes the node load code.
        let before = [&long, &short].map(|beam| (atoms(beam), atoms(beam)).1);
        (0..25).for_each(|_| visit());
        let grown = [atoms(&long) - before[0], atoms(&short) - before[1]];
        // Other tests run guests at the same time, so the name may vary.
        assert!(grown.iter().all(|count| *count < 16), "{grown:?}");
    }
}

#[test]
fn guests_have_names_that_hash_rings_leave_out_and_nobody_dials() {
    let cluster = Cluster::start();
    for otp in matrix() {
        for beam in [Beam::erlang(otp), Beam::erlang(otp).short_names()] {
            let beam = beam.epmd(&cluster.epmd).start();
            let names = cluster.run(&["call", beam.name(), "erlang:nodes(hidden)"]).ok();
            let name = names.trim().trim_matches(['[', ']', '\'']);
            let (alive, host) = name.split_once('@').unwrap();
            assert!(alive.strip_prefix("remsh_peerl_").unwrap().parse::<u8>().is_ok(), "{name}");
            assert_eq!(host.contains('.'), beam.name().contains("127.0.0.1"), "{name}");
            beam.wait_for("nodes(hidden)", "[]", A_WHILE);
            // A process that sends to a vanished guest does not wait.
            let dial = format!("timer:tc(fun() -> net_kernel:connect_node('{name}') end)");
            let start = Instant::now();
            let dialled = beam.eval(&dial).unwrap();
            assert!(dialled.ends_with(",false}") && start.elapsed() < Duration::from_secs(6), "{dialled}");
        }
        assert_eq!(cluster.epmd.names(), []);
    }
}

#[test]
fn guests_at_once_do_not_disturb_each_other() {
    const GUESTS: usize = 12;
    let cluster = Cluster::start();
    for otp in matrix() {
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        prepare_meeting(&beam, GUESTS);
        let guests: Vec<ProcessGuard> = (0..GUESTS)
            .map(|_| ProcessGuard::spawn(&mut cluster.command(&["call", beam.name(), "meeting:wait()"])))
            .collect();
        for guest in &guests {
            guest.wait_for_line("together", A_WHILE);
            assert!(guest.wait(A_WHILE).success(), "{}", guest.stderr());
        }
    }
}

/// Two machines with the same host name, whose guests are independent.
#[test]
fn guests_of_several_machines_do_not_disturb_each_other() {
    let lan = Lan::start();
    let machines: Vec<Machine> = (2..6).map(|number| lan.machine(lan.address(number))).collect();
    let [home, other_home, first, second] = &machines[..] else { panic!() };
    let otp = *matrix().last().unwrap();
    let _epmds = [epmd_on(home), epmd_on(other_home)];
    let beams: Vec<Beam> = [(home, "first"), (other_home, "second")]
        .iter()
        .map(|(machine, name)| {
            Beam::erlang(otp).name(&format!("{name}@{}", machine.address())).epmd_port(4369).on(machine).start()
        })
        .collect();
    for beam in &beams {
        beam.load_module("-module(nap). -export([take/1]). take(T) -> timer:sleep(T), slept_well.").unwrap();
    }
    let (a, b) = (beams[0].name(), beams[1].name());
    assert!(beams[0].ping(b));
    let items = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(items.path(), "[700, 800, 900, 1000].").unwrap();
    let mut guests = Vec::new();
    for round in 0..3 {
        for machine in [first, second] {
            let nap = format!("nap:take({})", 1500 - 300 * round);
            guests.push(ProcessGuard::spawn(&mut on(machine, &["call", a, &nap])));
            let both = [
                "pmap",
                "nap:take(_)",
                "--items-format",
                "erlang",
                "--items",
                items.path().to_str().unwrap(),
                "--node",
                a,
                "--node",
                b,
            ];
            guests.push(ProcessGuard::spawn(&mut on(machine, &both)));
        }
    }
    for guest in &guests {
        guest.wait_for_line("slept_well", A_WHILE);
        assert!(guest.wait(A_WHILE).success(), "{}\n{}", guest.stdout(), guest.stderr());
    }
    assert_eq!(beams[0].eval("nodes()").unwrap(), format!("['{b}']"));
}

/// Guests that cannot reserve their names on their own host start with few different ones: most of them meet another
/// guest with the same name.
#[test]
fn guests_that_meet_each_other_take_other_names() {
    const GUESTS: usize = 12;
    let lan = Lan::start();
    for (number, otp) in (2..).step_by(2).zip(matrix()) {
        let (home, calling) = (lan.machine(lan.address(number)), lan.machine(lan.address(number + 1)));
        let _epmd = epmd_on(&home);
        let beam = Beam::erlang(otp).name(&format!("host@{}", home.address())).epmd_port(4369).on(&home).start();
        prepare_meeting(&beam, GUESTS);
        let mut reserve = python_tool("python");
        reserve.args(["-c", RESERVE_ALL]);
        let reserved = ProcessGuard::spawn(&mut calling.command(reserve));
        reserved.wait_for_line("reserved", A_WHILE);
        let call = || ProcessGuard::spawn(&mut on(&calling, &["call", beam.name(), "meeting:wait()"]));
        let guests: Vec<ProcessGuard> = (0..GUESTS).map(|_| call()).collect();
        for guest in &guests {
            guest.wait_for_line("together", A_WHILE);
            assert!(guest.wait(A_WHILE).success(), "{}", guest.stderr());
        }
    }
}

const RESERVE_ALL: &str = "
import socket, time
sockets = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(256)]
for number, each in enumerate(sockets): each.bind(f'\\0remsh_peerl_{number}')
print('reserved', flush=True)
time.sleep(600)
";

fn epmd_on(machine: &Machine) -> ProcessGuard {
    let mut command = peerl_command();
    command.arg("epmd");
    let epmd = ProcessGuard::spawn(&mut machine.command(command));
    let end = Instant::now() + A_WHILE;
    while !on(machine, &["names"]).output().unwrap().status.success() {
        assert!(Instant::now() < end, "an EPMD");
    }
    epmd
}

/// Loads a module with a function that waits until so many have called it.
fn prepare_meeting(beam: &Beam, guests: usize) {
    beam.load_module(&format!(
        "-module(meeting).
         -export([wait/0]).
         wait() -> counters:add(persistent_term:get(meeting), 1, 1), wait(2000).
         wait(0) -> alone;
         wait(N) ->
             case counters:get(persistent_term:get(meeting), 1) of
                 Calls when Calls >= {guests} -> together;
                 _ -> timer:sleep(20), wait(N - 1)
             end."
    ))
    .unwrap();
    beam.eval("persistent_term:put(meeting, counters:new(1, []))").unwrap();
}

fn on(machine: &Machine, arguments: &[&str]) -> Command {
    let mut command = peerl_command();
    command.args(arguments).env("PEERL_COOKIE", COOKIE).env("HOME", "/nonexistent");
    machine.command(command)
}

#[test]
fn a_list_of_who_may_connect_needs_a_name() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let operator = format!("{}@127.0.0.1", unique_name("operator"));
        beam.eval(&format!("ok = net_kernel:allow(['{operator}'])")).unwrap();
        let start = Instant::now();
        let failure = cluster.run(&["ping", beam.name()]).failure(1);
        assert!(failure.contains("does not allow") && failure.contains("--name"), "{failure}");
        assert!(start.elapsed() < Duration::from_secs(9));
        let nodes = cluster.run(&["call", beam.name(), "erlang:nodes(hidden)", "--name", &operator]).ok();
        assert_eq!(nodes.trim(), format!("['{operator}']"));
    }
}

#[test]
fn a_wrong_cookie_is_told_at_once() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let beam = Beam::erlang(otp).cookie("quite_another").epmd(&cluster.epmd).start();
        let start = Instant::now();
        let failure = cluster.run(&["ping", beam.name()]).failure(1);
        assert!(failure.contains("has another cookie"), "{failure}");
        assert!(start.elapsed() < Duration::from_secs(9));
        // The node's log is delayed; a further attempt would be in it by then.
        let rejected = || beam.log().matches("Invalid challenge reply").count();
        while rejected() < 3 {
            assert!(start.elapsed() < A_WHILE, "{}", beam.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(rejected(), 3);
    }
}

#[test]
fn a_worker_without_a_name_has_the_same_name_again() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let start = || {
            let mut command = cluster.command(&["worker", "--node", beam.name(), "--listen", "127.0.0.1"]);
            let worker = ProcessGuard::spawn(&mut command);
            let line = worker.wait_for_line("ready ", A_WHILE);
            let name = line.split_whitespace().nth(1).unwrap().to_owned();
            beam.wait_for(&format!("lists:member('{name}', nodes())"), "true", A_WHILE);
            (worker, name)
        };
        let end = |(worker, name): (ProcessGuard, String)| {
            worker.sigterm();
            assert!(worker.wait(A_WHILE).success());
            beam.wait_for(&format!("lists:member('{name}', nodes())"), "false", A_WHILE);
        };
        let (first, second) = (start(), start());
        assert_eq!((first.1.as_str(), second.1.as_str()), ("worker_1@127.0.0.1", "worker_2@127.0.0.1"));
        end(first);
        let before = (atoms(&beam), atoms(&beam)).1;
        for _ in 0..20 {
            let worker = start();
            assert_eq!(worker.1, "worker_1@127.0.0.1");
            end(worker);
        }
        assert!(atoms(&beam) - before < 10, "{before}, {}", atoms(&beam));
        end(second);
    }
}

#[test]
fn what_a_guest_sees_does_not_contain_itself() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let beams = [Beam::erlang(otp).epmd(&cluster.epmd).start(), Beam::erlang(otp).epmd(&cluster.epmd).start()];
        let (a, b) = (beams[0].name(), beams[1].name());
        let nodes = run(cluster.command(&["nodes", a, b, "--format", "json"]));
        let nodes = nodes.json();
        let mut names: Vec<&str> = nodes.as_array().unwrap().iter().map(|row| row["node"].as_str().unwrap()).collect();
        names.retain(|name| !name.starts_with("remsh_"));
        assert_eq!(names.len(), nodes.as_array().unwrap().len(), "{nodes}");
        let ran = cluster.run(&["mesh", "--node", a, "--node", b, "--format", "json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!ran.out.contains("remsh_"), "{ran:?}");
        assert_eq!(beams[0].eval("nodes()").unwrap(), format!("['{b}']"));
    }
}
