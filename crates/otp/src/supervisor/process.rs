//! The process of a supervisor: it starts and ends what the state of its children says.

use peerl_node::{Caller, Message, Pid, Term};
use tokio::time::Instant;

use super::child::{ChildSpec, Parent};
use super::children::{Children, NotAdded, Plan, State};
use super::handle::Handed;
use super::request::{self, Request};
use super::{Intensity, Strategy, end_all};
use crate::server::{Context, Outcome, Server, Stop, guarded, reply};

/// A process that starts others and starts them again when they fail, like Erlang's `supervisor`.
///
/// It is a [`Server`]: it is started like one, can be a child of another supervisor, and answers what `supervisor` and Elixir's
/// `Supervisor` ask for, such as `which_children`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use peerl_node::Node;
/// use peerl_otp::{ChildSpec, Intensity, Restart, Server, Stop, Strategy, Supervisor};
///
/// # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
/// let poll = ChildSpec::task("poll", |_| async {
///     loop {
///         tokio::time::sleep(Duration::from_secs(60)).await;
///         std::fs::read_to_string("/etc/motd")?; // fails: the task ends, and starts again
///     }
/// });
/// let supervisor = Supervisor::new(Strategy::OneForOne)
///     .intensity(Intensity { restarts: 3, period: Duration::from_secs(5) })
///     .child(poll.restart(Restart::Transient));
/// let running = supervisor.start(node).name("supervisor").await?;
/// # Ok(()) }
/// ```
///
/// The children start in their order, and end in the opposite one. If one of them does not start at first, neither does the
/// supervisor. If there are more restarts than the [`Intensity`] allows, the supervisor ends all children and itself, with
/// `shutdown`; its own supervisor decides what then happens.
///
/// While a child starts or ends, the supervisor answers nothing, as in OTP.
#[derive(Debug)]
pub struct Supervisor {
    children: Children,
    first: Vec<ChildSpec>,
    handed: Handed,
}

impl Supervisor {
    /// One without children.
    pub fn new(strategy: Strategy) -> Self {
        Self { children: Children::new(strategy), first: Vec::new(), handed: Handed::default() }
    }

