//! A task: a process that evaluates one function.

use std::time::Duration;

use peerl_node::{Class, Exception, Lease, Message, PeerCall, Pid, Process, Reference, ServedCall, Term};
use peerl_term::RawTerm;
use tokio::time::{Instant, timeout_at};

use super::request::{Assignment, Function, Start};

/// How long a task waits for the message with its function: the caller sends it at once.
const ASSIGNMENT: Duration = Duration::from_secs(5);

pub(super) struct Task {
    pub(super) process: Process,
    pub(super) group_leader: Pid,
    /// The task counts among the calls under way.
    pub(super) served: ServedCall,
}

/// What a task begins with, and the monitor of the owner whose message it waits for.
enum Beginning {
    Message { owner: Pid, monitor: Reference },
    Function { owner: Pid, function: Function },
}

impl Task {
    /// The run of the task, up to the end of its process.
    ///
    /// An owner that is to send the function is monitored now: it may end as soon as it is told the task's pid.
    pub(super) fn begin(self, start: Start) -> impl Future<Output = ()> {
        let beginning = match start {
            Start::Message { owner } => {
                let monitor = self.process.monitor_connected(&owner);
                Beginning::Message { owner, monitor }
            }
            Start::Function { owner, function } => Beginning::Function { owner, function },
        };
        self.run(beginning)
    }

    async fn run(mut self, beginning: Beginning) {
        let reason = match beginning {
            Beginning::Message { owner, monitor } => self.run_for(&owner, &monitor).await,
            Beginning::Function { owner, function } => match self.evaluate(&owner, &function).await {
                Some(Ok(_)) => Term::atom("normal"),
                Some(Err(exception)) => exit_reason(exception),
                None => return,
            },
        };
        self.process.exit(&reason);
    }

    /// Evaluates the function that the owner sends, and sends it the value. Gives the exit reason.
    async fn run_for(&mut self, owner: &Pid, monitor: &Reference) -> Term {
        let (Assignment { tag, reply_to, function }, _kept) = match self.assignment(owner, monitor).await {
            Ok(assigned) => assigned,
            Err(reason) => return reason,
        };
        let value = match self.evaluate(owner, &function).await {
            Some(Ok(value)) => value,
            Some(Err(exception)) => return exit_reason(exception),
            None => return Term::atom("killed"),
        };
        drop(function);
        self.reply(&reply_to, &tag, &value).await;
        Term::atom("normal")
    }

    /// Waits for the message of the owner. It is kept until the value is sent, and counts for its sender.
    ///
    /// # Errors
    /// The exit reason of the task, if none comes, or if the sender has no memory left for it.
    async fn assignment(&mut self, owner: &Pid, monitor: &Reference) -> Result<(Assignment, Option<Lease>), Term> {
        let deadline = Instant::now() + ASSIGNMENT;
        loop {
            let received = timeout_at(deadline, self.process.receive()).await.map_err(|_| Term::atom("timeout"))?;
            match received.map_err(|ended| ended.reason)? {
                Message::User(payload) => {
                    let message = payload.decode().ok();
                    if let Some(assignment) = message.and_then(|message| Assignment::of(&message, owner)) {
                        // The owner may have ended already: what the function receives is its own.
                        self.process.demonitor_and_flush(monitor);
                        let no_room = || Term::atom("system_limit");
                        let peer = self.process.received_from();
                        let kept = peer.map(|peer| peer.lease_for(&payload).ok_or_else(no_room)).transpose()?;
                        return Ok((assignment, kept));
                    }
                }
                Message::Down(down) if down.reference == *monitor => {
                    let reason = down.reason.decode().unwrap_or_else(|_| Term::atom("killed"));
                    return Err(Term::tuple([Term::atom("shutdown"), reason]));
                }
                _ => {}
            }
        }
    }

    /// Evaluates a function; gives nothing if the process is ended meanwhile.
    async fn evaluate(&mut self, owner: &Pid, function: &Function) -> Option<Result<RawTerm, Exception>> {
        let call = PeerCall {
            module: function.module.clone(),
            function: function.name.clone(),
            arguments: function.arguments.clone(),
            node: Some(owner.node.clone()),
            caller: Some(owner.clone()),
            group_leader: Some(self.group_leader.clone()),
            process: self.process.pid().clone(),
        };
        let outcome = self.served.apply_in(&mut self.process, call).await?;
        if let Err(exception) = &outcome
            && !is_ordinary(exception)
        {
            log(self.process.pid(), owner, function, exception);
        }
        Some(outcome)
    }

    /// Sends the value, if the node of its receiver is still connected: a task does not connect nodes again.
    async fn reply(&self, to: &Term, tag: &Term, value: &RawTerm) {
        let sender = self.process.sender();
        let _ = match to {
            Term::Pid(to) => sender.send_value_if_connected(&**to, tag, value).await,
            Term::Reference(alias) => sender.send_value_to_alias_if_connected(alias, tag, value).await,
            _ => return,
        };
    }
}

/// The most characters of a term in a line of the log, and the most callers: peers say what they are.
const SHOWN: usize = 300;
const CALLERS: usize = 5;

fn log(task: &Pid, owner: &Pid, Function { module, name, arguments, callers }: &Function, exception: &Exception) {
    let shown = |term: &Term| term.shown(SHOWN);
    let callers: Vec<&Pid> =
        callers.as_list().unwrap_or_default().iter().filter_map(Term::as_pid).take(CALLERS).collect();
    let function = format!("{}:{}/{}", shown(module), shown(name), arguments.as_list().map_or(0, <[Term]>::len));
    let reason = shown(&exception.reason);
    tracing::error!(?task, ?owner, ?callers, function, class = ?exception.class, reason, "a task has failed");
}

/// Whether Elixir logs nothing of it.
fn is_ordinary(exception: &Exception) -> bool {
    let reason = &exception.reason;
    exception.class == Class::Exit
        && match reason.as_tuple() {
            Some([kind, _]) => kind.is_atom("shutdown"),
            _ => reason.is_atom("normal") || reason.is_atom("shutdown"),
        }
}

/// The reason with which a process ends that does not catch the exception.
fn exit_reason(exception: Exception) -> Term {
    let Exception { class, reason, stack } = exception;
    match class {
        Class::Error => Term::tuple([reason, stack]),
        Class::Exit => reason,
        Class::Throw => Term::tuple([Term::tuple([Term::atom("nocatch"), reason]), stack]),
    }
}
