//! Peers that want all the memory, calls or time of a worker: it lives, others are served, and its memory goes back.
//!
//! Every attack lasts a second or two here. `PEERL_ATTACK_SECONDS=10` makes each of them, and some more, last as long as that:
//! `PEERL_ATTACK_SECONDS=10 cargo test --test hostile_peers budgets` takes ten minutes, and `cargo bench --bench hostile` prints
//! the figures of the optimized program.

use std::time::Duration;

use peerl_test_support::{Epmd, peerl_command};

use crate::attacks::calls;
use crate::attacks::connections::{self, Frame};
use crate::attacks::crowds;
use crate::attacks::floods;
use crate::attacks::fragments::{self, Rest};
use crate::attacks::pages;
use crate::attacks::services::{self, Request};
use crate::attacks::tables::{self, Entry};
use crate::attacks::terms::{self, Delivery, Part, Shape};
use crate::attacks::visitors::{self, Unread};
use crate::attacks::{Attack, Outcome, Reading, Trial, Victim, catalogue};

/// Ten times as long as a call of another peer waits for a worker that is built without optimization, on a machine that runs nothing
/// else.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn terms_far_larger_than_their_bytes_alone() {
    let attacks = [
        terms::attack(Shape::Tuples, Part::Argument, Delivery::Frames),
        terms::attack(Shape::Tuples, Part::Argument, Delivery::Turns(10)),
        terms::attack(Shape::SmallTuples, Part::Message("rex"), Delivery::Turns(10)),
        terms::attack(Shape::Maps, Part::Message("net_kernel"), Delivery::Frames),
        terms::attack(Shape::Strings, Part::ExitReason, Delivery::Fragments),
        terms::attack(Shape::Tuples, Part::DownReason, Delivery::Frames),
    ];
    let outcomes = endure(attacks, catalogue::terms);
    // 1.7 GB: the call fails, and nothing else of its peer.
    let deepest = &outcomes[0];
    assert!(deepest.fate.refusals > 0 && deepest.fate.refusals == deepest.fate.sent, "{deepest}");
    assert_eq!(deepest.fate.closed, 0, "{deepest}");
}

#[test]
fn messages_that_never_end_alone() {
    let attacks =
        [fragments::unfinished(4), fragments::announced(Rest::Stops, 8), fragments::announced(Rest::Drips, 64)];
    endure(attacks, catalogue::fragments);
}

#[test]
fn monitors_and_links_without_end_alone() {
    let attacks = [
        tables::entries(Entry::Monitor, 1_000_000),
        tables::entries(Entry::Link, 1_000_000),
        tables::linked_calls(1_000_000),
        tables::exits(Entry::Monitor, 50_000, Reading::Unread),
        tables::large_exit(8),
    ];
    endure(attacks, catalogue::tables);
}

#[test]
fn calls_without_end_alone() {
    let attacks = [
        calls::sleeping(1_000_000),
        calls::sleeping_with_arguments(100_000),
        calls::waiting_behind_large_messages(40),
        calls::unread(4),
    ];
    endure(attacks, catalogue::calls);
}

#[test]
fn messages_that_nobody_wants_alone() {
    let attacks = [floods::messages(10, 2), floods::messages(60 << 10, 2), floods::in_large_reads(4500)];
    endure(attacks, catalogue::floods);
}

#[test]
fn requests_to_services_alone() {
    let requests = [
        Request::Features,
        Request::SetLock,
        Request::JoinLarge,
        Request::Discover,
        Request::LeaveMany,
        Request::CastToSuspended,
        Request::SetLockElsewhere,
        Request::Apply,
        Request::JoinThroughRex,
        Request::JoinOwn,
        Request::LockOfRex,
        Request::NameOfOwn,
        Request::Version,
        Request::HoldTogether,
        Request::SyncWithNobody,
    ];
    let attacks = requests.map(|request| services::requests(request, 1));
    endure(attacks, catalogue::services);
}

#[test]
fn connections_and_their_frames_alone() {
    let attacks = [
        connections::full_atom_caches(2000),
        connections::frames(Frame::MonitorOfNobody, Reading::Unread),
        connections::frames(Frame::TracedToPid(1000), Reading::Unread),
    ];
    endure(attacks, catalogue::connections);
}

#[test]
fn crowds_of_connections_alone() {
    let attacks = [
        crowds::ends_at_once(1000),
        crowds::long_work_at_once(700),
        crowds::replaced_within_long_work(4),
        crowds::ends_beside_many_links(100_000),
    ];
    endure(attacks, catalogue::crowds);
}

