//! Calls: of functions that take long, and with answers that are not read.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

use peerl_node::Term;
use peerl_term::Reference;

use super::Attack;
use super::attacker::{Attacker, END, Written, erpc, head, one_argument};
use super::tables::fill;

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
        let frame = |attacker: &Attacker, number| call(attacker, number, "peerl_page", "checksum", &url);
        let mut number = 1;
        while number <= most && Instant::now() < end {
            let frame = frame(&attacker, number);
            if attacker.write(&[&frame], end) != Written::All {
                break;
            }
            number += 1;
            attacker.sent += 1;
        }
        attacker.wait(end);
        attacker.fate()
    })
}

/// Calls whose answers nobody reads.
pub fn unread(connections: usize) -> Attack {
    const SIZE: usize = 1 << 20;
    Attack::new(format!("answers of 1 MiB that {connections} connections do not read"), move |target, end| {
        std::thread::scope(|scope| {
            let attackers: Vec<_> = (0..connections)
                .map(|_| {
                    scope.spawn(move || {
                        let mut attacker = Attacker::deaf(target);
                        let argument = Term::binary(vec![7; SIZE]);
                        for number in 1..=1000 {
                            let frame = call(&attacker, number, "peerl", "echo", &argument);
                            if attacker.write(&[&frame], end) != Written::All {
                                break;
                            }
                            attacker.sent += 1;
                        }
                        attacker.wait(end);
                        attacker.fate()
                    })
                })
                .collect();
            attackers.into_iter().map(|attacker| attacker.join().expect("an attacker does not fail")).sum()
        })
    })
}

/// Small calls with larger answers, which nobody reads.
pub fn unread_amplified(connections: usize) -> Attack {
    Attack::new(format!("answers to small calls that {connections} connections do not read"), move |target, end| {
        std::thread::scope(|scope| {
            let attackers: Vec<_> = (0..connections)
                .map(|_| {
                    scope.spawn(move || {
                        let mut attacker = Attacker::deaf(target);
                        fill(&mut attacker, 1_000_000, end, |attacker, number| {
                            request(attacker, number, "peerl", "functions", &[])
                        });
                        attacker.wait(end);
                        attacker.fate()
                    })
                })
                .collect();
            attackers.into_iter().map(|attacker| attacker.join().expect("an attacker does not fail")).sum()
        })
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
