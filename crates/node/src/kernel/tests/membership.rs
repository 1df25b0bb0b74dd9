use std::time::{Duration, Instant};

use peerl_term::Term;

use super::pair::{Pair, Seen, ended, links, mailbox};
use crate::kernel::process::{MailboxPolicy, Monitored, Overflow};

/// First what depended on the node, then the node itself.
#[test]
fn what_was_linked_or_monitored_is_told_before_the_node_is_down() {
    let mut pair = Pair::connected();
    let (process, ending, other) = (pair.a.trapping(), pair.a.process(), pair.b.trapping());
    assert_eq!(pair.a.kernel.monitor_nodes(&process).len(), 1);
    pair.a.kernel.link(&process, &other.pid);
    pair.a.kernel.link(&ending, &other.pid);
    let object = Monitored::Process(other.pid.clone());
    pair.a.monitor(&process, object.clone());
    pair.deliver();
    let node = pair.b.name().clone();
    pair.disconnect();
    assert_eq!(ended(&ending), Some(Term::atom("noconnection")));
    assert_eq!(
        mailbox(&process),
        [
            Seen::Down(object, Term::atom("noconnection")),
            Seen::Exit(other.pid.clone(), Term::atom("noconnection")),
            Seen::NodeDown(node.clone()),
        ]
    );
    assert_eq!(links(&other), 0, "the other side knows it, too");
    pair.connect();
    assert_eq!(mailbox(&process), [Seen::NodeUp(node)]);
    assert_eq!(pair.monitors_of_a(), 0);
    assert!(other.alive().unwrap().watchers.is_empty());
}

/// What was queued on a connection that has ended does not come by the next one.
#[test]
fn signals_of_an_ended_connection_are_lost() {
    let mut pair = Pair::connected();
    let (first, second) = (pair.a.trapping(), pair.b.process());
    pair.a.kernel.link(&first, &second.pid);
    pair.disconnect();
    pair.connect();
    pair.deliver();
    assert_eq!(links(&second), 0);
    assert_eq!(mailbox(&first), [Seen::Exit(second.pid.clone(), Term::atom("noconnection"))]);
}

/// A node's old connection, found to have ended after the new one is up, does not take the new one away.
#[test]
fn only_its_own_place_is_given_up() {
    let mut pair = Pair::connected();
    let process = pair.a.process();
    pair.a.kernel.monitor_nodes(&process);
    pair.disconnect();
    pair.connect();
    let up = pair.a.kernel.connections.all();
    assert_eq!(up.len(), 1);
    pair.disconnect();
    assert!(pair.a.kernel.connections.all().is_empty());
    let kinds: Vec<bool> = mailbox(&process).iter().map(|seen| matches!(seen, Seen::NodeUp(_))).collect();
    assert_eq!(kinds, [false, true, false]);
}

/// It may be suspended, and nobody pays for what it is told.
#[test]
fn a_process_that_receives_no_node_events_ends_when_its_mailbox_is_full() {
    let mut pair = Pair::connected();
    let policy = |overflow| MailboxPolicy { messages: 3, overflow, ..MailboxPolicy::default() };
    let [ending, waiting] = [Overflow::Exit, Overflow::Wait].map(|overflow| pair.a.process_with(policy(overflow)));
    for process in [&ending, &waiting] {
        pair.a.kernel.monitor_nodes(process);
    }
    for _ in 0..2 {
        assert!(ending.exit_reason().is_none());
        pair.disconnect();
        pair.connect();
    }
    assert_eq!(ended(&ending), Some(Term::atom("mailbox_overflow")));
    assert_eq!(mailbox(&waiting).len(), 4);
}

/// A process of a node that many know is not asked each time one of the others goes.
#[test]
fn the_end_of_a_connection_concerns_only_processes_that_have_links_or_monitors_with_it() {
    let mut pair = Pair::connected();
    let (stranger, former, known) = (pair.b.process(), pair.b.process(), pair.b.trapping());
    let (linked, watched) = (pair.a.process(), pair.a.process());
    let monitor = pair.a.monitor(&linked, Monitored::Process(former.pid.clone()));
    pair.a.kernel.link(&linked, &former.pid);
    pair.a.kernel.link(&linked, &known.pid);
    pair.b.kernel.link(&former, &watched.pid);
    let object = Monitored::Process(watched.pid.clone());
    let reference = pair.b.monitor(&former, object.clone());
    pair.b.monitor(&known, object.clone());
    pair.deliver();
    pair.a.kernel.unlink(&linked, &former.pid);
    pair.a.kernel.demonitor(&linked, &monitor);
    pair.b.kernel.unlink(&former, &watched.pid);
    pair.b.kernel.demonitor(&former, &reference);
    pair.deliver();
    let busy = [stranger.alive(), former.alive()];
    std::thread::scope(|scope| {
        let end = scope.spawn(|| pair.disconnect());
        let late = Instant::now() + Duration::from_secs(20);
        while !end.is_finished() && Instant::now() < late {
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_told = end.is_finished();
        drop(busy);
        assert!(is_told, "it waits for a process that it does not concern");
    });
    let noconnection = || Term::atom("noconnection");
    assert_eq!(mailbox(&known), [Seen::Down(object, noconnection()), Seen::Exit(linked.pid.clone(), noconnection())]);
}
