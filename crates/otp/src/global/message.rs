//! What the servers of two nodes say to each other, each message in one place.

use std::sync::Arc;

use peerl_node::{Caller, GenRequest};
use peerl_term::{Atom, Pid, Term};

mod membership;
mod request;
mod session;

pub use membership::{KnownNode, LostConnection, NewNodes};
pub use request::Request;
pub use session::{Exchange, InitConnect, InitConnectAck, LockSet, Resolved, Version};

/// A message from server to server that is not a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A node that has come up asks for a session.
    InitConnect(InitConnect),
    /// The session that the sender believes in.
    InitConnectAck(InitConnectAck),
    /// The sender has given up the session of which the receiver has this tag.
    CancelConnect {
        /// The sender.
        node: Atom,
        /// The receiver's tag.
        tag: Term,
    },
    /// The sender's locker has locked its partition, or could not.
    LockSet(LockSet),
    /// The names of the sender's partition, which is locked.
    Exchange(Exchange),
    /// What the sender has found out about names that both partitions have.
    Resolved(Resolved),
    /// Nodes that have joined the sender's partition. All of the partition get the same.
    NewNodes(Arc<NewNodes>),
    /// The sender has learnt of the receiver.
    InSync {
        /// The sender.
        node: Atom,
    },
    /// A node has lost a connection.
    LostConnection(LostConnection),
    /// The sender wants the receiver to end their connection.
    RemoveConnection {
        /// The sender.
        node: Atom,
    },
    /// Who has a name, to be answered as a call.
    Whereis {
        /// The name.
        name: Term,
        /// Who asks.
        from: Caller,
    },
    /// A message of old releases that means nothing any more.
    Obsolete,
}

/// What has come to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A call.
    Call(Caller, Request),
    /// Another message.
    Message(Box<Message>),
}

impl Received {
    /// Reads what has come; gives it back if this version of the protocol does not know it.
    ///
    /// # Errors
    /// The term, if it is none of the protocol's.
    pub fn from_term(term: Term) -> Result<Self, Term> {
        let message = match GenRequest::from_term(term) {
            Ok(GenRequest { from, request }) => {
                return match Request::from_term(&request) {
                    Some(request) => Ok(Self::Call(from, request)),
                    None => Err(request),
                };
            }
            Err(message) => message,
        };
        let read = match message.as_tuple() {
            Some([kind, cast]) if kind.is_atom("$gen_cast") => Message::from_cast(cast),
            _ => Message::from_info(&message),
        };
        read.map(|read| Self::Message(Box::new(read))).ok_or(message)
    }
}

impl Received {
    /// Whether it is about one name or lock, whatever else there is.
    pub(super) fn is_about_one(&self) -> bool {
        match self {
            Self::Call(_, request) => matches!(
                request,
                Request::SetLock(_)
                    | Request::DelLock(_)
                    | Request::Register(_)
                    | Request::RegisterExternal(..)
                    | Request::Unregister(_)
                    | Request::ProtocolVersion
            ),
            Self::Message(message) => matches!(**message, Message::Whereis { .. } | Message::Obsolete),
        }
    }

    /// Whether it says that it is of this node, or does not say of which.
    pub(super) fn is_of(&self, node: &Atom) -> bool {
        let is_own = |pid: &Pid| pid.node == *node;
        match self {
            Self::Call(from, _) => is_own(&from.pid),
            Self::Message(message) => match &**message {
                Message::InitConnect(message) => message.node == *node && is_own(&message.locker),
                Message::InitConnectAck(message) => message.node == *node,
                Message::LockSet(message) => is_own(&message.locker),
                Message::Exchange(message) => message.node == *node,
                Message::Resolved(message) => message.node == *node,
                Message::NewNodes(message) => message.node == *node,
                Message::CancelConnect { node: named, .. }
                | Message::InSync { node: named }
                | Message::RemoveConnection { node: named } => named == node,
                Message::Whereis { from, .. } => is_own(&from.pid),
                // Others pass it on.
                Message::LostConnection(_) | Message::Obsolete => true,
            },
        }
    }
}

