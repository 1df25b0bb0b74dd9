use super::pair::Pair;
use crate::kernel::address::Address;
use crate::kernel::place::Place;

#[test]
fn an_alias_leads_to_its_process_until_it_is_taken_back() {
    let pair = Pair::connected();
    let process = pair.a.process();
    let kernel = &pair.a.kernel;
    let number = kernel.identity.next_reference_number();
    let alias = kernel.identity.reference(number);
    let leads = |kernel: &crate::kernel::state::Kernel| matches!(kernel.place(Address::Alias(&alias)), Place::Here(Some(found)) if found.pid == process.pid);
    assert!(!leads(kernel));
    process.alive().unwrap().aliases.add(number);
    kernel.processes.add_alias(number, process.clone());
    assert!(leads(kernel));
    assert!(matches!(pair.b.kernel.place(Address::Alias(&alias)), Place::Connected(_)));
    pair.a.end(&process, "normal");
    assert!(!leads(kernel), "it ends with its process");
}
