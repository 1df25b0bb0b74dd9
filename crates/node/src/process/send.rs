use std::sync::Arc;

use peerl_proto::channel::Fragments;
use peerl_proto::connection::Payer;
use peerl_proto::control::{Control, Offered, TraceToken, Traceable};
use peerl_proto::node_name::NodeName;
use peerl_term::{Encoded, Pid, RawTerm, Sink, Term, encode};

use crate::inner::Inner;
use crate::kernel::address::Address;
use crate::kernel::connection::{Connection, QueueError};
use crate::kernel::place::Place;
use crate::kernel::process::{Core, Envelope, Message};
use crate::kernel::router::Routed;
use crate::kernel::serving::PeerCalls;
use crate::network::connect_error::ConnectError;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message cannot be a term.
    #[error("the message cannot be encoded")]
    Encode(#[from] peerl_term::serde::Error),
    /// The peer cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended, or the message is too large for the peer.
    #[error("cannot send to {peer}")]
    Connection {
        /// The peer.
        peer: NodeName,
        /// What happened.
        source: QueueError,
    },
    /// The message is for an alias of a node that knows none (before OTP 24).
    #[error("{0} knows no aliases")]
    NoAliases(NodeName),
    /// There is no node of that name.
    #[error("the pid's node name is not one")]
    NodeName(#[from] peerl_proto::node_name::NodeNameError),
}

/// In whose name something is sent.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) core: &'a Core,
    /// The peer that has caused it: to a process of this node it comes as from that one, and counts for it while it waits.
    pub(crate) peer: Option<&'a Arc<PeerCalls>>,
}

/// What is sent, before it is encoded for good.
pub(crate) enum Payload<'a> {
    Encoded(Encoded),
    Term(&'a Term),
    /// Of this program's own making.
    Raw(&'a RawTerm),
    /// `{Tag, Value}`. The value is of this program's own making.
    Tagged(&'a Term, &'a RawTerm),
}

impl Payload<'_> {
    /// About how many bytes it has; of a large term, just enough to see that it is large.
    fn size(&self) -> usize {
        match self {
            Self::Encoded(encoded) => encoded.bytes().len(),
            Self::Term(term) => size(term),
            Self::Raw(raw) => raw.bytes().len(),
            Self::Tagged(tag, value) => size(tag) + value.bytes().len(),
        }
    }

    pub(crate) fn into_raw(self) -> RawTerm {
        match self {
            Self::Encoded(encoded) => encoded.into(),
            Self::Term(term) => RawTerm::encoded_from(term),
            Self::Raw(raw) => raw.clone(),
            Self::Tagged(tag, value) => {
                let mut encoded = Encoded::with_capacity(64 + value.bytes().len());
                put_tag(tag, &mut encoded);
                encoded.put_term(value);
                encoded.into()
            }
        }
    }
}

/// The part of `{Tag, Value}` before the value.
fn put_tag(tag: &Term, sink: &mut impl Sink) {
    encode::tuple_header(2, sink);
    encode::term(tag, sink);
}

fn size(term: &Term) -> usize {
    let mut size = own_size(term);
    // A term without compound elements, as most are, takes no memory here.
    let mut open = Vec::new();
    let mut next = Some(term);
    while let Some(term) = next
        && size <= Fragments::LARGE
    {
        let mut count = |element| {
            size += own_size(element);
            if has_elements(element) {
                open.push(element);
            }
        };
        match term {
            Term::Tuple(elements) => elements.iter().take(ENOUGH).for_each(count),
            Term::List(elements) => elements.iter().take(ENOUGH).for_each(count),
            Term::Map(map) => map.iter().take(ENOUGH).for_each(|(key, value)| {
                count(key);
                count(value);
            }),
            _ => {}
        }
        next = open.pop();
    }
    size
}

/// About how many bytes it has without its elements.
fn own_size(term: &Term) -> usize {
    8 + match term {
        Term::Binary(bytes) => bytes.len(),
        Term::BitString(bits) => bits.bytes().len(),
        Term::Tuple(elements) => elements.len(),
        Term::List(elements) => elements.len(),
        _ => 0,
    }
}

fn has_elements(term: &Term) -> bool {
    matches!(term, Term::Tuple(_) | Term::List(_) | Term::Map(_))
}

/// So many elements make a term large, whatever they are.
const ENOUGH: usize = Fragments::LARGE / 8;

impl Inner {
    /// Connects to the node of a process, unless that is this node or is connected. If that fails, what is done next finds the
    /// node unconnected.
    pub(super) async fn reach(&self, to: Address<'_>) {
        if matches!(self.kernel.place(to), Place::Unconnected)
            && let Ok(node) = NodeName::new(to.node())
        {
            let _ = self.network.connect(&node).await;
        }
    }

