use std::time::Duration;

use peerl_term::{Atom, Encoded, Pid, Term};

use super::*;
use crate::{
    budget::Budget,
    control::{Exit, Form, Forms, RegSend},
};

const FLAGS: DistributionFlags = DistributionFlags::FULL_MEMBER;

fn half() -> SendHalf {
    half_at(Instant::now(), FLAGS)
}

fn half_at(now: Instant, flags: DistributionFlags) -> SendHalf {
    let ticks = TickTimer::new(now, TickTimer::DEFAULT_TICK_TIME, TickTimer::DEFAULT_INTENSITY);
    SendHalf::new(flags, None, 1 << 20, ticks)
}

fn pid(id: u32) -> Pid {
    Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 4 }
}

fn message(from: u32) -> Offered<RegSend> {
    Forms::new(FLAGS).reg_send(pid(from), Atom::from_static("x"))
}

fn send(half: &mut SendHalf, id: u32, byte: u8, size: usize) {
    half.send((&pid(id)).into(), &message(id), |out| out.put(&vec![byte; size])).unwrap();
}

/// The batches that are written: the small messages and the bytes of the fragments.
fn batches(half: &mut SendHalf) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut batches = Vec::new();
    let mut batch = Batch::default();
    loop {
        half.take(&mut batch);
        if batch.is_empty() {
            return batches;
        }
        let small = (1..=9).filter(|byte| batch.buffer.windows(20).any(|bytes| bytes == [*byte; 20])).collect();
        batches.push((small, batch.fragments.iter().map(|fragment| fragment.data[0]).collect()));
    }
}

#[test]
fn small_messages_overtake_large_ones_of_others() {
    let mut half = half();
    send(&mut half, 1, 1, 400 << 10);
    send(&mut half, 2, 2, 20);
    assert_eq!(half.messages(), 2);
    assert_eq!(batches(&mut half), [(vec![2], vec![1, 1])]);
}

#[test]
fn the_messages_of_a_sender_keep_their_order() {
    let mut half = half();
    send(&mut half, 1, 1, 400 << 10);
    send(&mut half, 1, 2, 20);
    send(&mut half, 1, 3, 400 << 10);
    send(&mut half, 1, 4, 20);
    let expected = [(vec![], vec![1, 1]), (vec![2], vec![3, 3]), (vec![4], vec![])];
    assert_eq!(batches(&mut half), expected);
}

#[test]
fn what_is_queued_is_written_before_the_end() {
    let mut half = half();
    send(&mut half, 1, 1, 400 << 10);
    send(&mut half, 2, 2, 20);
    half.finish();
    assert_eq!(half.send((&pid(3)).into(), &message(3), |_| {}), Err(QueueError::Closed));
    half.tick();
    assert_eq!(batches(&mut half), [(vec![2], vec![1, 1])]);
    let mut batch = Batch::default();
    half.take(&mut batch);
    assert!(batch.is_empty() && batch.is_last);
    assert!(half.close() && !half.close() && half.is_finishing());
}

#[test]
fn only_what_would_wait_behind_a_large_message_has_to_wait_for_it() {
    let mut half = SendHalf { limit: 8 << 20, ..half() };
    send(&mut half, 1, 1, 4 << 20);
    assert_eq!(half.ready((&pid(2)).into(), 20), Ok(Ok(())));
    assert_eq!(half.ready((&pid(2)).into(), 1 << 20), Ok(Err(Busy::Large)));
    assert_eq!(half.ready((&pid(1)).into(), 20), Ok(Err(Busy::Large)));
    assert_eq!(half.ready(Sender::call(1), 20), Ok(Ok(())));
    for _ in 0..20 {
        send(&mut half, 2, 2, 60 << 10);
    }
    assert_eq!(half.ready((&pid(2)).into(), 20), Ok(Err(Busy::Small)));
    let mut batch = Batch::default();
    assert_eq!(half.take(&mut batch), Freed { small: true, large: false });
    while !batch.is_empty() && half.ready((&pid(1)).into(), 20) != Ok(Ok(())) {
        half.take(&mut batch);
    }
    assert_eq!(half.ready((&pid(1)).into(), 20), Ok(Ok(())));
}

