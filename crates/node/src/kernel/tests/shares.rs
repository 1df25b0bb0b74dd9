//! A peer's monitors and links cost its share of the memory.

use std::sync::Arc;

use peerl_term::{Atom, Pid, Reference, Term};

use super::pair::{Pair, Seen, Side, connection, links, mailbox};
use crate::kernel::limits::Limits;
use crate::kernel::process::{Core, Exits, Links, MonitorId, Monitored, Watcher};
use crate::kernel::reason::Reason;
use crate::kernel::violation::Violation;

/// More than the share of a peer has room for, if a node has the least memory.
const TOO_MANY: usize = 50_000;

fn small() -> Limits {
    Limits::of_memory(Limits::LEAST_MEMORY)
}

fn most_of_a_peer() -> usize {
    small().memory / (Limits::PEER_FACTOR + 1) * Limits::PEER_FACTOR
}

/// Lets processes of A do this to one of B until B finds a violation. Returns the process of B.
fn attack(pair: &mut Pair, one: impl Fn(&Side, &Arc<Core>)) -> Arc<Core> {
    let target = pair.b.process();
    let mut ended = Ok(());
    for count in 0..TOO_MANY {
        one(&pair.a, &target);
        if count % 100 == 0 {
            ended = ended.and(pair.deliver_to_b());
        }
        if ended.is_err() {
            break;
        }
    }
    assert_eq!(ended, Err(Violation::TooManyMonitors));
    target
}

/// A hash table has room for 16/7 of its entries when it has grown, and the old one is still there while it grows.
#[test]
fn the_stated_costs_cover_the_tables() {
    let entry = |size: usize| (size + 1) * 24 / 7;
    let monitor = entry(size_of::<(Reference, Arc<Core>)>()) + entry(size_of::<(MonitorId, Watcher)>());
    assert!(monitor <= Limits::MONITOR, "{monitor}");
    assert!(entry(size_of::<Pid>() + Links::ENTRY) <= Limits::LINK);
}

#[test]
fn monitors_beyond_the_share_end_the_connection() {
    let mut pair = Pair::with(small());
    let watcher = pair.a.process();
    let here = pair.b.process();
    let target = attack(&mut pair, |a, target| drop(a.monitor(&watcher, Monitored::Process(target.pid.clone()))));
    pair.b.monitor(&here, Monitored::Process(target.pid.clone()));
    let (monitors, kept) = (pair.monitors_of_a(), pair.b.kernel.kept_bytes());
    assert!(monitors > 15_000, "{monitors}");
    assert!(kept <= most_of_a_peer() && kept >= monitors * Limits::MONITOR, "{monitors} monitors take {kept}");
    pair.disconnect();
    assert_eq!(pair.b.kernel.kept_bytes(), 0);
    let state = target.alive().unwrap();
    assert_eq!(state.watchers.len(), 1, "that of another process");
    assert!(state.watchers.capacity() < 100, "the table is small again");
    drop(state);
    pair.b.end(&target, "done");
    assert_eq!(mailbox(&here).len(), 1);
}

#[test]
fn links_beyond_the_share_end_the_connection() {
    let mut pair = Pair::with(small());
    let target = attack(&mut pair, |a, target| a.kernel.link(&a.process(), &target.pid));
    assert!(links(&target) > 40_000, "{}", links(&target));
    assert!(pair.b.kernel.kept_bytes() <= most_of_a_peer());
    target.alive().unwrap().exits = Exits::Ignore;
    pair.disconnect();
    assert_eq!((links(&target), pair.b.kernel.kept_bytes()), (0, 0));
}

/// The peer names a node with a long name in its references, a new copy in each.
#[test]
fn long_names_cost_what_they_take() {
    let mut pair = Pair::with(small());
    let watcher = pair.a.process();
    let node = Atom::new(&"n".repeat(255)).unwrap();
    let next = std::cell::Cell::new(0);
    let target = attack(&mut pair, |a, target| {
        next.set(next.get() + 1);
        let reference = Reference::new(node.clone(), 1, &[next.get()]).unwrap();
        a.kernel.monitor(&watcher, Monitored::Process(target.pid.clone()), &reference);
    });
    let monitors = target.alive().unwrap().watchers.len();
    assert!(monitors <= most_of_a_peer() / (Limits::MONITOR + 255), "{monitors}");
    pair.disconnect();
    assert_eq!(pair.b.kernel.kept_bytes(), 0);
}

#[test]
fn ten_thousand_monitors_and_links_fit_into_the_least_memory() {
    const HONEST: usize = 10_000;
    let mut pair = Pair::with(small());
    let (watcher, target) = (pair.a.process(), pair.b.process());
    for _ in 0..HONEST {
        pair.a.monitor(&watcher, Monitored::Process(target.pid.clone()));
        pair.a.kernel.link(&pair.a.process(), &target.pid);
    }
    pair.deliver();
    assert_eq!((pair.monitors_of_a(), links(&target)), (HONEST, HONEST));
    assert_eq!(pair.b.kernel.kept_bytes(), HONEST * (Limits::MONITOR + "a@h".len() + Limits::LINK));
    pair.b.end(&target, "done");
    pair.deliver();
    assert_eq!(pair.b.kernel.kept_bytes(), 0);
    assert_eq!(mailbox(&watcher).len(), HONEST);
}

