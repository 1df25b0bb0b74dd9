//! `peerl subscribe`: the messages of a topic of a Phoenix.PubSub.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use peerl_node::{Node, NodeName};
use peerl_phoenix::{Pool, PubSub, Subscription};
use peerl_term::text::Syntax;
use tokio::time::{Instant, MissedTickBehavior};

use crate::command_node::{self, Role};
use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::phoenix::{self, Groups};
use crate::settings::Settings;
use crate::shutdown;

/// Print what is broadcast to a topic of a Phoenix.PubSub, on any node of a cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl subscribe --pubsub MyApp.PubSub --topic orders --node app@10.0.0.5
  peerl subscribe --pubsub MyApp.PubSub --topic room:1 --node app@10.0.0.5 --count 1 --format json

Prints a message a line, in Elixir unless --format says otherwise, until --count of them have come, or Ctrl-C. The cluster is
all nodes with that PubSub that the node is connected with, itself included; one that comes later joins in, and one that
comes back goes on. Nobody is told anything but that there is one more node that listens, while this runs.")]
pub(super) struct Subscribe {
    /// The name of the PubSub: MyApp.PubSub, or :my_pubsub if it is no module.
    #[arg(long, value_name = "NAME")]
    pubsub: String,

    /// The topic.
    #[arg(long)]
    topic: String,

    /// A node of the cluster.
    #[arg(long)]
    node: NodeName,

    /// End after so many messages.
    #[arg(long)]
    count: Option<u64>,
}

/// How often the nodes of the cluster are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the nodes may take to know of the subscriber.
const PATIENCE: Duration = Duration::from_secs(10);

impl Subscribe {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let pool = phoenix::pool(&self.pubsub)?;
        let end = shutdown::signal(shutdown::LIMIT)?;
        let node = command_node::start(settings, Role::Guest, std::slice::from_ref(&self.node)).await?;
        let result = tokio::select! {
            result = self.subscribe(&node, pool, output) => result,
            _ = end => Ok(()),
        };
        node.shutdown().await;
        result.map(|()| Status::Success)
    }

    async fn subscribe(&self, node: &Node, pool: Pool, output: &Output) -> Result<(), Failure> {
        // Fails if there is no such PubSub, before anybody is told of this node.
        Groups::of(node, &self.node, &pool).await?;
        let pubsub = PubSub::start(node, &self.pubsub).await.map_err(|error| Failure::from_error(&error))?;
        let mut subscription = pubsub.subscribe(&self.topic);
        let named = self.node.clone();
        let known = BTreeSet::from([named.clone()]);
        let mut audience = Audience { node, pubsub: &pubsub, pool, named, known, asked: BTreeMap::new() };
        let nodes = audience.join().await?;
        output.note(&format!("subscribed to {} at {nodes} node{}", self.topic, if nodes == 1 { "" } else { "s" }));
        tokio::select! {
            result = self.print(&mut subscription, output) => result,
            () = audience.keep() => Ok(()),
        }
    }

    async fn print(&self, subscription: &mut Subscription, output: &Output) -> Result<(), Failure> {
        let mut left = self.count;
        while left != Some(0) {
            let received = subscription.recv().await.map_err(Failure::new)?;
            // What is malformed has ended the connection that brought it.
            let Ok(message) = received.message.decode() else { continue };
            output.term(&message, Syntax::Elixir)?;
            left = left.map(|left| left - 1);
        }
        Ok(())
    }
}

/// The nodes whose broadcasts are to come here.
struct Audience<'a> {
    node: &'a Node,
    pubsub: &'a PubSub,
    pool: Pool,
    /// The node that the user named.
    named: NodeName,
    known: BTreeSet<NodeName>,
    /// When each was last told of this node.
    asked: BTreeMap<NodeName, Instant>,
}

impl Audience<'_> {
    /// Waits until all nodes know of this one. Gives their number.
    async fn join(&mut self) -> Result<usize, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            let joined = self.look().await?;
            let missing = self.known.len() - joined;
            if missing == 0 {
                return Ok(joined);
            }
            if Instant::now() >= end {
                tracing::warn!("{missing} of {} nodes cannot be reached, or do not answer", self.known.len());
                return Ok(joined);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets nodes join in that come later.
    async fn keep(&mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_lost = false;
        loop {
            ticks.tick().await;
            match self.look().await {
                Ok(_) => is_lost = false,
                Err(failure) if !is_lost => {
                    tracing::warn!("{failure}");
                    is_lost = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Makes this node known to all nodes that have workers. Gives the number of those that know it.
    async fn look(&mut self) -> Result<usize, Failure> {
        let mut joined = 0;
        let mut failure = None;
        let own = |peer: &NodeName| self.node.name_at(peer);
        let mut found = BTreeSet::new();
        for peer in &self.known {
            match Groups::of(self.node, peer, &self.pool).await {
                Ok(groups) => {
                    let names = groups.workers(&self.pool).into_iter().filter_map(|pid| NodeName::new(&pid.node).ok());
                    found.extend(names.filter(|name| *name != own(peer)));
                    if groups.all_have(&own(peer)) {
                        joined += 1;
                    } else if self.asked.get(peer).is_none_or(|asked| asked.elapsed() >= INTERVAL) {
                        self.asked.insert(peer.clone(), Instant::now());
                        self.pubsub.scope().discover(peer).await.map_err(Failure::new)?;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        if !found.is_empty() {
            // Who is gone is not asked again and again; the one that the user named may come back.
            self.known = found.into_iter().chain([self.named.clone()]).collect();
            self.asked.retain(|peer, _| self.known.contains(peer));
        }
        match failure {
            Some(failure) if joined == 0 => Err(failure),
            _ => Ok(joined),
        }
    }
}