#[test]
fn one_large_message_is_no_overflow_but_two_are() {
    let mut half = half();
    send(&mut half, 1, 1, 4 << 20);
    send(&mut half, 2, 2, 20);
    send(&mut half, 3, 3, 2 << 20);
    assert_eq!(half.send((&pid(4)).into(), &message(4), |_| {}), Err(QueueError::Full));
}

#[test]
fn the_queue_takes_from_a_share() {
    let memory = Arc::new(Budget::new(1 << 20, 1).share());
    let mut half = SendHalf { limit: 8 << 20, ..half() }.with_memory(memory.clone());
    let mut sent = 0;
    while half.send((&pid(2)).into(), &message(2), |out| out.put(&[2; 60 << 10])).is_ok() {
        sent += 60 << 10;
    }
    assert!((384 << 10..640 << 10).contains(&sent), "about half of the budget: {sent}");
    let mut batch = Batch::default();
    half.take(&mut batch);
    assert!(memory.taken() > 0);
    while !batch.is_empty() {
        half.take(&mut batch);
    }
    assert_eq!(memory.taken(), 0);
    send(&mut half, 3, 3, 60 << 10);
    send(&mut half, 3, 3, 60 << 10);
    send(&mut half, 3, 3, 1);
    assert!(memory.taken() > 0);
    half.close();
    assert_eq!(memory.taken(), 0);
}

/// The whole payload is in memory until the last of its parts has been written.
#[test]
fn a_large_message_takes_from_the_share_until_it_is_written() {
    let memory = Arc::new(Budget::with_factor(8 << 20, 1, 4).share());
    let mut half = SendHalf { limit: 8 << 20, ..half() }.with_memory(memory.clone());
    send(&mut half, 1, 1, 4 << 20);
    let refused = half.send((&pid(2)).into(), &message(2), |out| out.put(&vec![2; 4 << 20]));
    assert_eq!(refused, Err(QueueError::NoMemory));
    send(&mut half, 3, 3, 20);
    let mut batch = Batch::default();
    half.take(&mut batch);
    while !batch.is_empty() {
        assert!(memory.taken() >= 4 << 20, "{}", memory.taken());
        half.take(&mut batch);
    }
    assert_eq!(memory.taken(), 0);
    send(&mut half, 2, 2, 4 << 20);
    half.close();
    assert_eq!(memory.taken(), 0);
}

#[test]
fn what_is_paid_for_is_not_counted_twice() {
    let memory = Arc::new(Budget::with_factor(8 << 20, 1, 4).share());
    let mut half = SendHalf { limit: 8 << 20, ..half() }.with_memory(memory.clone());
    let bytes = memory.lease(4 << 20).unwrap().hold_for(vec![1; 4 << 20].into());
    let value = RawTerm::new(bytes, Default::default());
    half.send_parts((&pid(1)).into(), &message(1), |_| {}, &value, &[], Payer::Payload).unwrap();
    drop(value);
    assert_eq!(memory.taken(), 4 << 20);
    while !batches(&mut half).is_empty() {}
    assert_eq!(memory.taken(), 0);
}

/// For a peer without fragments, or that gets the term inside of the control message.
#[test]
fn a_large_frame_takes_from_the_share() {
    let exit = |flags| Forms::new(flags).exit(pid(1), pid(2));
    let one = FLAGS.difference(DistributionFlags::FRAGMENTS);
    let cacheless = one.difference(DistributionFlags::DIST_HDR_ATOM_CACHE);
    for flags in [one, cacheless, FLAGS.difference(DistributionFlags::EXIT_PAYLOAD)] {
        let memory = Arc::new(Budget::with_factor(8 << 20, 1, 4).share());
        let mut half = SendHalf { limit: 16 << 20, ..half_at(Instant::now(), flags) }.with_memory(memory.clone());
        let large = |out: &mut MessageBuffer<'_>| out.put(&vec![2; 4 << 20]);
        half.send((&pid(1)).into(), &exit(flags), |out| out.put(&[1; 20])).unwrap();
        half.send((&pid(1)).into(), &exit(flags), large).unwrap();
        half.send((&pid(1)).into(), &exit(flags), |out| out.put(&[3; 20])).unwrap();
        assert!((4 << 20..5 << 20).contains(&memory.taken()), "{}", memory.taken());
        assert_eq!(half.send((&pid(1)).into(), &exit(flags), large), Err(QueueError::NoMemory));
        let order: Vec<u8> = batches(&mut half).into_iter().flat_map(|(small, _)| small).collect();
        assert_eq!((order, memory.taken()), (vec![1, 2, 3], 0));
        send(&mut half, 1, 4, 20);
        assert_eq!(batches(&mut half), [(vec![4], vec![])]);
    }
}

