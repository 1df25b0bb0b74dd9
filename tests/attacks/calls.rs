//! Calls: of functions that take long, and with answers that are not read.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use peerl_node::Term;
use peerl_term::Reference;

use super::Attack;
use super::attacker::{Attacker, END, Written, erpc, head, one_argument};
use super::fragments::to_name;
use super::tables::fill;

/// For how long the attacker waits for what it sends to be read, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// As many calls as come through, up to this number, of a function that sleeps for an hour.
pub fn sleeping(most: u32) -> Attack {
    Attack::together(format!("{most} sleeping calls"), 1, move |attacker, end| {
        fill(attacker, most, end, |attacker, number| call(attacker, number, "timer", "sleep", &Term::from(3_600_000)));
        attacker.wait(end);
    })
}

/// The same with arguments of 60 KiB: the addresses of pages of a server that does not answer.
pub fn sleeping_with_arguments(most: u32) -> Attack {
    Attack::new(format!("{most} sleeping calls with 60 KiB"), move |target, end| {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = silent.local_addr().expect("its address");
        let url = Term::binary(format!("http://{address}/{}", "a".repeat(60 << 10)).into_bytes());
        let mut attacker = Attacker::connect(target);
        fill(&mut attacker, most, end, |attacker, number| call(attacker, number, "peerl_page", "checksum", &url));
        attacker.wait(end);
        attacker.fate()
    })
}

/// Small calls that wait. What is read with each of them begins with the end of a message of 40 MB for nobody.
pub fn waiting_behind_large_messages(most: u32) -> Attack {
    const LARGE: usize = 40_000_000;
    /// Of which so much comes with the call.
    const LAST: usize = 4 << 10;
    Attack::new(format!("{most} waiting calls, each behind a message of {LARGE} bytes"), move |target, end| {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = silent.local_addr().expect("its address");
        // It is large enough to be a part of the read buffer.
        let url = Term::binary(format!("http://{address}/{}", "a".repeat(5000)).into_bytes());
        let large = Term::binary(vec![7; LARGE]).encode();
        let mut attacker = Attacker::connect(target);
        let message = [&head(&to_name(&attacker, 1, "nobody"), large.len() - 1), &large[1..]].concat();
        let (first, last) = message.split_at(message.len() - LAST);
        for number in 1..=most {
            let call = call(&attacker, number, "peerl_page", "checksum", &url);
            if attacker.write(&[first], end + PATIENCE) != Written::All {
                break;
            }
            // The worker has read that.
            std::thread::sleep(Duration::from_millis(50));
            if attacker.write(&[&[last, &call].concat()], end + PATIENCE) != Written::All {
                break;
            }
            attacker.sent += 1;
        }
        attacker.wait(Instant::now() + Duration::from_secs(1));
        attacker.fate()
    })
}

/// Calls whose answers nobody reads.
pub fn unread(connections: usize) -> Attack {
    const SIZE: usize = 1 << 20;
    let name = format!("answers of 1 MiB that {connections} connections do not read");
    Attack::deaf(name, connections, move |attacker, end| {
        let argument = Term::binary(vec![7; SIZE]);
        fill(attacker, 1000, end, |attacker, number| call(attacker, number, "peerl", "echo", &argument));
        attacker.wait(end);
    })
}

/// Small calls with larger answers, which nobody reads.
pub fn unread_amplified(connections: usize) -> Attack {
    let name = format!("answers to small calls that {connections} connections do not read");
    Attack::deaf(name, connections, move |attacker, end| {
        fill(attacker, 1_000_000, end, |attacker, number| request(attacker, number, "peerl", "functions", &[]));
        attacker.wait(end);
    })
}

/// Calls that tell of the processes of the worker, as many as come through; nobody reads the answers.
pub fn unread_introspection(connections: usize) -> Attack {
    let name = format!("processes, registered and process_info, answers that {connections} connections do not read");
    Attack::new(name, move |target, end| {
        let mut scout = Attacker::connect(target);
        let Some(rex) = scout.pid_of("rex", end) else { return scout.fate() };
        let attack = Attack::deaf("", connections, move |attacker, end| {
            fill(attacker, 1_000_000, end, |attacker, number| match number % 3 {
                0 => request(attacker, number, "erlang", "processes", &[]),
                1 => request(attacker, number, "erlang", "registered", &[]),
                _ => request(attacker, number, "erlang", "process_info", std::slice::from_ref(&rex)),
            });
            attacker.wait(end);
        });
        attack.run(target, end.saturating_duration_since(Instant::now()))
    })
}

/// The frame of a call by `erpc` with one argument, from a process of its own.
fn call(attacker: &Attacker, number: u32, module: &'static str, function: &'static str, argument: &Term) -> Vec<u8> {
    let (from, reference) = (attacker.process(number), reference(attacker, number));
    let mut payload = one_argument(&reference, module, function);
    payload.extend_from_slice(&argument.encode()[1..]);
    payload.extend_from_slice(&END);
    let mut frame = head(&erpc(&from, &reference), payload.len());
    frame.extend_from_slice(&payload);
    frame
}

/// The same of `peerl_page:checksum`, with any arguments.
pub(super) fn checksum(attacker: &Attacker, number: u32, arguments: &[Term]) -> Vec<u8> {
    request(attacker, number, "peerl_page", "checksum", arguments)
}

/// The same with any arguments.
fn request(
    attacker: &Attacker,
    number: u32,
    module: &'static str,
    function: &'static str,
    arguments: &[Term],
) -> Vec<u8> {
    let (from, reference) = (attacker.process(number), reference(attacker, number));
    let arguments =
        [reference.clone().into(), Term::atom(module), Term::atom(function), Term::list(arguments.iter().cloned())];
    let payload = Term::list(arguments).encode();
    let mut frame = head(&erpc(&from, &reference), payload.len() - 1);
    frame.extend_from_slice(&payload[1..]);
    frame
}

/// The frame of a request for a process that runs `timer:sleep(3600000)`.
pub(super) fn spawned(attacker: &Attacker, number: u32, options: &[&'static str]) -> Vec<u8> {
    let from = Term::from(attacker.process(number));
    let function = Term::tuple([Term::atom("timer"), Term::atom("sleep"), 1.into()]);
    let options = Term::list(options.iter().map(|option| Term::atom(option)));
    let reference = reference(attacker, number).into();
    let control = Term::tuple([29.into(), reference, from.clone(), from, function, options]);
    let payload = Term::list([Term::from(3_600_000)]).encode();
    let mut frame = head(&control, payload.len() - 1);
    frame.extend_from_slice(&payload[1..]);
    frame
}

fn reference(attacker: &Attacker, number: u32) -> Reference {
    Reference::new(attacker.intruder.pid().node, 9, &[number, 4, 0]).expect("three words")
}
