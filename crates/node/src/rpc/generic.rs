//! The call of `gen_server` and its kin, from both sides.
//!
//! Erlang docs: *OTP Design Principles*; the messages themselves are those of stdlib's module `gen`.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use peerl_proto::channel::MessageBuffer;
use peerl_proto::connection::Payer;
use peerl_proto::control::{Priority, ProcessId};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Encoded, Pid, RawTerm, Term, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CallError;
use super::call::within;
use super::call_error::not_sent;
use super::reply::read;
use crate::inner::Inner;
use crate::kernel::address::Address;
use crate::kernel::connection::{Answer, Connection, Sender};
use crate::kernel::place::Place;
use crate::kernel::process::{MailboxPolicy, Message};
use crate::kernel::reply_tag::{alias_tag, reply_tag};
use crate::kernel::signal::Delivery;
use crate::node::Node;
use crate::process::{Author, Destination, Ended, Payload, Process, envelope, queue};

/// A `gen_server:call` that is about to be made. It is made when it is awaited.
#[must_use = "a call is made when it is awaited"]
#[derive(Debug)]
pub struct GenCall<T> {
    node: Node,
    to: Destination,
    request: Result<RawTerm, peerl_term::serde::Error>,
    label: CallLabel,
    caller: Option<Pid>,
    timeout: Option<Duration>,
    reply: PhantomData<fn() -> T>,
}

/// The first element of a call's message, by which the called process tells what kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CallLabel {
    /// `'$gen_call'`: a call of a server, a state machine or a supervisor.
    #[default]
    Request,
    /// `system`: a call of `sys`, which any process of OTP answers.
    System,
    /// The pid of the caller: a call of an event manager.
    Caller,
}

impl Node {
    /// Calls a `gen_server`, or another process that answers `gen` calls, of a peer or of this node, as
    /// `gen_server:call/2`.
    pub fn gen_call<T: DeserializeOwned>(&self, to: impl Into<Destination>, request: &impl Serialize) -> GenCall<T> {
        let mut encoded = Encoded::default();
        let request = peerl_term::serde::to_sink(request, &mut encoded).map(|()| encoded.into());
        self.gen_call_of(to.into(), request)
    }

    /// Calls as [`gen_call`](Self::gen_call) does, with a request that is encoded already: calls of many nodes share one.
    pub fn gen_call_raw<T: DeserializeOwned>(&self, to: impl Into<Destination>, request: &RawTerm) -> GenCall<T> {
        self.gen_call_of(to.into(), Ok(request.clone()))
    }

    fn gen_call_of<T>(&self, to: Destination, request: Result<RawTerm, peerl_term::serde::Error>) -> GenCall<T> {
        GenCall {
            node: self.clone(),
            to,
            request,
            label: CallLabel::default(),
            caller: None,
            timeout: None,
            reply: PhantomData,
        }
    }
}

impl<T> GenCall<T> {
    /// Names this process of this node as the caller, such as [the one](crate::CallContext::pid) that evaluates a function: what
    /// the called process does for its caller, it does for that one. The reply comes here all the same, if the called process
    /// answers to aliases, as all do that use `gen_server:reply/2` of OTP 24 or later.
    pub fn on_behalf_of(mut self, caller: &Pid) -> Self {
        self.caller = Some(caller.clone());
        self
    }

    /// Sets what kind of call it is. Without this it is a [request](CallLabel::Request).
    pub fn label(mut self, label: CallLabel) -> Self {
        self.label = label;
        self
    }

    /// Sets how long to wait. Without this the wait lasts as long as the connection and the called process; a node that takes
    /// no monitors (nodes on `ei`, Jinterface) does not tell the end of the process, and has 5 seconds, as
    /// `gen_server:call/2` gives.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for GenCall<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.request?;
            let node = &self.node.inner;
            let message = Request { label: self.label, caller: self.caller.as_ref(), request: &request };
            match self.timeout {
                None => make(node, self.to, message, Some(UNMONITORED)).await,
                Some(timeout) => within(timeout, make(node, self.to, message, None)).await,
            }
        })
    }
}

/// The default time limit of a call to a process that cannot be monitored.
const UNMONITORED: Duration = Duration::from_secs(5);

/// What a call says.
#[derive(Clone, Copy)]
struct Request<'a> {
    label: CallLabel,
    caller: Option<&'a Pid>,
    request: &'a RawTerm,
}

const GEN_CALL: Atom = Atom::from_static("$gen_call");
const SYSTEM: Atom = Atom::from_static("system");