/// What a peer does not read, which its writer has taken, is in memory, too.
#[test]
fn what_the_queue_takes_is_what_it_allocates() {
    let memory = Arc::new(Budget::new(64 << 20, 1).share());
    let mut half = SendHalf { limit: 16 << 20, ..half() }.with_memory(memory.clone());
    let mut batch = Batch::default();
    let mut sent = 0;
    while half.send((&pid(2)).into(), &message(2), |out| out.put(&[2; 60 << 10])).is_ok() {
        sent += 60 << 10;
        if sent == 100 * (60 << 10) {
            half.take(&mut batch);
            assert!(batch.buffer.capacity() <= 2 << 20, "no buffer is large");
        }
        let allocated = half.bytes() + batch.buffer.capacity();
        assert!(allocated <= memory.taken() + (256 << 10), "{allocated} bytes, {} taken", memory.taken());
    }
    assert!(((16 << 20)..(18 << 20)).contains(&sent), "{sent}");
    let mut written = batch.buffer.len();
    while half.take(&mut batch) != Freed::default() || !batch.is_empty() {
        written += batch.buffer.len();
    }
    assert!(written > sent);
    assert_eq!((half.bytes(), memory.taken()), (0, 0));
}

#[test]
fn small_messages_that_fill_several_buffers_are_written_before_a_large_one() {
    let mut half = SendHalf { limit: 16 << 20, ..half() };
    for byte in 1..=3 {
        for _ in 0..20 {
            send(&mut half, 1, byte, 60 << 10);
        }
    }
    send(&mut half, 1, 9, 100 << 10);
    let written = batches(&mut half);
    let large = written.iter().position(|(_, large)| !large.is_empty()).unwrap();
    assert!(written.len() > 2 && large == written.len() - 1, "{written:?}");
    assert!(written.is_sorted_by_key(|(small, _)| small.first().copied()), "{written:?}");
}

#[test]
fn ticks_are_due_when_nothing_else_is_written() {
    let now = Instant::now();
    let mut half = half_at(now, FLAGS);
    let later = half.ticks().deadline();
    assert_eq!(half.poll(later), TickAction::SendTick);
    half.tick();
    let mut batch = Batch::default();
    half.take(&mut batch);
    assert_eq!((&batch.buffer[..], batch.traffic()), (&TICK[..], Traffic::Tick));
    half.has_written(later, batch.traffic());
    assert_eq!(half.poll(later), TickAction::Wait);
    send(&mut half, 1, 1, 20);
    half.tick();
    half.take(&mut batch);
    assert_eq!(batch.traffic(), Traffic::Message);
    let answer = half.has_written(later, batch.traffic());
    assert!(!half.has_read(later, Traffic::Message));
    assert!(half.has_read(answer, Traffic::Message));
    assert_eq!(half.poll(answer + Duration::from_secs(60)), TickAction::PeerDead);
}

/// A peer without `EXIT_PAYLOAD` gets a reason of any size in the control message, never in fragments.
#[test]
fn a_reason_inside_is_never_cut() {
    let flags = FLAGS.difference(DistributionFlags::EXIT_PAYLOAD);
    let exit = Forms::new(flags).exit(pid(1), pid(2));
    assert!(matches!(exit.control(), Form::Old(Exit { .. })));
    let mut half = half_at(Instant::now(), flags);
    let mut reason = Encoded::with_capacity(0);
    encode::term(&Term::binary(vec![7; 300_000]), &mut reason);
    half.send_parts((&pid(1)).into(), &exit, |_| {}, &reason.into(), &[], Payer::Queue).unwrap();
    let mut batch = Batch::default();
    half.take(&mut batch);
    assert!(batch.fragments.is_empty() && batch.buffer.len() > 300_000);
}
