use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::time::Duration;

use peerl_node::{Caller, Ended, Message, Peer, Pid, Term};
use peerl_term::{Decoder, Limits, RawTerm};
use serde::de::DeserializeOwned;

use super::context::{Context, ExitSignals};
use super::guarded::guarded;
use super::message::Received;
use super::system::{self, Control, Mode};
use super::{Answer, Server, Stop};

/// Receives messages until the server ends; returns the exit reason.
pub(super) async fn run<S: Server>(server: S, context: Context) -> Term {
    let mut state = State { server, context, control: Control::default() };
    let reason = match state.receive().await {
        // The process has already ended: it was killed, or its node stops.
        Err(LoopEnd::Signal(Ended { reason })) => return reason,
        Err(LoopEnd::Stop(stop)) => stop.into_reason(),
        Ok(never) => match never {},
    };
    let State { mut server, mut context, .. } = state;
    let cleaned_up = guarded(async {
        server.terminate(&reason, &mut context).await;
        Ok(())
    });
    let reason = match cleaned_up.await {
        Ok(()) => reason,
        Err(stop) => stop.into_reason(),
    };
    if !is_ordinary(&reason) {
        tracing::error!(server = ?context.pid(), ?reason, "a server has ended");
    }
    context.process.exit(&reason);
    reason
}

/// Whether OTP makes no crash report for this reason.
fn is_ordinary(reason: &Term) -> bool {
    let name = match reason {
        Term::Tuple(parts) => parts.first(),
        reason => Some(reason),
    };
    name.is_some_and(|name| name.is_atom("shutdown") || (name.is_atom("normal") && name == reason))
}

struct State<S> {
    server: S,
    context: Context,
    control: Control,
}

enum LoopEnd {
    Signal(Ended),
    Stop(Stop),
}

impl From<Stop> for LoopEnd {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Goes on with what goes through the term of a long message, where nothing else waits for it.
async fn working<T>(long: Option<RawTerm>, work: impl Future<Output = T>) -> T {
    let Some(long) = long else { return work.await };
    let mut work = Box::pin(work);
    let done = poll_fn(|context| long.work(|| work.as_mut().poll(context))).await;
    long.work(|| drop(work));
    done
}

impl<S: Server> State<S> {
    async fn receive(&mut self) -> Result<Infallible, LoopEnd> {
        loop {
            while std::mem::take(&mut self.context.continues) {
                guarded(self.server.handle_continue(&mut self.context)).await?;
            }
            let limit = self.context.timeout.take();
            if let Mode::Suspended { by } = &self.control.mode {
                let by = by.clone();
                self.handle_system(by.as_ref()).await?;
                self.context.timeout = limit;
                continue;
            }
            let (size, long, next) = self.next(limit).await?;
            match next {
                None => guarded(self.server.handle_timeout(&mut self.context)).await?,
                Some(Received::System(from, request)) => {
                    // As in OTP, a system message does not cancel a time-out: its time begins anew.
                    self.context.timeout = limit;
                    self.system(&from, &request).await?;
                }
                Some(Received::Exit(from, reason, _)) if Some(&from) == self.context.parent.as_ref() => {
                    return Err(Stop::because(reason).into());
                }
                Some(received) if self.control.debug.is_active() => {
                    working(long, self.handle_recorded(size, received)).await?;
                }
                Some(received) => working(long, self.handle(received)).await.map(drop)?,
            }
        }
    }

    /// The next message, its size in bytes, and its term if that is a long one; no message after a time-out.
    async fn next(&mut self, limit: Option<Duration>) -> Result<(usize, Option<RawTerm>, Option<Received>), LoopEnd> {
        let message = match limit {
            Some(limit) => tokio::time::timeout(limit, self.context.process.receive()).await.ok(),
            None => Some(self.context.process.receive().await),
        };
        let message = message.transpose().map_err(LoopEnd::Signal)?;
        self.context.received_from = self.context.process.received_from().cloned();
        let (size, long) = match &message {
            Some(Message::User(payload)) => (payload.bytes().len(), payload.is_long().then(|| payload.clone())),
            _ => (0, None),
        };
        Ok((size, long, message.map(Received::of)))
    }