/// Makes the call. If the process cannot be monitored, the wait lasts for `unmonitored` at most.
async fn make<T: DeserializeOwned>(
    node: &Arc<Inner>,
    to: Destination,
    message: Request<'_>,
    unmonitored: Option<Duration>,
) -> Result<T, CallError> {
    let Request { label, caller, request } = message;
    let address = to.address(&node.kernel.identity);
    let connection = match node.kernel.place(address) {
        Place::Here(_) => return make_here(node, to, message).await,
        Place::Connected(connection) => connection,
        Place::Unconnected => match NodeName::new(address.node()) {
            Ok(peer) => Box::pin(node.network.connect(&peer)).await?,
            Err(_) => return Err(CallError::Signal(Term::atom("noproc"))),
        },
    };
    let Some(target) = address.process_id() else { return Err(CallError::Signal(Term::atom("noproc"))) };
    let number = node.kernel.identity.next_reference_number();
    let sender = Sender::call(number);
    if connection.outbox.ready(sender, request.bytes().len()).await.is_err() {
        return Err(connection.calls.end_of_connection().into());
    }
    let reference = node.kernel.identity.reference(number);
    let answer = connection.calls.start(number)?;
    let guard = Waiting { node, connection: &connection, number, target: &target };
    let monitor = connection.send_monitor(node.kernel.requester.clone(), target.clone(), reference.clone());
    let limit = if monitor.map_err(not_sent)? == Delivery::Done { None } else { unmonitored };
    let alias = connection.flags.contains(DistributionFlags::ALIAS);
    let start = |out: &mut MessageBuffer<'_>| {
        let caller = caller.unwrap_or(&node.kernel.requester);
        encode::tuple_header(3, out);
        match label {
            CallLabel::Request => encode::atom(&GEN_CALL, out),
            CallLabel::System => encode::atom(&SYSTEM, out),
            CallLabel::Caller => encode::pid(caller, out),
        }
        encode::tuple_header(2, out);
        encode::pid(caller, out);
        if alias {
            encode::list_header(1, out);
            encode::atom(&Atom::from_static("alias"), out);
        }
        encode::reference(&reference, out);
    };
    let from = node.kernel.requester.clone();
    let sent = match &target {
        ProcessId::Pid(to) => connection.outbox.send_parts(
            sender,
            &connection.forms.send(from, to.clone()),
            start,
            request,
            &[],
            Payer::Queue,
        ),
        ProcessId::Name(to) => connection.outbox.send_parts(
            sender,
            &connection.forms.reg_send(from, to.clone()),
            start,
            request,
            &[],
            Payer::Queue,
        ),
    };
    sent.map_err(not_sent)?;
    let answer = match limit {
        None => answer.await,
        Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| CallError::Timeout(limit))?,
    };
    match answer.unwrap_or_else(|_| Answer::Disconnected(connection.calls.end_of_connection())) {
        Answer::Reply(reply) => {
            guard.demonitor();
            value(&reply)
        }
        Answer::Down(reason) => Err(CallError::Signal(reason.decode()?)),
        other => Err(other.into()),
    }
}

/// Calls a process of this node.
async fn make_here<T: DeserializeOwned>(
    node: &Arc<Inner>,
    to: Destination,
    Request { label, caller, request }: Request<'_>,
) -> Result<T, CallError> {
    let mut asking = Process::start(node, MailboxPolicy::default());
    let monitor = asking.monitor(to.clone()).await;
    let (from, tag) = match caller {
        None => (asking.pid(), monitor.clone()),
        Some(caller) => (caller, asking.alias()),
    };
    let marked = match caller {
        None => tag.clone().into(),
        Some(_) => Term::list_with_tail([Term::atom("alias")], tag.clone().into()),
    };
    let label = match label {
        CallLabel::Request => GEN_CALL.into(),
        CallLabel::System => SYSTEM.into(),
        CallLabel::Caller => from.clone().into(),
    };
    let from = Term::tuple([from.clone().into(), marked]);
    let call = Term::tuple([label, from, request.decode()?]);
    // A process that is not there is told by the monitor.
    let _ = asking.send_term(to, &call).await;
    loop {
        match asking.receive().await {
            Ok(Message::User(reply)) if reply_tag(&reply).as_ref() == Some(&tag) => return value(&reply),
            Ok(Message::Down(down)) if down.reference == monitor => {
                return Err(CallError::Signal(down.reason.decode()?));
            }
            Ok(_) => {}
            Err(Ended { reason }) => return Err(CallError::Signal(reason)),
        }
    }
}

