//! Calls by message to `rex`, of nodes that spawn nothing for their peers: C nodes and Jinterface, if their programs answer
//! such messages.
//!
//! `{Pid, {call, Module, Function, Arguments, user}}` is answered by `{rex, Value}` to the pid, which is therefore one of
//! the call alone. These are the messages of `ei_rpc`, and of `rpc` of before OTP 23.

use std::sync::Arc;
use std::time::Duration;

use peerl_term::{Atom, Encoded, RawTerm, Term, encode};
use serde::de::DeserializeOwned;

use super::CallError;
use super::call_error::not_sent;
use super::reply::read;
use crate::inner::Inner;
use crate::kernel::connection::Connection;
use crate::kernel::exception::Exception;
use crate::kernel::process::Message;
use crate::mfa::Mfa;
use crate::process::Process;

/// The default time limit of a call: if no process answers, nothing indicates it.
const LIMIT: Duration = Duration::from_secs(10);

const REX: Atom = Atom::from_static("rex");

/// Whether the caller has said how long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Set,
    Unset,
}

/// Makes a call and waits for its value.
pub(super) async fn call<T: DeserializeOwned>(
    node: &Arc<Inner>,
    connection: &Connection,
    mfa: &Mfa,
    limit: Limit,
) -> Result<T, CallError> {
    let mut process = Process::start(node, Default::default());
    // It fires when the connection is lost; and if there is no `rex`, with a peer that takes monitors.
    let monitor = process.monitor((REX, connection.peer.clone())).await;
    let request = |out: &mut Encoded| {
        encode::tuple_header(2, out);
        encode::pid(process.pid(), out);
        encode_request("call", mfa, out);
    };
    send(&process, connection, request).await?;
    let answer = async {
        loop {
            match process.receive().await {
                Ok(Message::User(payload)) => {
                    if let Some(value) = value_of(&payload) {
                        return value;
                    }
                }
                Ok(Message::Down(down)) if down.reference == monitor => {
                    let is_lost = down.reason.is_atom("noconnection");
                    return Err(if is_lost { connection.calls.end_of_connection().into() } else { CallError::NoRex });
                }
                Ok(_) => {}
                Err(_) => return Err(connection.calls.end_of_connection().into()),
            }
        }
    };
    match limit {
        Limit::Set => answer.await,
        Limit::Unset => tokio::time::timeout(LIMIT, answer).await.unwrap_or(Err(CallError::NoRex)),
    }
}

/// Has a function called, and does not wait for it: `{'$gen_cast', {cast, Module, Function, Arguments, user}}`.
pub(super) async fn cast(node: &Arc<Inner>, connection: &Connection, mfa: &Mfa) -> Result<(), CallError> {
    let process = Process::start(node, Default::default());
    let request = |out: &mut Encoded| {
        encode::tuple_header(2, out);
        encode::atom(&Atom::from_static("$gen_cast"), out);
        encode_request("cast", mfa, out);
    };
    send(&process, connection, request).await
}

/// Writes `{Kind, Module, Function, Arguments, user}`. What is printed goes to the user's terminal there.
fn encode_request(kind: &'static str, mfa: &Mfa, out: &mut Encoded) {
    encode::tuple_header(5, out);
    encode::atom(&Atom::from_static(kind), out);
    mfa.encode_function(out);
    out.put_term(mfa.arguments());
    encode::atom(&Atom::from_static("user"), out);
}

async fn send(process: &Process, connection: &Connection, request: impl FnOnce(&mut Encoded)) -> Result<(), CallError> {
    let mut payload = Encoded::default();
    request(&mut payload);
    connection.outbox.ready(process.pid(), payload.bytes().len()).await.map_err(not_sent)?;
    let control = connection.forms.reg_send(process.pid().clone(), REX);
    connection.outbox.send_term(process.pid(), &control, &payload.into()).map_err(not_sent)
}

/// The value in `{rex, Value}`, or what `{rex, {badrpc, Reason}}` says; nothing, if the message is no answer.
fn value_of<T: DeserializeOwned>(payload: &RawTerm) -> Option<Result<T, CallError>> {
    let is_answer = payload.read(|decoder| Ok(decoder.tuple_header()? == 2 && decoder.atom()? == REX));
    if is_answer != Ok(true) {
        return None;
    }
    Some(read(payload, |decoder| {
        decoder.tuple_header()?;
        decoder.atom()?;
        let mut ahead = decoder.clone();
        if ahead.tuple_header() == Ok(2) && ahead.atom().is_ok_and(|kind| kind == "badrpc") {
            return Err(failure(ahead.term()?));
        }
        Ok(T::deserialize(&mut peerl_term::serde::Deserializer::new(decoder))?)
    }))
}

/// What the reason of a `{badrpc, Reason}` means: `{'EXIT', {Reason, Stack}}` is an exception.
fn failure(reason: Term) -> CallError {
    let Some([kind, exit]) = reason.as_tuple() else { return CallError::Erpc(reason) };
    if !kind.is_atom("EXIT") {
        return CallError::Erpc(reason);
    }
    match exit.as_tuple() {
        Some([error, stack @ Term::List(_)]) => {
            Exception { stack: stack.clone(), ..Exception::error(error.clone()) }.into()
        }
        _ => Exception::exit(exit.clone()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(term: Term) -> Option<Result<Term, CallError>> {
        value_of(&RawTerm::encoded_from(&term))
    }

    fn rex(value: Term) -> Term {
        Term::tuple([Term::atom("rex"), value])
    }

    fn badrpc(reason: Term) -> Term {
        rex(Term::tuple([Term::atom("badrpc"), reason]))
    }

    #[test]
    fn answers() {
        assert_eq!(answer(rex(Term::from(7))).unwrap().unwrap(), Term::from(7));
        assert!(answer(Term::atom("rex")).is_none());
        assert!(answer(Term::tuple([Term::atom("rez"), Term::from(7)])).is_none());
        let exit = |reason| badrpc(Term::tuple([Term::atom("EXIT"), reason]));
        let stack = Term::list([Term::atom("frame")]);
        let error = answer(exit(Term::tuple([Term::atom("badarg"), stack.clone()]))).unwrap().unwrap_err();
        assert!(matches!(error, CallError::Exception(found)
            if found == Exception { stack, ..Exception::error(Term::atom("badarg")) }));
        let error = answer(exit(Term::atom("gone"))).unwrap().unwrap_err();
        assert!(matches!(error, CallError::Exception(found) if found == Exception::exit(Term::atom("gone"))));
        let error = answer(badrpc(Term::atom("nodedown"))).unwrap().unwrap_err();
        assert!(matches!(error, CallError::Erpc(reason) if reason.is_atom("nodedown")));
    }
}
