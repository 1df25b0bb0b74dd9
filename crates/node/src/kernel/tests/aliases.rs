use peerl_proto::control::Priority;

use super::pair::Pair;
use crate::kernel::address::Address;
use crate::kernel::place::Place;

#[test]
fn an_alias_leads_to_its_process_until_it_is_taken_back() {
    let pair = Pair::connected();
    let process = pair.a.process();
    let kernel = &pair.a.kernel;
    let alias = kernel.make_alias(&process, Priority::Ordinary);
    let leads = |kernel: &crate::kernel::state::Kernel| matches!(kernel.place(Address::Alias(&alias, Priority::Ordinary)), Place::Here(Some(found)) if found.pid == process.pid);
    assert!(leads(kernel));
    assert!(!kernel.remove_alias(&pair.a.process(), &alias), "it is another process' alias");
    let taken_back = kernel.make_alias(&process, Priority::Ordinary);
    assert!(kernel.remove_alias(&process, &taken_back) && !kernel.remove_alias(&process, &taken_back));
    assert!(matches!(kernel.place(Address::Alias(&taken_back, Priority::Ordinary)), Place::Here(None)));
    assert!(matches!(pair.b.kernel.place(Address::Alias(&alias, Priority::Ordinary)), Place::Connected(_)));
    pair.a.end(&process, "normal");
    assert!(!leads(kernel), "it ends with its process");
}