/// The reply in `{Tag, Reply}`.
fn value<T: DeserializeOwned>(reply: &RawTerm) -> Result<T, CallError> {
    read(reply, |decoder| {
        decoder.tuple_header()?;
        decoder.skip_term()?;
        Ok(T::deserialize(&mut peerl_term::serde::Deserializer::new(decoder))?)
    })
}

/// A call that is under way. If it is dropped before the answer, its monitor is removed.
struct Waiting<'a> {
    node: &'a Inner,
    connection: &'a Connection,
    number: u64,
    target: &'a ProcessId,
}

impl Waiting<'_> {
    fn demonitor(&self) {
        let reference = self.node.kernel.identity.reference(self.number);
        let _ = self.connection.send_demonitor(self.node.kernel.requester.clone(), self.target.clone(), reference);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.connection.calls.abandon(self.number) {
            self.demonitor();
        }
    }
}

/// A call that a process of this node has received: `{'$gen_call', From, Request}`.
#[derive(Debug, Clone)]
pub struct GenRequest {
    /// Who called, to be answered with [`Process::reply`].
    pub from: Caller,
    /// What is asked.
    pub request: Term,
}

/// Who has made a `gen` call, and how the reply is to be marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The process that waits.
    pub pid: Pid,
    /// What the reply carries, so that the caller knows which call it answers.
    pub tag: Term,
}

impl GenRequest {
    /// Takes a message for a `gen` call; gives it back if it is none.
    ///
    /// # Errors
    /// The message, if it is not `{'$gen_call', {Pid, Tag}, Request}`.
    pub fn from_term(message: Term) -> Result<Self, Term> {
        let from = match message.as_tuple() {
            Some([kind, from, _]) if kind.is_atom("$gen_call") => Caller::from_term(from),
            _ => None,
        };
        match (from, message) {
            // The request may be large: it is not copied.
            (Some(from), Term::Tuple(parts)) => {
                Ok(Self { from, request: parts.into_vec().pop().unwrap_or_else(Term::nil) })
            }
            (_, message) => Err(message),
        }
    }
}

impl Caller {
    /// The caller in `{Pid, Tag}`, if it is one.
    pub fn from_term(from: &Term) -> Option<Self> {
        match from.as_tuple()? {
            [Term::Pid(pid), tag] => Some(Self { pid: (**pid).clone(), tag: tag.clone() }),
            _ => None,
        }
    }
}

/// Why a reply was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the reply cannot be encoded")]
pub struct ReplyError(#[from] peerl_term::serde::Error);

impl Process {
    /// Answers a `gen` call. A reply to a caller that has ended or given up is dropped.
    ///
    /// # Errors
    /// If the reply cannot be a term.
    pub fn reply(&self, to: &Caller, reply: &impl Serialize) -> Result<(), ReplyError> {
        self.inner().reply(self.author(), to, reply)
    }
}

impl Inner {
    /// Sends `{Tag, Reply}`, to the caller's alias if it has one.
    pub(crate) fn reply(&self, from: Author<'_>, to: &Caller, reply: &impl Serialize) -> Result<(), ReplyError> {
        let mut message = Encoded::default();
        encode::tuple_header(2, &mut message);
        encode::term(&to.tag, &mut message);
        peerl_term::serde::to_sink(reply, &mut message)?;
        self.reply_with(from, to, Payload::Encoded(message));
        Ok(())
    }

    /// Sends the message that answers a `gen` call, to the caller's alias if it has one.
    pub(crate) fn reply_with(&self, from: Author<'_>, to: &Caller, message: Payload<'_>) {
        let own_alias = alias_tag(&to.tag).filter(|alias| self.kernel.identity.is_own(alias.node()));
        let address =
            own_alias.as_ref().map_or(Address::Process(&to.pid), |alias| Address::Alias(alias, Priority::Ordinary));
        let connection = match self.kernel.place(address) {
            Place::Here(process) => {
                let Some(process) = process else { return };
                let Some(message) = envelope(from, message) else { return self.kernel.no_room(&process) };
                let _ = process.deliver(message, Priority::Ordinary, from.peer);
                return;
            }
            Place::Connected(connection) => connection,
            Place::Unconnected => return,
        };
        // The caller may have been named by another node.
        if connection.never_made(&to.pid) || !connection.can_take(&to.tag) {
            return;
        }
        let alias = alias_tag(&to.tag).filter(|_| connection.flags.contains(DistributionFlags::ALIAS));
        let address =
            alias.as_ref().map_or(Address::Process(&to.pid), |alias| Address::Alias(alias, Priority::Ordinary));
        // A caller whose connection has ended waits no more.
        let queued = queue(&connection, from.core, address, message);
        let _ = connection.outbox.end_if_lost(queued.unwrap_or(Ok(())));
    }
}
