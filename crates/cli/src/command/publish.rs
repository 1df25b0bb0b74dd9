//! `peerl publish`: a message to all subscribers of a Phoenix.PubSub.

use clap::Args;
use peerl_node::{CallError, ErrorChain, Mfa, Node, NodeName, Pid};
use peerl_phoenix::{Event, Pool, PubSub};
use peerl_term::text::Syntax;
use peerl_term::{Atom, Term};
use serde::Serialize;

use crate::command_node::{self, Role};
use crate::failure::{Failure, Status};
use crate::output::{Lines, Output};
use crate::phoenix::{self, Groups};
use crate::settings::Settings;

/// Broadcast a message to the subscribers of a Phoenix.PubSub on all nodes of a cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl publish --pubsub MyApp.PubSub --topic orders --message '{:order_created, 7}' --node app@10.0.0.5
  peerl publish --pubsub MyApp.PubSub --topic room:1 --event new_msg --message '%{body: \"hi\"}' --node app@10.0.0.5

The message is written in Elixir, or else in Erlang. The cluster is all nodes with that PubSub that the node is connected
with, itself included; each gets the message once, and tells all its subscribers. With --event it is a
%Phoenix.Socket.Broadcast{}, which each channel of the topic pushes to its websocket.
Prints the nodes that it was sent to; exits with 2 if one of them could not be reached.")]
pub(super) struct Publish {
    /// The name of the PubSub: MyApp.PubSub, or :my_pubsub if it is no module.
    #[arg(long, value_name = "NAME")]
    pubsub: String,

    /// The topic.
    #[arg(long)]
    topic: String,

    /// The message, or the payload of the event.
    #[arg(long, value_name = "TERM")]
    message: String,

    /// A node of the cluster.
    #[arg(long)]
    node: NodeName,

    /// Send the message as this event of a channel.
    #[arg(long)]
    event: Option<String>,

    /// The Elixir module that dispatches the message to the subscribers; each node has to have it [default:
    /// Phoenix.Channel.Server for a %Phoenix.Socket.Broadcast{}, else Phoenix.PubSub].
    #[arg(long, value_name = "MODULE")]
    dispatcher: Option<String>,
}

#[derive(Serialize)]
struct Published {
    nodes: Vec<String>,
    failed: Vec<Unreached>,
}

#[derive(Serialize)]
struct Unreached {
    node: String,
    error: String,
}

impl Publish {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let pool = phoenix::pool(&self.pubsub)?;
        let message = self.forward_to_local()?;
        let node = command_node::start(settings, Role::Guest, std::slice::from_ref(&self.node)).await?;
        let published = self.publish(&node, &pool, &message).await;
        node.shutdown().await;
        let published = published?;
        output.value(&published, || {
            let failed = published.failed.iter().map(|one| format!("{} could not be reached: {}", one.node, one.error));
            published.nodes.iter().cloned().chain(failed).collect::<Lines>()
        })?;
        Ok(match (published.nodes.is_empty(), published.failed.is_empty()) {
            (_, true) => Status::Success,
            (false, false) => Status::Partial,
            (true, false) => Status::Failed,
        })
    }

    /// What the workers are sent.
    fn forward_to_local(&self) -> Result<Term, Failure> {
        let message = term(&self.message)?;
        let message = match &self.event {
            Some(event) => Event { topic: self.topic.clone(), event: event.clone(), payload: message }.into(),
            None => message,
        };
        let dispatcher = match &self.dispatcher {
            Some(module) if module.starts_with(':') => module[1..].to_owned(),
            Some(module) => format!("Elixir.{}", module.trim_start_matches("Elixir.")),
            None if Event::from_term(&message).is_some() => Event::DISPATCHER.to_owned(),
            None => PubSub::DISPATCHER.to_owned(),
        };
        let dispatcher = Atom::new(&dispatcher).map_err(|error| Failure::usage(format!("--dispatcher: {error}")))?;
        Ok(peerl_phoenix::forward_to_local(&self.topic, message, &dispatcher))
    }

    /// Has the node send the message: it is connected with all of them, also with guests, whom nobody else can reach.
    async fn publish(&self, node: &Node, pool: &Pool, message: &Term) -> Result<Published, Failure> {
        let mut published = Published { nodes: Vec::new(), failed: Vec::new() };
        for worker in Groups::of(node, &self.node, pool).await?.workers(pool) {
            let name = worker.node.as_str().to_owned();
            let send = [Term::from(worker.clone()), message.clone()];
            let send = Mfa::with_terms(Atom::from_static("erlang"), Atom::from_static("send"), send.into());
            let sent = match node.call::<Term>(&self.node, send).await {
                Err(CallError::Exception(exception)) if exception.reason.is_atom("undef") => {
                    directly(node, &worker, message).await
                }
                sent => sent.map(drop).map_err(|error| ErrorChain(&error).to_string()),
            };
            match sent {
                Ok(()) => published.nodes.push(name),
                Err(error) => published.failed.push(Unreached { node: name, error }),
            }
        }
        published.nodes.sort();
        Ok(published)
    }
}

/// Sends the message from here: the node is none of a BEAM.
async fn directly(node: &Node, worker: &Pid, message: &Term) -> Result<(), String> {
    let text = |error: &(dyn std::error::Error + 'static)| ErrorChain(error).to_string();
    node.process().send_term(worker, message).await.map_err(|error| text(&error))?;
    // Its answer says that it has read what was sent before.
    let peer = NodeName::new(&worker.node).map_err(|error| text(&error))?;
    let ask = Mfa::with_terms(Atom::from_static("erlang"), Atom::from_static("node"), Vec::new());
    node.call::<Term>(&peer, ask).await.map(drop).map_err(|error| text(&error))
}

/// A term in Elixir, or in Erlang.
fn term(text: &str) -> Result<Term, Failure> {
    Syntax::Elixir.parse(text).or_else(|error| {
        Syntax::Erlang.parse(text).map_err(|_| {
            let place = format!("{} at column {}", error.message(), error.column());
            Failure::usage(format!("--message {text:?} is no term: {place}"))
                .hint("write '{:order_created, 7}', '%{id: 7}' or '\"text\"'")
        })
    })
}
