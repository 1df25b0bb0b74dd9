//! Messages that a process has not received yet.

use std::time::Duration;

use crate::stage::{Stage, atom, eventually, expect, export, message};
use peerl_node::{Ended, MailboxPolicy, Overflow, Process, Term};
use peerl_test_support::{Otp, matrix};

/// A full mailbox: the process's policy applies to the next message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_mailboxes() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let with = |overflow| node.process_with(MailboxPolicy { messages: 10, bytes: 1 << 20, overflow });
        let send = async |process: &Process| {
            let sent = crate::stage::eval_with(
                &beam,
                &node,
                "[P ! N || N <- lists:seq(1, 100)], ok",
                [("P", process.pid().clone().into())],
            );
            assert_eq!(sent.await, "ok");
        };

        let mut dropping = with(Overflow::Drop);
        send(&dropping).await;
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        for n in 1..=10 {
            assert_eq!(message(&mut dropping).await, Term::from(n));
        }
        assert!(dropping.try_receive().unwrap().is_none());

        let mut ending = with(Overflow::Exit);
        let mut watcher = node.process();
        watcher.monitor(ending.pid()).await;
        send(&ending).await;
        let Term::Tuple(down) = message(&mut watcher).await else { panic!() };
        assert_eq!(down[4], atom("mailbox_overflow"));
        assert!(ending.receive().await.is_err());

        // No message is lost; the connection waits meanwhile (back-pressure).
        let mut waiting = with(Overflow::Wait);
        send(&waiting).await;
        eventually("a full mailbox", || waiting.queued() == 10).await;
        for n in 1..=100 {
            assert_eq!(message(&mut waiting).await, Term::from(n));
        }
        // A process that ends while the connection waits for it.
        let waiting = with(Overflow::Wait);
        send(&waiting).await;
        eventually("a full mailbox", || waiting.queued() == 10).await;
        drop(waiting);
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
    }
}

/// Much has arrived while no task could read it: a process that keeps receiving gets it in portions, and is not ended
/// for a mailbox that was filled before its turn.
#[tokio::test]
async fn what_has_piled_up_comes_in_portions() {
    const MESSAGES: usize = 200_000;
    let stage = Stage::new();
    let node = stage.node().await;
    let beam = stage.beam(Otp::V25).await;
    let policy = MailboxPolicy { messages: 20_000, bytes: 1 << 30, overflow: Overflow::Exit };
    let mut process = node.process_with(policy);
    let flood = format!("spawn(fun() -> [P ! N || N <- lists:seq(1, {MESSAGES})] end), ok");
    let sent = crate::stage::eval_with(&beam, &node, &flood, [("P", process.pid().clone().into())]);
    assert_eq!(sent.await, "ok");
    // This is the only thread of the runtime; the messages fill the buffers of the kernel.
    std::thread::sleep(Duration::from_millis(500));
    let taken = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            process.receive().await?;
        }
        Ok::<_, Ended>(())
    });
    tokio::time::timeout(crate::stage::LIMIT, taken).await.expect("all come").unwrap().expect("the process lives");
}
