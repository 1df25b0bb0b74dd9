//! The group leader of what this node has others do: what they print comes here.
//!
//! Erlang docs: *stdlib*, "The Erlang I/O Protocol".

use std::sync::Arc;

use peerl_term::{Pid, Term};

use crate::node::Inner;
use crate::process::{Message, Process};

/// What is done with text that peers print.
pub(crate) type Output = Arc<dyn Fn(&str) + Send + Sync>;

pub(super) fn start(node: &Arc<Inner>) {
    let mut process = Process::start(node, Default::default());
    node.set_group_leader(process.pid().clone());
    tokio::spawn(async move {
        while let Ok(message) = process.receive().await {
            let Message::User(payload) = message else { continue };
            let Ok(message) = payload.decode() else { continue };
            let Some((from, reply_as, request)) = io_request(&message) else { continue };
            let reply = Term::tuple([Term::atom("io_reply"), reply_as, perform(process.inner(), request)]);
            process.inner().answer_from(process.pid(), &from, &reply).await;
        }
    });
}

/// The parts of `{io_request, From, ReplyAs, Request}`.
fn io_request(message: &Term) -> Option<(Pid, Term, &Term)> {
    match message.as_tuple()? {
        [kind, Term::Pid(from), reply_as, request] if kind.is_atom("io_request") => {
            Some(((**from).clone(), reply_as.clone(), request))
        }
        _ => None,
    }
}

fn perform(node: &Inner, request: &Term) -> Term {
    let not_supported = || Term::tuple([Term::atom("error"), Term::atom("enotsup")]);
    let Some(parts) = request.as_tuple() else { return not_supported() };
    match parts {
        [kind, encoding, characters] if kind.is_atom("put_chars") => {
            print(node, characters, encoding.is_atom("latin1"))
        }
        [kind, characters] if kind.is_atom("put_chars") => print(node, characters, true),
        // The device is asked to format. Only what is text already can be printed without a formatter.
        [kind, encoding, module, function, Term::List(arguments)] if kind.is_atom("put_chars") => {
            match crate::format::characters(module, function, arguments) {
                Some(text) => print(node, &Term::from(text), encoding.is_atom("latin1")),
                None => Term::tuple([Term::atom("error"), Term::tuple([Term::atom("error"), function.clone()])]),
            }
        }
        [kind, Term::List(requests)] if kind.is_atom("requests") => {
            let mut last = Term::atom("ok");
            for request in requests {
                last = perform(node, request);
                if !last.is_atom("ok") {
                    break;
                }
            }
            last
        }
        _ => not_supported(),
    }
}

fn print(node: &Inner, characters: &Term, latin1: bool) -> Term {
    match crate::format::chardata(characters, latin1) {
        Some(text) => {
            node.print(&text);
            Term::atom("ok")
        }
        None => Term::tuple([Term::atom("error"), Term::atom("badarg")]),
    }
}