#[test]
fn pages_of_hostile_servers_alone() {
    let attacks = [
        pages::hosts_that_keep_connections(2048),
        pages::rules(1000),
        pages::endless(1000),
        pages::long_option(100 << 20),
        pages::long_address(100 << 20),
    ];
    let outcomes = endure(attacks, catalogue::pages);
    // A quarter of 1,024, the usual limit, is for connections that are kept.
    let most = outcomes.iter().map(|outcome| outcome.descriptors).max();
    assert!(most.is_some_and(|most| most < 400), "{most:?} descriptors are open");
}

#[test]
fn visitors_of_a_page_alone() {
    let attacks =
        [visitors::unread(Unread::Events, 500), visitors::unread(Unread::Page, 100), visitors::bodies_that_stop(400)];
    let epmd = Epmd::start();
    let trial = Trial::of(Victim::with_page(&epmd, &peerl_command()), &epmd);
    endure_in(&trial, attacks, catalogue::visitors);
}

/// What is no attack works with the same bound.
#[test]
fn honest_work_with_little_memory_alone() {
    let epmd = Epmd::start();
    let Trial { victim, beam, .. } = Trial::start(&epmd, &peerl_command());
    let worker = format!("'{}'", victim.target().name);
    let work = [
        // In both directions, and in one.
        ("B = binary:copy(<<7>>, 200000000), erpc:call(WORKER, peerl, echo, [B]) =:= B", "true"),
        ("B = binary:copy(<<7>>, 200000000), erpc:call(WORKER, crypto, hash, [md5, B]) =:= erlang:md5(B)", "true"),
        (
            "Self = self(), B = binary:copy(<<7>>, 1000000),
             [spawn(fun() -> Self ! (catch erpc:call(WORKER, peerl, echo, [B]) =:= B) end) || _ <- lists:seq(1, 64)],
             lists:usort([receive Answer -> Answer end || _ <- lists:seq(1, 64)])",
            "[true]",
        ),
        (
            "Rex = erpc:call(WORKER, erlang, whereis, [rex]),
             Monitors = [monitor(process, Rex) || _ <- lists:seq(1, 10000)],
             true = erpc:call(WORKER, erlang, is_process_alive, [Rex]),
             {monitored_by, By} = erpc:call(WORKER, erlang, process_info, [Rex, monitored_by]),
             [demonitor(M) || M <- Monitors],
             {length([P || P <- By, P =:= self()]), receive {'DOWN', _, _, _, Why} -> Why after 0 -> none end}",
            "{10000,none}",
        ),
    ];
    for (expression, value) in work {
        let found = beam.eval_within(&expression.replace("WORKER", &worker), Duration::from_secs(60));
        assert_eq!(found.as_deref(), Ok(value), "{expression}");
    }
    assert!(victim.is_running());
    assert!(victim.peak() < Victim::MEMORY, "{}", victim.peak());
    let settled = victim.settles(150 << 20, Duration::from_secs(60));
    assert!(settled.is_some(), "{} bytes remain", victim.resident());
}

/// Runs the attacks on one worker, which is to endure them. All begins with the first of the few.
fn endure(few: impl Into<Vec<Attack>>, all: fn() -> Vec<Attack>) -> Vec<Outcome> {
    let epmd = Epmd::start();
    endure_in(&Trial::start(&epmd, &peerl_command()), few, all)
}

fn endure_in(trial: &Trial, few: impl Into<Vec<Attack>>, all: fn() -> Vec<Attack>) -> Vec<Outcome> {
    let longer = std::env::var("PEERL_ATTACK_SECONDS").ok().map(|seconds| seconds.parse().expect("a number"));
    let (attacks, time) = match longer {
        Some(seconds) => (all(), Duration::from_secs(seconds)),
        None => (few.into(), Duration::from_millis(1500)),
    };
    eprintln!("{}", Outcome::HEADER);
    let mut outcomes = Vec::new();
    for attack in attacks {
        let outcome = trial.run(&attack, time);
        eprintln!("{outcome}");
        if !outcome.is_running {
            panic!("the worker has died of this: {}\n{}", outcome.attack, trial.victim.log());
        }
        outcomes.push(outcome);
    }
    for outcome in &outcomes {
        let Outcome { attack, seen, .. } = outcome;
        assert_eq!(seen.failures(), 0, "{attack}: calls of others failed");
        assert!(seen.longest() < PATIENCE, "{attack}: others waited: {seen:?}");
        assert!(outcome.peak < Victim::MEMORY, "{attack}: {} bytes", outcome.peak);
        assert!(outcome.settled.is_some(), "{attack}: {} bytes remain of {}", outcome.after, outcome.peak);
    }
    outcomes
}