impl Message {
    /// The term that is sent to the server of the receiver.
    pub fn to_term(&self) -> Term {
        let cast = |message| Term::tuple([Term::atom("$gen_cast"), message]);
        match self {
            Self::InitConnect(message) => cast(message.to_term()),
            Self::InitConnectAck(message) => message.to_term(),
            Self::CancelConnect { node, tag } => {
                Term::tuple([Term::atom("cancel_connect"), node.clone().into(), tag.clone()])
            }
            Self::LockSet(message) => cast(message.to_term()),
            Self::Exchange(message) => cast(message.to_term()),
            Self::Resolved(message) => cast(message.to_term()),
            Self::NewNodes(message) => cast(message.to_term()),
            Self::InSync { node } => {
                cast(Term::tuple([Term::atom("in_sync"), node.clone().into(), Term::atom("true")]))
            }
            Self::LostConnection(message) => message.to_term(),
            Self::RemoveConnection { node } => Term::tuple([Term::atom("remove_connection"), node.clone().into()]),
            Self::Whereis { name, from } => {
                let from = Term::tuple([from.pid.clone().into(), from.tag.clone()]);
                Term::tuple([Term::atom("whereis"), name.clone(), from])
            }
            Self::Obsolete => cast(Term::tuple([Term::atom("async_del_name"), Term::nil(), Term::nil()])),
        }
    }

    fn from_cast(cast: &Term) -> Option<Self> {
        let parts = cast.as_tuple()?;
        let (kind, rest) = parts.split_first()?;
        match kind.as_atom()?.as_str() {
            "init_connect" => InitConnect::from_parts(rest).map(Self::InitConnect),
            "lock_set" => LockSet::from_parts(rest).map(Self::LockSet),
            "exchange" => Exchange::from_parts(rest).map(Self::Exchange),
            "resolved" => Resolved::from_parts(rest).map(Self::Resolved),
            "new_nodes" => NewNodes::from_parts(rest).map(Arc::new).map(Self::NewNodes),
            "in_sync" => match rest {
                [node, _] => Some(Self::InSync { node: node.as_atom()?.clone() }),
                _ => None,
            },
            "async_del_name" | "async_del_lock" => Some(Self::Obsolete),
            _ => None,
        }
    }

    fn from_info(info: &Term) -> Option<Self> {
        let parts = info.as_tuple()?;
        let (kind, rest) = parts.split_first()?;
        match (kind.as_atom()?.as_str(), rest) {
            ("init_connect_ack", _) => InitConnectAck::from_parts(rest).map(Self::InitConnectAck),
            ("cancel_connect", [node, tag]) => {
                Some(Self::CancelConnect { node: node.as_atom()?.clone(), tag: tag.clone() })
            }
            // A locker that knows of no session with this node answers to this node's locker itself.
            ("lock_set", _) => LockSet::from_parts(rest).map(Self::LockSet),
            ("lost_connection", _) => LostConnection::from_parts(rest).map(Self::LostConnection),
            ("remove_connection", [node]) => Some(Self::RemoveConnection { node: node.as_atom()?.clone() }),
            ("whereis", [name, from]) => {
                let [pid, tag] = from.as_tuple()? else { return None };
                let from = Caller { pid: pid.as_pid()?.clone(), tag: tag.clone() };
                Some(Self::Whereis { name: name.clone(), from })
            }
            _ => None,
        }
    }
}

