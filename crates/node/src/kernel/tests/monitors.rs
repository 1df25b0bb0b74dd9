use peerl_term::{Atom, Term};

use super::pair::{Pair, Seen, mailbox};
use crate::kernel::process::Monitored;

const SERVICE: Atom = Atom::from_static("service");

#[test]
fn the_end_of_a_process_is_told_once() {
    let mut pair = Pair::connected();
    for local in [true, false] {
        let watcher = pair.a.process();
        let watched = if local { pair.a.process() } else { pair.b.process() };
        pair.a.monitor(&watcher, Monitored::Process(watched.pid.clone()));
        pair.a.monitor(&watcher, Monitored::Process(watched.pid.clone()));
        pair.deliver();
        assert_eq!(watched.alive().unwrap().watchers.len(), 2, "local: {local}");
        if local { &pair.a } else { &pair.b }.end(&watched, "done");
        pair.deliver();
        let down = || Seen::Down(Monitored::Process(watched.pid.clone()), Term::atom("done"));
        assert_eq!(mailbox(&watcher), [down(), down()], "one for each monitor");
    }
    assert_eq!(pair.monitors_of_a(), 0);
}

#[test]
fn who_is_not_there_is_told_at_once() {
    let mut pair = Pair::connected();
    let watcher = pair.a.process();
    let (here, there) = (pair.a.name().clone(), pair.b.name().clone());
    let stranger = peerl_proto::node_name::NodeName::new("c@h").unwrap();
    for (node, reason) in [(here, "noproc"), (there, "noproc"), (stranger, "noconnection")] {
        let object = Monitored::Name(SERVICE, node);
        pair.a.monitor(&watcher, object.clone());
        pair.deliver();
        assert_eq!(mailbox(&watcher), [Seen::Down(object, Term::atom(reason))]);
    }
    assert!(watcher.alive().unwrap().watched.is_empty());
}

#[test]
fn a_monitor_that_was_taken_back_tells_nothing() {
    let mut pair = Pair::connected();
    for local in [true, false] {
        let watcher = pair.a.process();
        let watched = if local { pair.a.process() } else { pair.b.process() };
        let reference = pair.a.monitor(&watcher, Monitored::Process(watched.pid.clone()));
        pair.deliver();
        assert!(pair.a.kernel.demonitor(&watcher, &reference));
        assert!(!pair.a.kernel.demonitor(&watcher, &reference));
        // Its end crosses the message that takes the monitor back.
        if local { &pair.a } else { &pair.b }.end(&watched, "done");
        pair.deliver();
        assert_eq!(mailbox(&watcher), [], "local: {local}");
    }
    assert_eq!(pair.monitors_of_a(), 0);
}

/// A monitor by a name stays with the process that had the name, and is found again after the name has moved.
#[test]
fn a_name_moves_while_it_is_monitored() {
    let mut pair = Pair::connected();
    for local in [true, false] {
        let node = if local { pair.a.name() } else { pair.b.name() }.clone();
        let object = || Monitored::Name(SERVICE, node.clone());
        let watcher = pair.a.process();
        let first = if local { pair.a.process() } else { pair.b.process() };
        let second = if local { pair.a.process() } else { pair.b.process() };
        let processes = if local { pair.a.kernel.clone() } else { pair.b.kernel.clone() };
        assert!(processes.processes.register(SERVICE, &first));
        let moved = pair.a.monitor(&watcher, object());
        let unregistered = pair.a.monitor(&watcher, object());
        pair.deliver();
        let watchers = |process: &crate::kernel::process::Core| process.alive().unwrap().watchers.len();
        assert_eq!(watchers(&first), 2);
        assert!(processes.processes.unregister("service"));
        assert!(pair.a.kernel.demonitor(&watcher, &unregistered));
        pair.deliver();
        assert_eq!(watchers(&first), 1);
        assert!(processes.processes.register(SERVICE, &second));
        let of_second = pair.a.monitor(&watcher, object());
        assert!(pair.a.kernel.demonitor(&watcher, &moved));
        pair.deliver();
        assert_eq!((watchers(&first), watchers(&second)), (0, 1), "local: {local}");
        if local { &pair.a } else { &pair.b }.end(&second, "done");
        pair.deliver();
        assert_eq!(mailbox(&watcher), [Seen::Down(object(), Term::atom("done"))]);
        assert!(!pair.a.kernel.demonitor(&watcher, &of_second));
    }
    assert_eq!(pair.monitors_of_a(), 0);
}

#[test]
fn the_end_of_a_watcher_ends_its_monitors() {
    let mut pair = Pair::connected();
    let (watcher, watched, here) = (pair.a.process(), pair.b.process(), pair.a.process());
    pair.a.monitor(&watcher, Monitored::Process(watched.pid.clone()));
    pair.a.monitor(&watcher, Monitored::Process(here.pid.clone()));
    pair.deliver();
    pair.a.end(&watcher, "normal");
    pair.deliver();
    assert_eq!(pair.monitors_of_a(), 0);
    assert!(watched.alive().unwrap().watchers.is_empty() && here.alive().unwrap().watchers.is_empty());
}

#[test]
fn a_process_that_has_ended_monitors_and_links_nobody() {
    let mut pair = Pair::connected();
    let (ended, watched) = (pair.a.process(), pair.b.process());
    pair.a.end(&ended, "normal");
    pair.a.monitor(&ended, Monitored::Process(watched.pid.clone()));
    pair.a.kernel.link(&ended, &watched.pid);
    pair.deliver();
    let state = watched.alive().unwrap();
    assert_eq!((state.watchers.len(), state.links.len(), pair.monitors_of_a()), (0, 0, 0));
}