    /// Adds a child, which starts with the supervisor. Its id must be unique.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.first.push(child);
        self
    }

    /// Sets how many restarts are made within which time: one in 5 seconds without this.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.children.set_intensity(intensity);
        self
    }

    /// Sets how many children there may be: 10,000 without this.
    pub fn max_children(mut self, limit: usize) -> Self {
        self.children.set_limit(limit);
        self
    }

    /// A handle by which the program adds children while the supervisor runs.
    pub fn handle(&self) -> super::Handle {
        self.handed.handle()
    }

    /// Starts a child.
    async fn start_child(&mut self, id: &Term, context: &Context) -> Result<Pid, Term> {
        let Some(child) = self.children.find(id) else { return Err(Term::atom("not_found")) };
        let node = context.node().map_err(Stop::into_reason)?;
        let (start, parent) = (child.spec.start.clone(), Parent { node, pid: context.pid().clone() });
        let starting = async move { start(parent).await.map_err(Stop::because) };
        let pid = guarded(starting).await.map_err(Stop::into_reason)?;
        // One that a function has started may not be linked yet.
        context.process().link(&pid).await;
        self.children.started(id, pid.clone());
        Ok(pid)
    }

    /// Adds a child and starts it.
    async fn add(&mut self, spec: ChildSpec, context: &Context) -> Term {
        let (id, record) = (spec.id.clone(), request::record(&spec));
        match self.children.add(spec) {
            Err(NotAdded::Running(pid)) => error(Term::tuple([Term::atom("already_started"), pid.into()])),
            Err(NotAdded::Present) => error(Term::atom("already_present")),
            Err(NotAdded::TooMany) => error(Term::atom("max_children")),
            Ok(()) => match self.start_child(&id, context).await {
                Ok(pid) => started(pid),
                Err(reason) => {
                    self.children.remove(&id);
                    error(Term::tuple([reason, record]))
                }
            },
        }
    }

    async fn carry_out(&mut self, plan: Plan, context: &Context) -> Result<(), Stop> {
        match plan {
            Plan::Nothing => Ok(()),
            Plan::GiveUp => {
                tracing::error!(supervisor = ?context.pid(), "too many restarts: a supervisor ends");
                Err(Stop::shutdown())
            }
            Plan::Restart { end, start } => {
                for child in end {
                    end_all(context, vec![child]).await;
                }
                for id in start {
                    if let Err(reason) = self.start_child(&id, context).await {
                        tracing::error!(supervisor = ?context.pid(), child = ?id, ?reason, "a child has failed to start");
                        self.children.failed(&id);
                        // What has come meanwhile is handled first.
                        context.process().send(context.pid(), &request::retry(&id)).await?;
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Ends a child at the request of somebody.
    async fn terminate_child(&mut self, id: &Term, context: &Context) -> Term {
        let Some(child) = self.children.find(id) else { return error(Term::atom("not_found")) };
        if let State::Running(pid) = &child.state {
            end_all(context, vec![(pid.clone(), child.spec.shutdown)]).await;
        }
        self.children.ended(id);
        Term::atom("ok")
    }

    /// The id of a child that does not run, if that is so.
    fn at_rest(&self, id: &Term) -> Result<(), Term> {
        match self.children.find(id).map(|child| &child.state) {
            Some(State::Ended) => Ok(()),
            Some(State::Running(_)) => Err(error(Term::atom("running"))),
            Some(State::Restarting) => Err(error(Term::atom("restarting"))),
            None => Err(error(Term::atom("not_found"))),
        }
    }

    fn which_children(&self) -> Term {
        // As in OTP, the last one comes first.
        Term::list(self.children.iter().rev().map(|child| {
            let state = match &child.state {
                State::Ended => Term::atom("undefined"),
                State::Running(pid) => pid.clone().into(),
                State::Restarting => Term::atom("restarting"),
            };
            // There are no modules of a BEAM.
            Term::tuple([child.spec.id.clone(), state, child.spec.kind.to_term(), Term::nil()])
        }))
    }
}

impl Server for Supervisor {
    type Call = Term;
    type Reply = Term;
    type Cast = Term;

    async fn init(&mut self, context: &mut Context) -> Result<(), Stop> {
        context.trap_exits();
        self.handed.begin(context.pid());
        for spec in std::mem::take(&mut self.first) {
            let id = spec.id.clone();
            let failure = match self.children.add(spec) {
                Ok(()) => self.start_child(&id, context).await.err(),
                Err(_) => Some(Term::atom("duplicate_child_name")),
            };
            if let Some(reason) = failure {
                self.terminate(&reason, context).await;
                let failed = Term::tuple([Term::atom("failed_to_start_child"), id, reason]);
                return Err(Stop::because(Term::tuple([Term::atom("shutdown"), failed])));
            }
        }
        Ok(())
    }

    async fn handle_call(&mut self, request: Term, _: Caller, context: &mut Context) -> Outcome<Term> {
        reply(match Request::of(&request) {
            Request::WhichChildren => self.which_children(),
            Request::CountChildren => {
                let names = ["specs", "active", "supervisors", "workers"];
                let counts = names.into_iter().zip(self.children.count());
                Term::list(counts.map(|(name, count)| Term::tuple([Term::atom(name), Term::from(count)])))
            }
            Request::Start(spec) => self.add(spec, context).await,
            Request::StartHanded(number) => match self.handed.take(number) {
                Some(spec) => self.add(spec, context).await,
                None => error(Term::atom("not_found")),
            },
            Request::Terminate(id) => self.terminate_child(&id, context).await,
            Request::Restart(id) => match self.at_rest(&id) {
                Ok(()) => match self.start_child(&id, context).await {
                    Ok(pid) => started(pid),
                    Err(reason) => error(reason),
                },
                Err(refusal) => refusal,
            },
            Request::Delete(id) => match self.at_rest(&id) {
                Ok(()) => {
                    self.children.remove(&id);
                    Term::atom("ok")
                }
                Err(refusal) => refusal,
            },
            Request::Spec(id) => match self.children.find(&id) {
                Some(child) => Term::tuple([Term::atom("ok"), request::spec(&child.spec)]),
                None => error(Term::atom("not_found")),
            },
            Request::Invalid(reason) => error(reason),
            Request::Unknown => error(Term::tuple([Term::atom("bad_request"), request])),
        })
    }

    async fn handle_cast(&mut self, request: Term, context: &mut Context) -> Result<(), Stop> {
        let plan = match request::retried(&request) {
            Some(id) => self.children.retry(id, Instant::now()),
            None => Plan::Nothing,
        };
        self.carry_out(plan, context).await
    }

    async fn handle_info(&mut self, message: Message, context: &mut Context) -> Result<(), Stop> {
        let Message::Exit(exit) = message else {
            context.warn_dropped("not for a supervisor");
            return Ok(());
        };
        let reason = exit.reason.decode()?;
        let plan = self.children.exited(&exit.from, &reason, Instant::now());
        if plan != Plan::Nothing {
            tracing::error!(supervisor = ?context.pid(), child = ?exit.from, ?reason, "a child has ended");
        }
        self.carry_out(plan, context).await
    }

    async fn terminate(&mut self, _: &Term, context: &mut Context) {
        for child in self.children.take_running() {
            end_all(context, vec![child]).await;
        }
    }

    fn state(&self) -> Term {
        let Intensity { restarts, period } = self.children.intensity();
        Term::map([
            (Term::atom("strategy"), self.children.strategy().to_term()),
            (Term::atom("intensity"), Term::from(restarts)),
            (Term::atom("period"), Term::from(period.as_secs())),
            (Term::atom("children"), self.which_children()),
        ])
    }
}

fn started(pid: Pid) -> Term {
    Term::tuple([Term::atom("ok"), pid.into()])
}

fn error(reason: Term) -> Term {
    Term::tuple([Term::atom("error"), reason])
}