/// The elements of a list, each read; nothing if it is no list, or one of them cannot be read.
fn each<T>(list: &Term, read: impl Fn(&Term) -> Option<T>) -> Option<Vec<T>> {
    list.as_list()?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::global::{ExternalName, LockId, Operation, Registration};

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 }
    }

    /// The text of what is sent, as `io:format("~p")` prints it.
    fn printed(message: &Message) -> String {
        message.to_term().to_string()
    }

    fn comes_back(message: Message) {
        let read = Received::from_term(message.to_term());
        assert_eq!(read, Ok(Received::Message(Box::new(message))));
    }

    #[test]
    fn messages_come_back() {
        let node = || Atom::from_static("a@h");
        let registration = Registration { name: Term::atom("n"), pid: pid(7), method: Term::nil() };
        let external = ExternalName { name: Term::atom("n"), pid: pid(7), node: node() };
        let known = vec![KnownNode { node: Atom::from_static("c@h"), version: 8 }];
        comes_back(Message::InitConnect(InitConnect {
            version: Version { version: 8, tag: Term::from(3) },
            node: node(),
            locker: pid(60),
        }));
        comes_back(Message::InitConnectAck(InitConnectAck { node: node(), to: Term::from(1), from: Term::from(2) }));
        comes_back(Message::CancelConnect { node: node(), tag: Term::from(1) });
        for tag in [None, Some(Term::from(5))] {
            comes_back(Message::LockSet(LockSet { locker: pid(60), is_set: true, known: vec![], tag }));
        }
        comes_back(Message::Exchange(Exchange { node: node(), names: vec![registration.clone()], tag: Term::from(1) }));
        let operations = vec![Operation::Insert(registration), Operation::Delete(Term::from(1))];
        comes_back(Message::Resolved(Resolved {
            node: node(),
            operations: operations.clone(),
            known: known.clone(),
            external: vec![external.clone()],
            tag: Term::from(1),
        }));
        comes_back(Message::NewNodes(Arc::new(NewNodes {
            node: node(),
            operations,
            external: vec![external],
            nodes: known,
            version: 8,
            lock: Some(LockId::global(Term::nil())),
        })));
        comes_back(Message::InSync { node: node() });
        comes_back(Message::LostConnection(LostConnection {
            node: node(),
            incarnation: 5,
            operation: 6,
            lost: Atom::from_static("b@h"),
        }));
        comes_back(Message::RemoveConnection { node: node() });
        let from = Caller { pid: pid(1), tag: Term::from(1) };
        comes_back(Message::Whereis { name: Term::atom("n"), from });
        comes_back(Message::Obsolete);
    }

    #[test]
    fn are_written_as_otp_writes_them() {
        let message = Message::InitConnectAck(InitConnectAck {
            node: Atom::from_static("b@h"),
            to: Term::from(1),
            from: Term::from(2),
        });
        assert_eq!(printed(&message), "{init_connect_ack,b@h,1,2}");
        let message = Message::InSync { node: Atom::from_static("b@h") };
        assert_eq!(printed(&message), "{'$gen_cast',{in_sync,b@h,true}}");
    }

    #[test]
    fn nobody_speaks_for_others() {
        let read = |message: Term| Received::from_term(message).unwrap();
        let tag = Term::from(1);
        let node = || Term::atom("a@h");
        let cast = |message| Term::tuple([Term::atom("$gen_cast"), message]);
        let from = Term::tuple([pid(1).into(), tag.clone()]);
        let call = |request| Term::tuple([Term::atom("$gen_call"), from.clone(), request]);
        let lock = LockId { resource: Term::atom("r"), requester: Term::from(1) };
        for message in [
            call(Request::SetLock(lock).to_term()),
            call(Request::Known.to_term()),
            Message::CancelConnect { node: Atom::from_static("a@h"), tag: tag.clone() }.to_term(),
            Message::InSync { node: Atom::from_static("a@h") }.to_term(),
            Message::RemoveConnection { node: Atom::from_static("a@h") }.to_term(),
            Message::LockSet(LockSet { locker: pid(1), is_set: true, known: vec![], tag: None }).to_term(),
            Term::tuple([Term::atom("init_connect_ack"), node(), tag.clone(), tag.clone()]),
            Term::tuple([Term::atom("whereis"), Term::atom("n"), from.clone()]),
            cast(Term::tuple([Term::atom("exchange"), node(), Term::nil(), Term::nil(), tag.clone()])),
        ] {
            let received = read(message);
            assert!(received.is_of(&Atom::from_static("a@h")), "{received:?}");
            assert!(!received.is_of(&Atom::from_static("b@h")), "{received:?}");
        }
        // A node tells what another has lost.
        let report = |incarnation| {
            let parts = [Term::atom("lost_connection"), node(), incarnation, Term::from(2), Term::atom("c@h")];
            Term::tuple(parts)
        };
        assert!(read(report(Term::from(1))).is_of(&Atom::from_static("b@h")));
        // It is kept for an hour, and takes little.
        assert!(Received::from_term(report(Term::list(vec![Term::nil(); 1000]))).is_err());
    }

    #[test]
    fn what_is_unknown_comes_back() {
        for text in [Term::atom("known"), Term::tuple([Term::atom("in_sync")]), Term::tuple([])] {
            assert_eq!(Received::from_term(text.clone()), Err(text));
        }
    }
}
