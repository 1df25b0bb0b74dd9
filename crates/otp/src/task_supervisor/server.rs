use std::collections::HashMap;

use peerl_node::{Atom, Caller, Lease, Message, PacedTasks, Peer, Pid, Term, long_work};
use tokio::time::Instant;

use super::TaskSupervisor;
use super::request::{Request, Start};
use super::task::Task;
use crate::server::{Context, Outcome, Server, Stop, later, reply};
use crate::supervisor::{Restart, Restarts, Shutdown, end_all, is_failure};

/// The process of a [`TaskSupervisor`].
pub(super) struct Tasks {
    limits: TaskSupervisor,
    running: HashMap<Pid, Child>,
    /// The number of tasks of each peer that has some.
    by_peer: HashMap<Option<Atom>, usize>,
    restarts: Restarts,
    paced: PacedTasks,
}

struct Child {
    /// Who has asked for it: one that is started again counts as that peer's, too.
    peer: Option<Peer>,
    /// For what it begins with.
    lease: Option<Lease>,
    restart: Restart,
    shutdown: Shutdown,
    /// What it begins with when it is started again; nothing, if it never is.
    again: Option<Start>,
}

impl Tasks {
    pub(super) fn new(limits: TaskSupervisor) -> Self {
        let restarts = Restarts::new(limits.intensity);
        Self { limits, running: HashMap::new(), by_peer: HashMap::new(), restarts, paced: PacedTasks::default() }
    }

    async fn start_task(
        &mut self,
        start: Start,
        restart: Restart,
        shutdown: Shutdown,
        context: &Context,
    ) -> Result<Term, Stop> {
        let peer = context.received_from().cloned();
        let of_peer = self.by_peer.get(&name_of(peer.as_ref())).copied().unwrap_or(0);
        if self.running.len() >= self.limits.max_children || of_peer >= self.limits.max_children_per_peer {
            return Ok(error(Term::atom("max_children")));
        }
        let lease = match &peer {
            // One is kept for another start.
            Some(peer) => match peer.lease(2 * start.memory()) {
                Some(lease) => Some(lease),
                None => return Ok(error(Term::atom("max_children"))),
            },
            None => None,
        };
        match self.spawn(start, restart, shutdown, peer, lease, context).await? {
            Some(pid) => Ok(Term::tuple([Term::atom("ok"), pid.into()])),
            None => Ok(error(Term::atom("max_children"))),
        }
    }

    /// Starts a task; none, if the node serves no more calls at the moment, or is about to leave.
    async fn spawn(
        &mut self,
        start: Start,
        restart: Restart,
        shutdown: Shutdown,
        peer: Option<Peer>,
        lease: Option<Lease>,
        context: &Context,
    ) -> Result<Option<Pid>, Stop> {
        let node = context.node()?;
        let Ok(served) = node.begin_call(peer.as_ref(), 0) else { return Ok(None) };
        let process = node.process();
        process.tell_senders();
        process.link(context.pid()).await;
        let pid = process.pid().clone();
        *self.by_peer.entry(name_of(peer.as_ref())).or_default() += 1;
        let again = (restart != Restart::Temporary).then(|| start.clone());
        self.running.insert(pid.clone(), Child { peer, lease, restart, shutdown, again });
        let task = Task { process, group_leader: node.group_leader().clone(), served };
        self.paced.room().await;
        self.paced.spawn(task.begin(start));
        Ok(Some(pid))
    }

    fn forget(&mut self, pid: &Pid) -> Option<Child> {
        let child = self.running.remove(pid)?;
        let name = name_of(child.peer.as_ref());
        if let Some(count) = self.by_peer.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&name);
            }
        }
        Some(child)
    }

    /// A task has ended: one that has failed is started again, if it was started so.
    async fn ended(&mut self, pid: &Pid, reason: &Term, context: &Context) -> Result<(), Stop> {
        let Some(child) = self.forget(pid) else { return Ok(()) };
        let fails = child.restart == Restart::Permanent || is_failure(reason);
        let Some(again) = child.again.filter(|_| fails) else { return Ok(()) };
        if !self.restarts.note(Instant::now()) {
            tracing::error!(?pid, ?reason, "too many tasks had to be started again: the supervisor of tasks ends");
            return Err(Stop::shutdown());
        }
        self.spawn(again, child.restart, child.shutdown, child.peer, child.lease, context).await.map(drop)
    }

    fn children(&self) -> Term {
        let modules = Term::list([Term::atom("Elixir.Task.Supervised")]);
        Term::list(self.running.keys().map(|pid| {
            Term::tuple([Term::atom("undefined"), pid.clone().into(), Term::atom("worker"), modules.clone()])
        }))
    }
}

/// The name of a peer that starts tasks; none for this node.
fn name_of(peer: Option<&Peer>) -> Option<Atom> {
    peer.and_then(Peer::node).cloned()
}

impl Server for Tasks {
    type Call = Term;
    type Reply = Term;
    type Cast = Term;

    async fn init(&mut self, context: &mut Context) -> Result<(), Stop> {
        context.trap_exits();
        Ok(())
    }

    async fn handle_call(&mut self, request: Term, from: Caller, context: &mut Context) -> Outcome<Term> {
        reply(match Request::of(&request) {
            Request::WhichChildren => {
                // A peer may have very many.
                long_work(self.running.len(), || context.reply(&from, &self.children()))?;
                return later();
            }
            Request::CountChildren => {
                let count = |name, count: usize| Term::tuple([Term::atom(name), Term::from(count)]);
                let tasks = self.running.len();
                Term::list([
                    count("specs", tasks),
                    count("active", tasks),
                    count("supervisors", 0),
                    count("workers", tasks),
                ])
            }
            Request::TerminateChild(pid) => match self.forget(&pid) {
                Some(child) => {
                    end_all(context, vec![(pid, child.shutdown)]).await;
                    Term::atom("ok")
                }
                None => error(Term::atom("not_found")),
            },
            Request::StartTask { start, restart, shutdown } => {
                self.start_task(start, restart, shutdown, context).await?
            }
            Request::Unknown => error(Term::tuple([Term::atom("bad_request"), request])),
        })
    }

    async fn handle_cast(&mut self, _: Term, _: &mut Context) -> Result<(), Stop> {
        Ok(())
    }

    async fn handle_info(&mut self, message: Message, context: &mut Context) -> Result<(), Stop> {
        match message {
            Message::Exit(exit) => self.ended(&exit.from, &exit.reason.decode()?, context).await,
            _ => Ok(()),
        }
    }

    async fn terminate(&mut self, _: &Term, context: &mut Context) {
        let children = self.running.drain().map(|(pid, child)| (pid, child.shutdown));
        end_all(context, children.collect()).await;
    }

    fn state(&self) -> Term {
        let limit = |name, limit: usize| (Term::atom(name), Term::from(limit));
        Term::map([
            (Term::atom("children"), self.children()),
            limit("max_children", self.limits.max_children),
            limit("max_children_per_peer", self.limits.max_children_per_peer),
        ])
    }
}

fn error(reason: Term) -> Term {
    Term::tuple([Term::atom("error"), reason])
}
