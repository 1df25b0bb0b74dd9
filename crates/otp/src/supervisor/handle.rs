//! Children that the program gives to a running supervisor: a specification in Rust cannot be sent as a term.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use peerl_node::{Node, Pid, Term};

use super::child::ChildSpec;
use super::error::ChildError;
use super::request::START_HANDED;

/// The specifications that are on their way to the supervisor.
#[derive(Debug, Default)]
pub(super) struct Handed(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pid: OnceLock<Pid>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    specs: HashMap<u64, ChildSpec>,
    last: u64,
}

/// Adds children to a [`Supervisor`](crate::Supervisor) that runs.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

impl Handed {
    pub(super) fn handle(&self) -> Handle {
        Handle(self.0.clone())
    }

    /// The supervisor's process has begun.
    pub(super) fn begin(&self, pid: &Pid) {
        let _ = self.0.pid.set(pid.clone());
    }

    pub(super) fn take(&self, number: u64) -> Option<ChildSpec> {
        self.0.waiting.lock().specs.remove(&number)
    }
}

impl Handle {
    /// Adds a child and starts it, like `supervisor:start_child/2`. Gives its pid.
    ///
    /// # Errors
    /// If there is a child of this id, if it does not start, or if the supervisor does not run.
    pub async fn start_child(&self, node: &Node, child: ChildSpec) -> Result<Pid, ChildError> {
        let pid = self.0.pid.get().ok_or(ChildError::NotRunning)?;
        let number = {
            let mut waiting = self.0.waiting.lock();
            waiting.last += 1;
            let number = waiting.last;
            waiting.specs.insert(number, child);
            number
        };
        // It is not left behind if the supervisor has ended, or nobody waits any more.
        let _unclaimed = Unclaimed { shared: &self.0, number };
        let request = Term::tuple([START_HANDED.into(), Term::from(number)]);
        ChildError::pid_in(&node.gen_call::<Term>(pid, &request).await?)
    }
}

struct Unclaimed<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        self.shared.waiting.lock().specs.remove(&self.number);
    }
}