    /// Handles the next system message of a suspended server. All others stay in the mailbox, and count there for their senders. A
    /// server that a peer has suspended is resumed when the peer has gone.
    async fn handle_system(&mut self, by: Option<&Peer>) -> Result<(), LoopEnd> {
        let Context { process, parent, .. } = &mut self.context;
        let gone = async {
            match by {
                Some(peer) => peer.disconnected().await,
                None => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            biased;
            () = gone => {
                self.control.mode = Mode::Running;
                return Ok(());
            }
            message = process.receive_only(|message| comes_while_suspended(message, parent.as_ref())) => message,
        };
        let message = message.map_err(LoopEnd::Signal)?;
        self.context.received_from = self.context.process.received_from().cloned();
        match Received::of(message) {
            Received::System(from, request) => self.system(&from, &request).await,
            Received::Exit(_, reason, _) => Err(Stop::because(reason).into()),
            _ => {
                self.context.warn_dropped("a system message that is none");
                Ok(())
            }
        }
    }

    async fn system(&mut self, from: &Caller, request: &Term) -> Result<(), LoopEnd> {
        let Self { server, context, control } = self;
        match system::handle(server, context, control, from, request).await {
            Some(reason) => Err(Stop::because(reason).into()),
            None => Ok(()),
        }
    }

    /// Handles a message, and records it for `sys`.
    async fn handle_recorded(&mut self, size: usize, received: Received) -> Result<(), Stop> {
        let pid = self.context.pid().clone();
        if let Some(message) = received.term() {
            self.control.debug.received(&pid, size, message);
        }
        match self.handle(received).await? {
            Some((from, reply)) => {
                let to = Term::tuple([from.pid.into(), from.tag]);
                self.control.debug.replied(&pid, reply, to, self.server.state());
            }
            None => self.control.debug.handled(&pid, self.server.state()),
        }
        Ok(())
    }

    /// Handles a message. Gives the reply that was sent, if replies are recorded.
    async fn handle(&mut self, received: Received) -> Result<Option<(Caller, Term)>, Stop> {
        match received {
            Received::Call(from, request) => return self.call(from, &request).await,
            Received::Cast(request) => match read(&request) {
                Ok(request) => guarded(self.server.handle_cast(request, &mut self.context)).await?,
                Err(error) => {
                    self.context.warn_dropped(format_args!("a cast of another type than this server's: {error}"));
                }
            },
            Received::Exit(_, reason, message) => match self.context.exits {
                ExitSignals::Trap => self.info(message).await?,
                ExitSignals::End if reason.is_atom("normal") => {}
                ExitSignals::End => return Err(Stop::because(reason)),
            },
            Received::Info(message) => self.info(message).await?,
            // System messages are handled elsewhere.
            Received::System(..) | Received::Malformed => {}
        }
        Ok(None)
    }

    async fn info(&mut self, message: Message) -> Result<(), Stop> {
        guarded(self.server.handle_info(message, &mut self.context)).await
    }

    async fn call(&mut self, from: Caller, request: &Term) -> Result<Option<(Caller, Term)>, Stop> {
        let request = match read(request) {
            Ok(request) => request,
            Err(error) => {
                let why = Term::tuple([Term::atom("bad_request"), Term::from(error.to_string())]);
                let reply = Term::tuple([Term::atom("error"), why]);
                self.context.reply(&from, &reply)?;
                return Ok(Some((from, reply)));
            }
        };
        match guarded(self.server.handle_call(request, from.clone(), &mut self.context)).await? {
            Answer::Reply(reply) => {
                self.context.reply(&from, &reply)?;
                let recorded = self.control.debug.is_active();
                Ok(if recorded { Some((from, peerl_term::serde::to_term(&reply)?)) } else { None })
            }
            Answer::Later => Ok(None),
        }
    }
}

/// Whether a suspended server takes a message: the exit signal of its parent, and `{system, From, Request}`, of which only the
/// beginning is looked at.
fn comes_while_suspended(message: &Message, parent: Option<&Pid>) -> bool {
    match message {
        Message::User(payload) => {
            let mut decoder = Decoder::new(payload.bytes(), payload.atoms(), &Limits::default());
            decoder.tuple_header().is_ok_and(|arity| arity == 3) && decoder.atom().is_ok_and(|kind| kind == "system")
        }
        Message::Exit(exit) => Some(&exit.from) == parent,
        _ => false,
    }
}

fn read<T: DeserializeOwned>(request: &Term) -> Result<T, peerl_term::serde::Error> {
    peerl_term::serde::from_term(request)
}
