use peerl_term::Term;

use super::pair::{Pair, Seen, Way, ended, mailbox};
use crate::kernel::address::Address;
use crate::kernel::process::{Core, Exits, Monitored};
use crate::kernel::reason;
use crate::kernel::signal::{Delivery, Signal};

/// `exit(To, Reason)` of a process of A.
fn exit(pair: &mut Pair, to: &Core, reason: &'static str) {
    let sender = pair.a.process();
    let reason = reason::atom(reason);
    let sent = pair.a.kernel.signal(&sender.pid, Address::Process(&to.pid), Signal::Exit2(&reason));
    assert_eq!(sent, Delivery::Done);
    pair.deliver();
}

#[test]
fn what_an_exit_signal_does() {
    let mut pair = Pair::connected();
    for local in [true, false] {
        let side = |pair: &Pair| if local { pair.a.process() } else { pair.b.process() };
        let process = side(&pair);
        exit(&mut pair, &process, "normal");
        assert_eq!(ended(&process), None);
        exit(&mut pair, &process, "enough");
        assert_eq!(ended(&process), Some(Term::atom("enough")), "local: {local}");

        let trapping = side(&pair);
        trapping.alive().unwrap().exits = Exits::Trap;
        exit(&mut pair, &trapping, "enough");
        assert!(matches!(&mailbox(&trapping)[..], [Seen::Exit(_, reason)] if reason.is_atom("enough")));
        exit(&mut pair, &trapping, "kill");
        assert_eq!(ended(&trapping), Some(Term::atom("killed")), "kill is not trapped");

        let ignoring = side(&pair);
        ignoring.alive().unwrap().exits = Exits::Ignore;
        exit(&mut pair, &ignoring, "kill");
        assert_eq!(ended(&ignoring), None);
    }
}

#[test]
fn an_exit_signal_to_nobody_is_lost() {
    let pair = Pair::connected();
    let (sender, gone) = (pair.a.process(), pair.a.process());
    pair.a.end(&gone, "normal");
    let reason = reason::atom("enough");
    let to = |pid| pair.a.kernel.signal(&sender.pid, Address::Process(pid), Signal::Exit2(&reason));
    assert_eq!(to(&gone.pid), Delivery::Done);
    let stranger = peerl_term::Pid { node: peerl_term::Atom::from_static("c@h"), ..gone.pid.clone() };
    assert_eq!(to(&stranger), Delivery::Unreachable);
}

/// What a process of the other incarnation of a node was meant to get reaches nobody.
#[test]
fn a_stale_creation_reaches_nobody() {
    let mut pair = Pair::connected();
    let process = pair.b.process();
    let mut stale = process.pid.clone();
    stale.creation += 1;
    let sender = pair.a.trapping();
    let reason = reason::atom("kill");
    let _ = pair.a.kernel.signal(&sender.pid, Address::Process(&stale), Signal::Exit2(&reason));
    pair.a.kernel.link(&sender, &stale);
    pair.a.kernel.unlink(&sender, &stale);
    let object = Monitored::Process(stale.clone());
    let reference = pair.a.monitor(&sender, object.clone());
    assert!(!pair.a.kernel.demonitor(&sender, &reference));
    pair.a.end(&sender, "normal");
    assert!(!pair.deliver_one_way(Way::AToB), "a BEAM would end the connection");

    let trapping = pair.a.trapping();
    pair.a.kernel.link(&trapping, &stale);
    pair.a.monitor(&trapping, object.clone());
    let noproc = || Term::atom("noproc");
    assert_eq!(mailbox(&trapping), [Seen::Exit(stale, noproc()), Seen::Down(object, noproc())]);
    assert_eq!(ended(&process), None);
}
