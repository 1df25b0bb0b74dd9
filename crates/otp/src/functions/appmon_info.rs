//! `appmon_info`: what the Applications tab of observer asks a node for. There are no applications here.

use peerl_node::{CallContext, Message, Node, Pid, Process};
use peerl_term::{AtomError, Term};

use super::place_of;
use crate::places::Places;

/// The most processes that answer observers, of which a peer has as many as it leaves for the others.
const ANSWERING: usize = 64;

/// `appmon_info:start_link2(Starter, Client, Options)`, which observer calls. Its process answers that there are no applications,
/// and ends with its client.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    let places = Places::new(ANSWERING);
    node.export("appmon_info", "start_link2", move |context: CallContext, (_, client, _): (Term, Pid, Term)| {
        let place = place_of(&context, &places);
        async move {
            let place = place?;
            let process = context.node()?.process();
            process.trap_exit(true);
            process.tell_senders();
            // Unlike a link, it does not make this node connect with whatever node the caller names.
            process.monitor_connected(&client);
            let started = Term::tuple([Term::atom("ok"), process.pid().clone().into()]);
            tokio::spawn(async move {
                answer(process, &client).await;
                drop(place);
            });
            Ok(started)
        }
    })
}

/// Answers until the client has ended, or wants no more.
async fn answer(mut process: Process, client: &Pid) {
    while let Ok(message) = process.receive().await {
        match message {
            Message::Down(_) => return,
            Message::Exit(exit) if exit.from == *client => return,
            Message::User(_) => {
                let Ok(message) = message.into_term() else { continue };
                if let Some((to, delivery)) = delivery(process.pid(), &message)
                    && let Err(error) = process.send_connected(&to, &delivery)
                {
                    tracing::debug!(%error, "nobody waits for the applications");
                }
            }
            _ => {}
        }
    }
}

/// The answer to `{'$gen_cast', {From, Question, About, true, Options}}`: `{delivery, Self, Question, About, Nothing}`.
fn delivery(own: &Pid, message: &Term) -> Option<(Pid, Term)> {
    let [kind, request] = message.as_tuple()? else { return None };
    let [from, question, about, on, _] = request.as_tuple()? else { return None };
    if !kind.is_atom("$gen_cast") || !on.is_atom("true") {
        return None;
    }
    let nothing = match question.as_atom()?.as_str() {
        "app_ctrl" => Term::nil(),
        // The tree of an application that does not run.
        "app" => Term::tuple([Term::nil(), Term::nil(), Term::nil(), Term::nil()]),
        _ => return None,
    };
    let delivery = [Term::atom("delivery"), own.clone().into(), question.clone(), about.clone(), nothing];
    Some((from.as_pid()?.clone(), Term::tuple(delivery)))
}
