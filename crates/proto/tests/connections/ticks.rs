//! Ticks.

use std::time::Duration;

use crate::pair::{Event, Pair, Side};

const MINUTE: Duration = Duration::from_secs(60);

fn connected() -> Pair {
    connected_with(MINUTE, MINUTE)
}

fn connected_with(a: Duration, b: Duration) -> Pair {
    let mut pair = Pair::new("a@h", "b@h");
    pair.a.set_tick_time(a);
    pair.b.set_tick_time(b);
    let _ = pair.dial(Side::A);
    pair.run(Duration::from_secs(1));
    pair.a.events.clear();
    pair.b.events.clear();
    pair
}

#[test]
fn an_idle_connection_stays_up() {
    let mut pair = connected();
    pair.run(60 * MINUTE);
    assert_eq!(pair.a.events, []);
    assert_eq!(pair.b.events, []);
}

#[test]
fn a_silent_peer_is_dropped() {
    let mut pair = connected();
    pair.run(10 * MINUTE);
    pair.b.unplugged = true;
    pair.run(Duration::from_secs(44));
    assert_eq!(pair.a.events, []);
    pair.run(Duration::from_secs(17));
    assert_eq!(pair.a.events, [Event::TickTimeout, Event::Down]);
}

/// The peer's tick time is shorter than our tick interval. The connection survives because ticks are answered.
#[test]
fn different_tick_times() {
    let mut pair = connected_with(MINUTE, Duration::from_secs(8));
    pair.run(60 * MINUTE);
    assert_eq!(pair.a.events, []);
    assert_eq!(pair.b.events, []);
}
