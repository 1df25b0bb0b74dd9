//! Large messages and small ones on one connection.

use std::time::Duration;

use peerl_term::Term;

use crate::pair::{Pair, Side};

fn large(byte: u8) -> Term {
    Term::binary(vec![byte; 2 << 20])
}

#[test]
fn small_messages_overtake_large_ones_of_others() {
    let mut pair = Pair::new("a@h", "b@h");
    let _ = pair.dial(Side::A);
    pair.run(Duration::from_secs(1));
    pair.send_from(Side::A, 1, &large(1));
    pair.send_from(Side::A, 2, &large(2));
    pair.send_from(Side::A, 1, &Term::from(1));
    pair.send_from(Side::A, 3, &Term::from(3));
    pair.run(Duration::from_secs(1));
    let received = pair.b.received();
    assert_eq!((received.len(), &received[0]), (4, &Term::from(3)));
    // Messages of the same sender stay behind its large message.
    let place = |message: &Term| received.iter().position(|received| received == message).unwrap();
    assert!(place(&large(1)) < place(&Term::from(1)));
}

#[test]
fn messages_in_fragments_survive_any_size_of_reads() {
    for read_size in [1 << 10, 65_537, 300_000] {
        let mut pair = Pair::new("a@h", "b@h");
        pair.read_size = read_size;
        let _ = pair.dial(Side::B);
        pair.run(Duration::from_secs(1));
        for id in 1..=3 {
            pair.send_from(Side::A, id, &large(id as u8));
        }
        pair.run(Duration::from_secs(1));
        let mut received = pair.b.received();
        received.sort();
        assert_eq!(received, [large(1), large(2), large(3)]);
    }
}
