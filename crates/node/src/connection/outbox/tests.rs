use super::*;
use futures::FutureExt;
use peerl_proto::control::{Forms, Offered, RegSend};
use peerl_term::Atom;

fn pid(id: u32) -> Pid {
    Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 4 }
}

fn message(from: u32) -> Offered<RegSend> {
    Forms::new(DistributionFlags::FULL_MEMBER).reg_send(pid(from), Atom::from_static("x"))
}

fn send(outbox: &Outbox, id: u32, byte: u8, size: usize) {
    let control = message(id);
    outbox.send(&pid(id), &control, |out| out.put(&vec![byte; size])).unwrap();
}

/// What is written, batch by batch: the small messages, and the fragments, by their bytes.
fn batches(outbox: &Outbox) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut batches = Vec::new();
    let mut batch = Batch::default();
    while outbox.take(&mut batch) {
        let small = (1..=9).filter(|byte| batch.buffer.windows(20).any(|bytes| bytes == [*byte; 20])).collect();
        batches.push((small, batch.fragments.iter().map(|fragment| fragment.data[0]).collect()));
    }
    batches
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_is_waited_for_up_to_what_is_worth_a_write() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    let is_gathered = || outbox.gathered(Crowd::No).now_or_never().is_some();
    assert!(is_gathered(), "nothing is queued");
    send(&outbox, 1, 1, 20);
    assert!(is_gathered(), "nothing more is expected");
    outbox.expect(Expected::TOGETHER + 3);
    assert!(!is_gathered());
    for id in 2..=Expected::TOGETHER as u32 {
        send(&outbox, id, 2, 20);
    }
    assert!(is_gathered(), "enough");
    assert!(outbox.take(&mut Batch::default()));
    send(&outbox, 1, 1, 20);
    assert!(!is_gathered(), "two more are to come");
    outbox.expect_no_more();
    assert!(is_gathered());
    outbox.expect(3);
    assert!(!is_gathered());
    tokio::time::advance(Outbox::GATHERING).await;
    assert!(is_gathered());
    assert!(outbox.queue.lock().expected.is_none(), "the time is over");
}

#[test]
fn nobody_is_waited_for_when_all_have_sent() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    let is_gathered = || outbox.gathered(Crowd::Likely).now_or_never().is_some();
    send(&outbox, 1, 1, 20);
    assert!(!is_gathered(), "there may be others");
    outbox.expect_no_more();
    assert!(is_gathered());
    assert!(outbox.take(&mut Batch::default()));
    send(&outbox, 1, 1, 20);
    assert!(!is_gathered(), "that was said of the last ones");
}

#[test]
fn small_messages_overtake_large_ones_of_others() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    send(&outbox, 1, 1, 400 << 10);
    send(&outbox, 2, 2, 20);
    assert_eq!(batches(&outbox), [(vec![2], vec![1, 1])]);
}

#[test]
fn the_messages_of_a_sender_keep_their_order() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    send(&outbox, 1, 1, 400 << 10);
    send(&outbox, 1, 2, 20);
    send(&outbox, 1, 3, 400 << 10);
    send(&outbox, 1, 4, 20);
    let expected = [(vec![], vec![1, 1]), (vec![2], vec![3, 3]), (vec![4], vec![])];
    assert_eq!(batches(&outbox), expected);
}

#[test]
fn what_is_queued_is_written_before_the_end() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    send(&outbox, 1, 1, 400 << 10);
    send(&outbox, 2, 2, 20);
    outbox.finish();
    assert_eq!(outbox.send(&pid(3), &message(3), |_| {}), Err(SendError::Closed));
    outbox.tick();
    assert_eq!(batches(&outbox), [(vec![2], vec![1, 1])]);
    let mut batch = Batch::default();
    assert!(!outbox.take(&mut batch) && batch.is_last);
}

#[test]
fn only_what_would_wait_behind_a_large_message_has_to_wait_for_it() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    send(&outbox, 1, 1, 4 << 20);
    assert_eq!(outbox.ready(&pid(2), 20).now_or_never(), Some(Ok(())));
    assert_eq!(outbox.ready(&pid(2), 1 << 20).now_or_never(), None);
    assert_eq!(outbox.ready(&pid(1), 20).now_or_never(), None);
    assert_eq!(outbox.ready(Sender::call(1), 20).now_or_never(), Some(Ok(())));
}

#[test]
fn one_large_message_is_no_overflow_but_two_are() {
    let outbox = Outbox::new(DistributionFlags::FULL_MEMBER, None, 1 << 20);
    send(&outbox, 1, 1, 4 << 20);
    send(&outbox, 2, 2, 20);
    assert_eq!(outbox.overflowed().now_or_never(), None);
    send(&outbox, 3, 3, 2 << 20);
    let control = message(4);
    assert_eq!(outbox.send(&pid(4), &control, |_| {}), Err(SendError::Full));
    assert_eq!(outbox.overflowed().now_or_never(), Some(()));
}