    pub(crate) async fn send_from(
        &self,
        from: Author<'_>,
        to: Address<'_>,
        payload: Payload<'_>,
    ) -> Result<(), SendError> {
        let connection = match self.kernel.place(to) {
            Place::Here(process) => {
                self.send_here(from, process, to, payload).await;
                return Ok(());
            }
            Place::Connected(connection) => connection,
            Place::Unconnected => self.network.connect(&NodeName::new(to.node())?).await?,
        };
        send_on(&connection, from.core, to, payload).await
    }

    pub(crate) async fn send_here(
        &self,
        from: Author<'_>,
        process: Option<Arc<Core>>,
        to: Address<'_>,
        payload: Payload<'_>,
    ) {
        let Some(process) = process else { return };
        let Some(message) = envelope(from, payload) else { return self.kernel.no_room(&process) };
        let priority = self.kernel.priority(&process, to);
        let mut routed = self.kernel.deliver(process, message, priority, from.peer);
        while let Routed::Full(process, message) = routed {
            process.room().await;
            routed = self.kernel.deliver(process, message, priority, from.peer);
        }
    }
}

/// A message to a process of this node; none, if the peer that has caused it has no memory left for it.
pub(crate) fn envelope(from: Author<'_>, payload: Payload<'_>) -> Option<Envelope> {
    let message = payload.into_raw();
    let message = match from.peer {
        Some(peer) => peer.measured(message)?,
        None => message,
    };
    Some(Envelope { message: Message::User(message), token: from.core.next_token().map(Box::new) })
}

async fn send_on(connection: &Connection, from: &Core, to: Address<'_>, payload: Payload<'_>) -> Result<(), SendError> {
    match queue_in_turn(connection, from, to, payload).await {
        Ok(Some(())) => Ok(()),
        Ok(None) => Err(SendError::NoAliases(connection.peer.clone())),
        Err(source) => Err(SendError::Connection { peer: connection.peer.clone(), source }),
    }
}

/// Queues a message as soon as the connection is not busy; `None` if it is for an alias and the peer knows none.
pub(super) async fn queue_in_turn(
    connection: &Connection,
    from: &Core,
    to: Address<'_>,
    payload: Payload<'_>,
) -> Result<Option<()>, QueueError> {
    let size = payload.size();
    if size <= Fragments::LARGE || !matches!(payload, Payload::Term(_)) {
        connection.outbox.ready(&from.pid, size).await?;
        return queue(connection, from, to, payload).transpose();
    }
    // Encoded when it has its turn: then its size is known, for which there must be memory.
    connection.outbox.not_busy(&from.pid, size).await?;
    let encoded = payload.into_raw();
    connection.outbox.ready(&from.pid, encoded.bytes().len()).await?;
    queue(connection, from, to, Payload::Raw(&encoded)).transpose()
}

/// Queues a message; `None` if it is for an alias and the peer knows none.
pub(crate) fn queue(
    connection: &Connection,
    from: &Core,
    to: Address<'_>,
    payload: Payload<'_>,
) -> Option<Result<(), QueueError>> {
    let (forms, pid, token) = (&connection.forms, &from.pid, from.next_token());
    let token = token.filter(|token| connection.can_take(&token.label.term()));
    Some(match to {
        Address::Process(to) => queue_traced(connection, pid, forms.send(pid.clone(), to.clone()), token, payload),
        Address::Name(to, _) => queue_traced(connection, pid, forms.reg_send(pid.clone(), to.clone()), token, payload),
        Address::Alias(to, priority) => {
            queue_traced(connection, pid, forms.alias_send(priority, pid.clone(), to.clone())?, token, payload)
        }
    })
}

#[inline]
fn queue_traced<C: Traceable>(
    connection: &Connection,
    from: &Pid,
    control: Offered<C>,
    token: Option<TraceToken>,
    payload: Payload<'_>,
) -> Result<(), QueueError> {
    match token {
        None => queue_as(connection, from, &control, payload),
        Some(token) => queue_as(connection, from, &connection.forms.with_token(control, Some(&token)), payload),
    }
}

fn queue_as(
    connection: &Connection,
    from: &Pid,
    control: &Offered<impl Control>,
    payload: Payload<'_>,
) -> Result<(), QueueError> {
    match payload {
        Payload::Term(term) if size(term) <= Fragments::LARGE => {
            connection.outbox.send(from, control, |out| encode::term(term, out))
        }
        Payload::Tagged(tag, value) if size(tag) <= Fragments::LARGE => {
            connection.outbox.send_parts(from, control, |out| put_tag(tag, out), value, &[], Payer::Queue)
        }
        payload => connection.outbox.send_term(from, control, &payload.into_raw()),
    }
}
