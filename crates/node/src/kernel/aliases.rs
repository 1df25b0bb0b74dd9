//! Aliases: references to which a process lets others send.
//!
//! Erlang docs: *Reference Manual*, section "Process Aliases".

use std::sync::Arc;

use peerl_proto::control::Priority;
use peerl_term::Reference;

use super::address::Address;
use super::process::Core;
use super::state::Kernel;

impl Kernel {
    /// Makes an alias of a process, by which signals of this priority may come; of one that has ended it leads nowhere.
    pub(crate) fn make_alias(&self, process: &Arc<Core>, allowed: Priority) -> Reference {
        let number = self.identity.next_reference_number();
        if let Some(mut state) = process.alive() {
            state.aliases.add(number, allowed);
            self.processes.add_alias(number, process.clone());
        }
        self.identity.reference(number)
    }

    /// With what priority a signal comes to a process of this node by this address.
    pub(crate) fn priority(&self, process: &Core, to: Address<'_>) -> Priority {
        let Address::Alias(alias, sent @ Priority::High) = to else { return Priority::Ordinary };
        let Some(number) = self.identity.reference_number(alias) else { return Priority::Ordinary };
        process.alive().map_or(Priority::Ordinary, |state| state.aliases.priority(number, sent))
    }

    /// Removes an alias. Returns whether it was one of this process.
    pub(crate) fn remove_alias(&self, process: &Core, alias: &Reference) -> bool {
        let Some(number) = self.identity.reference_number(alias) else { return false };
        let removed = process.alive().is_some_and(|mut state| state.aliases.remove(number));
        if removed {
            self.processes.remove_alias(number);
        }
        removed
    }
}