/// What is taken back, and what a new monitor with the same reference replaces, is given back.
#[test]
fn what_goes_is_given_back() {
    let mut pair = Pair::with(small());
    let (watcher, first, second) = (pair.a.process(), pair.b.process(), pair.b.process());
    let kept = |pair: &mut Pair| {
        pair.deliver();
        pair.b.kernel.kept_bytes()
    };
    let monitor = Limits::MONITOR + "a@h".len();
    let reference = pair.a.monitor(&watcher, Monitored::Process(first.pid.clone()));
    pair.a.kernel.link(&watcher, &first.pid);
    assert_eq!(kept(&mut pair), monitor + Limits::LINK);
    // A second link is none.
    pair.b.kernel.link(&first, &watcher.pid);
    // The same reference once more, for another process.
    pair.a.kernel.monitor(&watcher, Monitored::Process(second.pid.clone()), &reference);
    assert_eq!(kept(&mut pair), monitor + Limits::LINK);
    pair.b.end(&second, "normal");
    assert_eq!(kept(&mut pair), Limits::LINK);
    pair.a.kernel.unlink(&watcher, &first.pid);
    assert_eq!(kept(&mut pair), 0);
    let reference = pair.a.monitor(&watcher, Monitored::Process(first.pid.clone()));
    assert_eq!(kept(&mut pair), monitor);
    assert!(pair.a.kernel.demonitor(&watcher, &reference));
    assert_eq!(kept(&mut pair), 0);
    // A link that this side has made costs the peer nothing, until it owes the acknowledgement of the unlink.
    pair.b.kernel.link(&first, &watcher.pid);
    assert_eq!(kept(&mut pair), 0);
    pair.b.kernel.unlink(&first, &watcher.pid);
    assert_eq!(pair.b.kernel.kept_bytes(), Limits::LINK);
    assert_eq!(kept(&mut pair), 0);
    assert_eq!(mailbox(&watcher), [Seen::Down(Monitored::Process(second.pid.clone()), Term::atom("normal"))]);
}

/// A peer that never acknowledges the end of links.
#[test]
fn unlinks_that_are_not_acknowledged_are_forgotten_at_last() {
    let pair = Pair::with(small());
    let process = pair.b.process();
    for _ in 0..TOO_MANY {
        let other = pair.a.process();
        pair.b.kernel.link(&process, &other.pid);
        pair.b.kernel.unlink(&process, &other.pid);
        pair.b.take();
    }
    assert!(links(&process) > 40_000 && links(&process) <= most_of_a_peer() / Limits::LINK, "{}", links(&process));
    assert_eq!(pair.b.kernel.kept_bytes(), links(&process) * Limits::LINK);
    pair.b.end(&process, "normal");
    assert_eq!(pair.b.kernel.kept_bytes(), 0);
}

/// Connections that do nothing.
#[test]
fn each_connection_pays_for_itself() {
    let pair = Pair::with(small());
    let next = |number| connection(number, &pair.b.kernel, &pair.a.kernel);
    let connections: Vec<_> = (0..1000).map(next).take_while(|connection| connection.has_room()).collect();
    let most = small().memory / Limits::CONNECTION;
    assert!((most / 2..=most).contains(&connections.len()), "{} connections", connections.len());
    assert!(connections.iter().all(|connection| connection.kept_bytes() == 0));
    drop(connections);
    assert_eq!(pair.b.kernel.kept_bytes(), 0);
}

/// As many watchers as there is memory for get a large reason, the others learn that it is too large.
#[test]
fn large_reasons_take_from_the_share_until_they_are_written() {
    const LARGE: usize = 6 << 20;
    let mut pair = Pair::with(small());
    let target = pair.b.process();
    let watchers: Vec<Arc<Core>> = (0..3).map(|_| pair.a.process()).collect();
    for watcher in &watchers {
        pair.a.monitor(watcher, Monitored::Process(target.pid.clone()));
    }
    let linked = pair.a.trapping();
    pair.a.kernel.link(&linked, &target.pid);
    pair.deliver();
    let reason = Term::binary(vec![7; LARGE]);
    pair.b.kernel.end(&target, &reason.clone().into());
    assert!((2 * LARGE..2 * LARGE + 1000).contains(&pair.b.kernel.kept_bytes()), "{}", pair.b.kernel.kept_bytes());
    pair.deliver();
    assert_eq!(pair.b.kernel.kept_bytes(), 0);
    let bytes = Reason::from(reason.clone()).to_raw().bytes().len();
    let too_large = Term::tuple([Term::atom("reason_too_large"), Term::from(bytes)]);
    assert_eq!(mailbox(&linked), [Seen::Exit(target.pid.clone(), reason.clone())]);
    let down = |reason: &Term| vec![Seen::Down(Monitored::Process(target.pid.clone()), reason.clone())];
    let expected = [down(&reason), down(&too_large), down(&too_large)];
    assert!(watchers.iter().map(|watcher| mailbox(watcher)).eq(expected));
}

#[test]
fn the_receivers_of_a_large_reason_share_its_encoding() {
    let bytes = |reason: &Reason| reason.to_raw().bytes().as_ptr();
    let large = Reason::from(Term::list([Term::binary(vec![7; 100_000]), Term::from(1)])).to_share();
    assert_eq!(bytes(&large), bytes(&large.clone()));
    assert!(matches!(large.to_keep(), Reason::Term(_)));
    let small = Reason::from(Term::list([Term::binary(vec![7; 1000])]));
    assert!(matches!(small.to_share(), Reason::Term(_)));
}
