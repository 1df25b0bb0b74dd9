use std::collections::HashMap;
use std::time::Duration;

use peerl_node::{Message, Process, Reference, Term};
use peerl_term::{Atom, Pid};
use tokio::time::{Instant, timeout_at};

use crate::server::Context;

/// How a supervisor ends a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// By an exit signal `kill`: `brutal_kill`.
    Kill,
    /// By an exit signal `shutdown`; by `kill` if the child has not ended after this time.
    Within(Duration),
    /// By an exit signal `shutdown`, however long the child takes: for children that are supervisors.
    Infinity,
}

impl Default for Shutdown {
    /// Within 5 seconds, as in OTP.
    fn default() -> Self {
        Self::Within(Duration::from_secs(5))
    }
}

impl Shutdown {
    /// `brutal_kill`, `infinity`, or a number of milliseconds.
    pub(crate) fn to_term(self) -> Term {
        match self {
            Self::Kill => Term::atom("brutal_kill"),
            Self::Within(limit) => Term::from(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            Self::Infinity => Term::atom("infinity"),
        }
    }

    pub(crate) fn from_term(term: &Term) -> Option<Self> {
        match term {
            Term::Integer(limit) => Some(Self::Within(Duration::from_millis(u64::try_from(*limit).ok()?))),
            Term::Atom(name) => match name.as_str() {
                "brutal_kill" => Some(Self::Kill),
                "infinity" => Some(Self::Infinity),
                _ => None,
            },
            _ => None,
        }
    }
}

const KILL: Atom = Atom::from_static("kill");
const SHUTDOWN: Atom = Atom::from_static("shutdown");

/// How many children are told to end before others run: the supervisor of tasks may have very many.
const AT_ONCE: usize = 128;

/// Ends children all at once, and waits until each has ended.
pub(crate) async fn end_all(context: &Context, children: Vec<(Pid, Shutdown)>) {
    // If the node is about to stop, so are they.
    let Ok(node) = context.node() else { return };
    let mut watch = node.process();
    drop(node);
    let mut ending = HashMap::new();
    let now = Instant::now();
    for (number, (pid, shutdown)) in children.into_iter().enumerate() {
        if number % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let monitor = watch.monitor_connected(&pid);
        context.process().unlink(&pid);
        let (reason, limit) = match shutdown {
            Shutdown::Kill => (KILL, None),
            Shutdown::Within(limit) => (SHUTDOWN, now.checked_add(limit)),
            Shutdown::Infinity => (SHUTDOWN, None),
        };
        context.process().exit_other(&pid, &reason.into());
        ending.insert(monitor, (pid, limit));
    }
    wait(context, &mut watch, &mut ending).await;
}

async fn wait(context: &Context, watch: &mut Process, ending: &mut HashMap<Reference, (Pid, Option<Instant>)>) {
    let earliest = |ending: &HashMap<_, (Pid, Option<Instant>)>| ending.values().filter_map(|(_, limit)| *limit).min();
    // It may be that of a child which has ended meanwhile: to look it up for each would take too long with many.
    let mut next = earliest(ending);
    while !ending.is_empty() {
        let received = match next {
            Some(limit) => timeout_at(limit, watch.receive()).await.ok(),
            None => Some(watch.receive().await),
        };
        match received {
            Some(Ok(Message::Down(down))) => drop(ending.remove(&down.reference)),
            Some(Ok(_)) => {}
            // The node stops.
            Some(Err(_)) => return,
            None => {
                let now = Instant::now();
                for (pid, limit) in ending.values_mut().filter(|(_, limit)| limit.is_some_and(|limit| limit <= now)) {
                    context.process().exit_other(pid, &KILL.into());
                    *limit = None;
                }
                next = earliest(ending);
            }
        }
    }
}
