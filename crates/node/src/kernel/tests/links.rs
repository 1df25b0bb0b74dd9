use peerl_term::{Pid, Term};

use super::pair::{Pair, Seen, Side, Way, ended, links, mailbox};

#[test]
fn a_process_ends_with_the_one_it_is_linked_to() {
    let mut pair = Pair::connected();
    for local in [true, false] {
        let first = pair.a.process();
        let second = if local { pair.a.process() } else { pair.b.process() };
        pair.a.kernel.link(&first, &second.pid);
        pair.deliver();
        pair.a.end(&first, "broken");
        pair.deliver();
        assert_eq!(ended(&second), Some(Term::atom("broken")), "local: {local}");
    }
}

#[test]
fn a_normal_end_ends_nobody_and_is_trapped() {
    let mut pair = Pair::connected();
    let (linked, trapping, ending) = (pair.a.process(), pair.a.trapping(), pair.b.process());
    pair.a.kernel.link(&linked, &ending.pid);
    pair.a.kernel.link(&trapping, &ending.pid);
    pair.deliver();
    pair.b.end(&ending, "normal");
    pair.deliver();
    assert_eq!(ended(&linked), None);
    assert_eq!((links(&linked), links(&trapping)), (0, 0));
    assert_eq!(mailbox(&trapping), [Seen::Exit(ending.pid.clone(), Term::atom("normal"))]);
}

#[test]
fn a_link_to_nobody_breaks_at_once() {
    let mut pair = Pair::connected();
    let trapping = pair.a.trapping();
    let gone = |side: &Side| -> Pid {
        let process = side.process();
        side.end(&process, "normal");
        process.pid.clone()
    };
    let (here, there) = (gone(&pair.a), gone(&pair.b));
    let stranger = Pid { node: peerl_term::Atom::from_static("c@h"), ..there.clone() };
    for (other, reason) in [(here, "noproc"), (there, "noproc"), (stranger, "noconnection")] {
        pair.a.kernel.link(&trapping, &other);
        pair.deliver();
        assert_eq!(mailbox(&trapping), [Seen::Exit(other, Term::atom(reason))]);
    }
    assert_eq!(links(&trapping), 0);
}

#[test]
fn two_links_are_one_and_one_to_itself_is_none() {
    let mut pair = Pair::connected();
    let (first, second) = (pair.a.trapping(), pair.b.process());
    pair.a.kernel.link(&first, &first.pid);
    pair.a.kernel.link(&first, &second.pid);
    pair.a.kernel.link(&first, &second.pid);
    pair.b.kernel.link(&second, &first.pid);
    pair.deliver();
    assert_eq!((links(&first), links(&second)), (1, 1));
    pair.b.end(&second, "broken");
    pair.deliver();
    assert_eq!(mailbox(&first), [Seen::Exit(second.pid.clone(), Term::atom("broken"))]);
}

/// The exit signal of a link that has been ended meanwhile does not count.
#[test]
fn an_unlink_crosses_the_end_of_the_other_process() {
    let mut pair = Pair::connected();
    let (first, second) = (pair.a.process(), pair.b.process());
    pair.a.kernel.link(&first, &second.pid);
    pair.deliver();
    pair.b.end(&second, "broken");
    pair.a.kernel.unlink(&first, &second.pid);
    pair.deliver();
    assert_eq!(ended(&first), None);
    assert_eq!(links(&first), 0);
}

/// The unlink of an old link does not end the new one that it crosses.
#[test]
fn an_unlink_crosses_a_link_of_the_other_process() {
    let mut pair = Pair::connected();
    let (first, second) = (pair.a.process(), pair.b.process());
    pair.a.kernel.link(&first, &second.pid);
    pair.deliver();
    pair.a.kernel.unlink(&first, &second.pid);
    pair.a.kernel.link(&first, &second.pid);
    pair.deliver_one_way(Way::AToB);
    pair.a.end(&first, "broken");
    pair.deliver();
    assert_eq!(ended(&second), Some(Term::atom("broken")));
}

#[test]
fn unlinked_processes_outlive_each_other() {
    let mut pair = Pair::connected();
    for local in [true, false] {
        let first = pair.a.process();
        let second = if local { pair.a.process() } else { pair.b.process() };
        pair.a.kernel.link(&first, &second.pid);
        pair.deliver();
        pair.a.kernel.unlink(&first, &second.pid);
        pair.deliver();
        assert_eq!((links(&first), links(&second)), (0, 0), "local: {local}");
        pair.a.end(&first, "broken");
        pair.deliver();
        assert_eq!(ended(&second), None);
    }
}

/// A chain ends one process after another, without recursion.
#[test]
fn a_long_chain_ends() {
    let pair = Pair::connected();
    let chain: Vec<_> = (0..20_000).map(|_| pair.a.process()).collect();
    for pair_of in chain.windows(2) {
        pair.a.kernel.link(&pair_of[0], &pair_of[1].pid);
    }
    pair.a.end(&chain[0], "broken");
    assert_eq!(ended(&chain[19_999]), Some(Term::atom("broken")));
    assert_eq!(pair.a.kernel.processes.len(), 0);
}
