//! Facts about processes, as observers of the BEAM ask for them.

use peerl_term::{Atom, Pid};

use super::{Core, Exits, Monitored};
use crate::kernel::state::Kernel;

/// Facts about a process, as `erlang:process_info/1`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Its pid.
    pub pid: Pid,
    /// The names that it has registered.
    pub names: Vec<Atom>,
    /// The module, function and arity that it evaluates for a peer; none for a process of this program's own.
    pub function: Option<(Atom, Atom, usize)>,
    /// The number of messages in the mailbox.
    pub messages: usize,
    /// About how many bytes they have.
    pub message_bytes: usize,
    /// The processes that it is linked to.
    pub links: Vec<Pid>,
    /// The targets of its monitors.
    pub monitors: Vec<Monitored>,
    /// The processes that monitor it.
    pub monitored_by: Vec<Pid>,
    /// Whether it receives exit signals as messages.
    pub traps_exits: bool,
    /// Whether what it sends carries a trace token.
    pub is_traced: bool,
    /// The process that receives its output.
    pub group_leader: Pid,
}

/// Facts about a process of which a table of processes is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessSummary {
    /// The first name that it has registered.
    pub name: Option<Atom>,
    /// The module, function and arity that it evaluates for a peer; none for a process of this program's own.
    pub function: Option<(Atom, Atom, usize)>,
    /// The number of messages in the mailbox.
    pub messages: usize,
    /// About how many bytes they have.
    pub message_bytes: usize,
    /// About the number of its links, and of monitors of it and by it.
    pub relations: usize,
}

impl Core {
    pub(crate) fn summary(&self) -> Option<ProcessSummary> {
        let state = self.alive()?;
        Some(ProcessSummary {
            name: state.names.first().cloned(),
            function: state.function.clone(),
            messages: state.mailbox.len(),
            message_bytes: state.mailbox.bytes(),
            relations: state.links.len() + state.watchers.len() + state.watched.len() + 1,
        })
    }

    pub(crate) fn info(&self, node: &Kernel) -> Option<ProcessInfo> {
        let state = self.alive()?;
        let watchers = state.watchers.values().map(|watcher| watcher.pid.clone());
        Some(ProcessInfo {
            pid: self.pid.clone(),
            names: state.names.clone(),
            function: state.function.clone(),
            messages: state.mailbox.len(),
            message_bytes: state.mailbox.bytes(),
            links: state.links.active().cloned().collect(),
            monitors: state.watched.values().map(|watched| watched.object.clone()).collect(),
            monitored_by: watchers.chain(state.spawner.iter().map(|(_, pid)| pid.clone())).collect(),
            traps_exits: state.exits == Exits::Trap,
            is_traced: self.is_traced(),
            group_leader: state.group_leader.clone().unwrap_or_else(|| node.group_leader().clone()),
        })
    }
}
