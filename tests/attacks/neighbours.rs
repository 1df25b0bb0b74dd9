//! Honest peers beside the attacker.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use peerl_node::Term;
use peerl_proto::control::Signal;
use peerl_term::Reference;
use peerl_test_support::{Beam, unique_name};

use super::Target;
use super::attacker::{END, erpc, head, one_argument};
use crate::intruder::Intruder;

/// How long the calls of a peer took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits {
    pub calls: u64,
    /// Calls that got no value.
    pub failures: u64,
    pub longest: Duration,
}

/// What the neighbours have seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Of the peer that calls.
    pub caller: Waits,
    /// Of the peer that asks `global`.
    pub asker: Waits,
    /// Of the BEAM that pings.
    pub beam: Waits,
}

impl Seen {
    pub fn all(&self) -> [&Waits; 3] {
        [&self.caller, &self.asker, &self.beam]
    }

    pub fn failures(&self) -> u64 {
        self.all().iter().map(|waits| waits.failures).sum()
    }

    pub fn longest(&self) -> Duration {
        self.all().iter().map(|waits| waits.longest).max().unwrap_or_default()
    }
}

/// A peer that makes a small call every 2 ms, one that asks `global` something as often, and a BEAM that pings every 5 ms.
pub struct Neighbours {
    beam: Beam,
    caller: JoinHandle<Waits>,
    asker: JoinHandle<Waits>,
    stop: Arc<AtomicBool>,
}

impl Neighbours {
    pub fn start(target: &Target, beam: &Beam) -> Self {
        let ping = format!(
            "(fun() -> Self = self(), Pinger = spawn(fun() -> register(pinger, self()), Self ! registered,
                Loop = fun Loop(N, Failures, Longest) ->
                    receive {{stop, From}} -> unregister(pinger), From ! {{waits, N, Failures, Longest}}
                    after 5 ->
                        {{Time, Answer}} = timer:tc(fun() -> net_adm:ping('{}') end),
                        Failed = case Answer of pong -> 0; _ -> 1 end,
                        Loop(N + 1, Failures + Failed, max(Longest, Time))
                    end
                end,
                Loop(0, 0, 0)
            end), receive registered -> ok end end)()",
            target.name
        );
        let started = beam.eval(&ping);
        assert_eq!(started.as_deref(), Ok("ok"));
        let stop = Arc::new(AtomicBool::new(false));
        let [caller, asker] = [echo, version].map(|request| {
            let (target, stop) = (target.clone(), stop.clone());
            std::thread::spawn(move || call(&target, &stop, request))
        });
        Self { beam: beam.clone(), caller, asker, stop }
    }

    /// What they have seen.
    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let ask = "pinger ! {stop, self()}, receive {waits, N, Failures, Longest} -> [N, Failures, Longest] end";
        let seen = self.beam.eval_within(ask, Duration::from_secs(90)).expect("the BEAM answers");
        let numbers: Vec<u64> =
            seen.trim_matches(['[', ']']).split(',').map(|number| number.parse().expect("a number")).collect();
        let beam = Waits { calls: numbers[0], failures: numbers[1], longest: Duration::from_micros(numbers[2]) };
        let [caller, asker] = [self.caller, self.asker].map(|peer| peer.join().expect("it does not fail"));
        Seen { caller, asker, beam }
    }
}

/// Makes requests until it is told to stop, or the worker ends the connection.
fn call(target: &Target, stop: &AtomicBool, request: fn(&mut Intruder, u32) -> Option<bool>) -> Waits {
    let name = format!("{}@127.0.0.1", unique_name("neighbour"));
    let mut peer = Intruder::connect_to(&name, &target.name, target.port);
    let mut waits = Waits::default();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answered = request(&mut peer, waits.calls as u32);
        waits.calls += 1;
        waits.longest = waits.longest.max(start.elapsed());
        match answered {
            Some(true) => {}
            Some(false) => waits.failures += 1,
            None => {
                waits.failures += 1;
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    waits
}

/// Calls `peerl:echo(7)`: whether that is the answer; `None` if the connection has ended.
fn echo(peer: &mut Intruder, number: u32) -> Option<bool> {
    let from = peer.pid();
    let reference = Reference::new(from.node.clone(), 9, &[number, 2, 0]).expect("three words");
    let mut payload = one_argument(&reference, "peerl", "echo");
    payload.extend_from_slice(&[97, 7]);
    payload.extend_from_slice(&END);
    let mut frame = head(&erpc(&from, &reference), payload.len());
    frame.extend_from_slice(&payload);
    peer.socket.write_all(&frame).ok()?;
    loop {
        let message = peer.next_message()?;
        match message.signal {
            Signal::MonitorExit { reference: monitor, .. } if monitor == reference => {
                let value = message.payload.and_then(|payload| payload.decode().ok());
                let returned = [reference.into(), Term::atom("return"), 7.into()];
                return Some(value == Some(Term::tuple(returned)));
            }
            Signal::SpawnReply { reference: request, result: Err(_), .. } if request == reference => {
                return Some(false);
            }
            _ => {}
        }
    }
}

/// Asks `global` for the version of its protocol: whether it answers; `None` if the connection has ended.
fn version(peer: &mut Intruder, number: u32) -> Option<bool> {
    let from = Term::tuple([peer.pid().into(), number.into()]);
    let question = Term::tuple([Term::atom("$gen_call"), from, Term::atom("get_protocol_version")]);
    let control = [6.into(), peer.pid().into(), Term::atom(""), Term::atom("global_name_server")];
    peer.frame(Term::tuple(control), Some(question));
    loop {
        let message = peer.next_message()?;
        let answer = message.payload.and_then(|payload| payload.decode().ok());
        if let Some([tag, version]) = answer.as_ref().and_then(Term::as_tuple)
            && *tag == Term::from(number)
        {
            return Some(*version == Term::from(8));
        }
    }
}
