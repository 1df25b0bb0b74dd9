//! Which processes the end of a connection concerns.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use peerl_term::Pid;

use crate::kernel::identity::pid_number;

/// The processes of this node that have links with processes of a peer, or monitor some: the end of the connection costs what they
/// have, however many other processes there are.
#[derive(Debug, Default)]
pub(crate) struct Ties(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// How many ties each process has, by the number of its pid.
    processes: BTreeMap<u64, usize>,
    /// How many there are.
    count: usize,
    closed: bool,
}

/// A link of a process of this node with one of a peer, or a monitor on one. It lasts as long as the entry in the table of the process.
#[derive(Debug)]
pub(crate) struct Tie {
    ties: Arc<Ties>,
    process: u64,
}

impl Ties {
    /// Another tie of a process, unless the connection has ended.
    pub(crate) fn tie(self: &Arc<Self>, process: &Pid) -> Option<Tie> {
        let mut table = self.0.lock();
        if table.closed {
            return None;
        }
        let process = pid_number(process);
        *table.processes.entry(process).or_insert(0) += 1;
        table.count += 1;
        Some(Tie { ties: self.clone(), process })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().count
    }

    /// The connection has ended. Returns the numbers of the processes, the oldest first.
    pub(crate) fn close(&self) -> Vec<u64> {
        let mut table = self.0.lock();
        table.closed = true;
        table.count = 0;
        mem::take(&mut table.processes).into_keys().collect()
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        let mut table = self.ties.0.lock();
        let Some(count) = table.processes.get_mut(&self.process) else { return };
        *count -= 1;
        if *count == 0 {
            table.processes.remove(&self.process);
        }
        table.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use peerl_term::Atom;

    use super::*;

    #[test]
    fn a_process_is_known_as_long_as_it_has_a_tie() {
        let ties = Arc::new(Ties::default());
        let tie = |id| ties.tie(&Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 });
        let (_second, first, again, third) = (tie(2), tie(1), tie(1), tie(3));
        drop((first, third));
        assert_eq!(ties.len(), 2);
        assert_eq!(ties.close(), [1, 2]);
        assert!(tie(4).is_none());
        drop(again);
        assert_eq!((ties.len(), ties.close()), (0, vec![]));
    }
}
