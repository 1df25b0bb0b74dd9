//! Connection attempts: single, simultaneous, repeated, failed.

use std::time::Duration;

use peerl_proto::{
    cookie::Cookie,
    fault::Fault,
    flags::DistributionFlags,
    handshake::{HandshakeError, arbitration::DialVerdict},
};
use peerl_term::Term;

use crate::pair::{Event, Pair, Side};

const SECOND: Duration = Duration::from_secs(1);

fn up(peer: &str) -> Event {
    Event::Up { peer: peer.into(), visible: true }
}

fn pair() -> Pair {
    Pair::new("a@h", "b@h")
}

#[test]
fn connect_and_talk_both_ways() {
    for side in [Side::A, Side::B] {
        let mut pair = pair();
        assert_eq!(pair.dial(side), DialVerdict::Dial);
        assert!(matches!(pair.dial(side), DialVerdict::Wait(_)));
        pair.run(SECOND);
        assert!(matches!(pair.dial(side), DialVerdict::Up(_)));
        assert_eq!(pair.a.events, [up("b@h")]);
        assert_eq!(pair.b.events, [up("a@h")]);
        let large = Term::binary(vec![7; 300_000]);
        pair.send(Side::A, &Term::atom("hello"));
        pair.send(Side::A, &large);
        pair.send(Side::B, &Term::from(42));
        pair.run(SECOND);
        assert_eq!(pair.b.received(), [Term::atom("hello"), large]);
        assert_eq!(pair.a.received(), [Term::from(42)]);
    }
}

/// Both dial before either receives anything: the greater name's attempt survives, in both orders.
#[test]
fn simultaneous_connect() {
    for order in [[Side::A, Side::B], [Side::B, Side::A]] {
        let mut pair = pair();
        for side in order {
            assert_eq!(pair.dial(side), DialVerdict::Dial);
        }
        pair.run(SECOND);
        assert_eq!(pair.a.events, [Event::Dropped, up("b@h")]);
        assert_eq!(pair.b.events, [up("a@h")]);
        pair.send(Side::A, &Term::atom("hello"));
        pair.run(SECOND);
        assert_eq!(pair.b.received(), [Term::atom("hello")]);
    }
}

/// As before, with the second dial at every point of the first handshake.
#[test]
fn simultaneous_connect_at_any_moment() {
    for first in [Side::A, Side::B] {
        for micros in (0..8_000).step_by(250) {
            let mut pair = pair();
            assert_eq!(pair.dial(first), DialVerdict::Dial);
            pair.run(Duration::from_micros(micros));
            let _ = pair.dial(first.other());
            pair.run(SECOND);
            for side in [Side::A, Side::B] {
                let peer = pair.node(side.other()).local.name.to_string();
                let events = &pair.node(side).events;
                assert_eq!(events.iter().filter(|event| **event == up(&peer)).count(), 1, "{first:?} {micros}");
                assert!(events.iter().all(|event| *event == up(&peer) || *event == Event::Dropped), "{events:?}");
            }
            pair.send(Side::A, &Term::from(1));
            pair.send(Side::B, &Term::from(2));
            pair.run(SECOND);
            assert_eq!(pair.b.received(), [Term::from(1)]);
            assert_eq!(pair.a.received(), [Term::from(2)]);
        }
    }
}

/// The peer was killed and comes back before we notice: it answers `alive` with `true`.
#[test]
fn a_restarted_peer_replaces_its_connection() {
    let mut pair = pair();
    let _ = pair.dial(Side::A);
    pair.run(SECOND);
    pair.a.restart();
    pair.a.events.clear();
    pair.b.events.clear();
    let _ = pair.dial(Side::A);
    pair.run(SECOND);
    assert_eq!(pair.a.events, [up("b@h")]);
    assert_eq!(pair.b.events, [Event::Down, up("a@h")]);
    pair.send(Side::B, &Term::from(1));
    pair.run(SECOND);
    assert_eq!(pair.a.received(), [Term::from(1)]);
}

#[test]
fn another_cookie() {
    let mut pair = pair();
    pair.b.local.cookie = Cookie::new("other").unwrap();
    let _ = pair.dial(Side::A);
    pair.run(SECOND);
    // The acceptor closes without an answer, which at this point means a wrong cookie only.
    let mismatch = |peer: &str| Event::Failed(HandshakeError::CookieMismatch { peer: peer.parse().unwrap() });
    assert_eq!(pair.a.events, [mismatch("b@h")]);
    assert_eq!(pair.b.events, [mismatch("a@h")]);
    assert!(pair.a.slot.is_idle() && pair.b.slot.is_idle());
}

#[test]
fn incompatible_flags() {
    let mut pair = pair();
    pair.a.local.flags = DistributionFlags::MANDATORY_25;
    let _ = pair.dial(Side::A);
    pair.run(SECOND);
    let [Event::Failed(error)] = &pair.b.events[..] else { panic!("{:?}", pair.b.events) };
    assert_eq!(error.fault(), Fault::PeerIncompatible);
    assert!(matches!(pair.a.events[..], [Event::Failed(_)]));
}

/// The fewest flags that OTP 26 accepts: pass-through framing, no fragments.
#[test]
fn minimal_flags() {
    let mut pair = pair();
    pair.a.local.flags = DistributionFlags::MANDATORY_26;
    let _ = pair.dial(Side::A);
    pair.run(SECOND);
    assert_eq!(pair.b.events, [Event::Up { peer: "a@h".into(), visible: false }]);
    let large = Term::binary(vec![7; 300_000]);
    pair.send(Side::A, &large);
    pair.run(SECOND);
    assert_eq!(pair.b.received(), [large]);
}

/// The peer goes silent in the middle of the handshake.
#[test]
fn handshake_stall() {
    let mut pair = pair();
    let _ = pair.dial(Side::A);
    pair.run(Duration::from_micros(1_500));
    pair.b.unplugged = true;
    pair.run(Duration::from_secs(6));
    assert_eq!(pair.a.events, []);
    pair.run(Duration::from_secs(2));
    assert!(matches!(pair.a.events[..], [Event::Failed(HandshakeError::Timeout { .. })]));
    assert!(pair.a.slot.is_idle());
    assert!(matches!(pair.dial(Side::A), DialVerdict::Dial));
}
