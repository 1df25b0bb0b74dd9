use peerl_term::Atom;

use super::pair::Pair;
use crate::kernel::address::Address;
use crate::kernel::place::Place;

const SERVICE: Atom = Atom::from_static("service");

#[test]
fn a_name_belongs_to_one_living_process() {
    let pair = Pair::connected();
    let (first, second, table) = (pair.a.process(), pair.a.process(), &pair.a.kernel.processes);
    assert!(table.register(SERVICE, &first));
    assert!(!table.register(SERVICE, &second), "taken");
    pair.a.end(&first, "normal");
    assert!(table.register(SERVICE, &second));
    assert!(!table.register(Atom::from_static("other"), &first), "it has ended");
    assert!(table.unregister("service") && !table.unregister("service"));
    assert!(table.registered().is_empty());
}

#[test]
fn where_a_process_is() {
    let pair = Pair::connected();
    let (here, there) = (pair.a.process(), pair.b.process());
    let place = |address| pair.a.kernel.place(address);
    assert!(matches!(place(Address::Process(&here.pid)), Place::Here(Some(found)) if found.pid == here.pid));
    assert!(matches!(place(Address::Process(&there.pid)), Place::Connected(_)));
    let service = SERVICE;
    let (own, other, stranger) = (Atom::from_static("a@h"), Atom::from_static("b@h"), Atom::from_static("c@h"));
    assert!(matches!(place(Address::Name(&service, &own)), Place::Here(None)));
    assert!(matches!(place(Address::Name(&service, &other)), Place::Connected(_)));
    assert!(matches!(place(Address::Name(&service, &stranger)), Place::Unconnected));
}
