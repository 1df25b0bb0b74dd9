//! Spreads items over the nodes of a cluster.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::stream::{BoxStream, Stream, StreamExt};
use peerl_discovery::strategy::StaticListSettings;
use peerl_discovery::{MeshEvent, Peers, Reconciler, Running, Spec, Strategy};
use peerl_node::{ErrorChain, Mapped, Mfa, Node, NodeName};
use peerl_term::text::{Syntax, Template};
use peerl_term::{Atom, Term};
use tokio::sync::{broadcast, watch};

use crate::answer::Answer;
use crate::call_errors::CallErrors;
use crate::command_node::{self, Role};
use crate::exception::Function;
use crate::explain;
use crate::failure::Failure;
use crate::item_error::{ItemError, explained};
use crate::items::Item;
use crate::settings::{Settings, Span};

/// The nodes for a command.
#[derive(Args, Clone, Debug, Default)]
pub struct PeerOptions {
    /// A node; may be given several times [default: `node` of peerl.toml, or PEERL_NODE].
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<NodeName>,

    /// A way to find nodes, as `epmd:HOST,…` or `static:NODE,…`; may be given several times [default: `discover` of
    /// peerl.toml, or PEERL_DISCOVER].
    #[arg(long, value_name = "STRATEGY")]
    pub discover: Vec<Spec>,
}

impl PeerOptions {
    /// The requested strategies; named nodes count as one.
    ///
    /// # Errors
    /// If one is invalid.
    pub fn strategies(&self, settings: &Settings) -> Result<Vec<Arc<dyn Strategy>>, Failure> {
        let mut specs = self.discover.clone();
        let mut nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        if specs.is_empty() && nodes.is_empty() {
            specs.extend(settings.discover.clone().unwrap_or_default());
            nodes.extend(settings.node.clone().unwrap_or_default());
        }
        if !nodes.is_empty() {
            specs.insert(0, Spec::Static(StaticListSettings { nodes }));
        }
        specs.iter().map(|spec| spec.build().map_err(Failure::usage)).collect()
    }

    /// Finds the nodes, once.
    ///
    /// # Errors
    /// If a strategy is invalid, all fail, or none finds nodes.
    pub async fn find(&self, settings: &Settings) -> Result<Peers, Failure> {
        Ok(self.find_by_each(settings).await?.peers)
    }

    /// The nodes that are found quickly; if there are none, names like theirs, of which only the kind of the host
    /// matters.
    pub async fn known(&self, settings: &Settings) -> Vec<NodeName> {
        const SOON: Duration = Duration::from_secs(5);
        if let Ok(Ok(found)) = tokio::time::timeout(SOON, self.find(settings)).await {
            return found.into_iter().collect();
        }
        let specs = if self.discover.is_empty() { settings.discover.as_deref() } else { Some(&self.discover[..]) };
        let hosts = specs.unwrap_or_default().iter().filter_map(|spec| match spec {
            Spec::Epmd(epmd) => Some(&epmd.hosts),
            _ => None,
        });
        let alike = hosts.flatten().filter_map(|host| NodeName::new(&format!("node@{host}")).ok());
        self.nodes.iter().cloned().chain(alike).collect()
    }

    /// Finds the nodes, once, and lists the strategies that found none, with a warning for each.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn find_by_each(&self, settings: &Settings) -> Result<Found, Failure> {
        let strategies = self.strategies(settings)?;
        if strategies.is_empty() {
            return Err(
                Failure::usage("no nodes are given").hint("name them with --node, or find them with --discover")
            );
        }
        let answers = strategies.iter().map(|strategy| async { (strategy.name(), strategy.discover().await) });
        let (mut found, mut failures, mut empty) = (Found::default(), Vec::new(), Vec::new());
        for (name, answer) in futures::future::join_all(answers).await {
            match answer {
                Ok(answer) if !answer.is_empty() => {
                    found.peers.extend(answer.peers);
                    continue;
                }
                Ok(answer) => empty.push(nothing_found(name, &answer.asked)),
                Err(error) => failures.push(discovery_failure(name, error)),
            }
            found.failed.push(name.to_owned());
        }
        // If nothing is found, one of them becomes the command's error.
        let told = usize::from(found.peers.is_empty());
        for failure in failures.iter().skip(told) {
            tracing::warn!("{failure}");
        }
        if !found.peers.is_empty() || !failures.is_empty() {
            for strategy in &empty {
                tracing::warn!("{strategy}");
            }
        }
        match failures.into_iter().next() {
            _ if !found.peers.is_empty() => Ok(found),
            Some(failure) => Err(failure),
            None => Err(Failure::new(format!("no nodes were found: {}", empty.join("; ")))
                .hint("start some with `peerl worker`, and check with `peerl discover`")),
        }
    }
}

/// The result of the strategies.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The nodes.
    pub peers: Peers,
    /// The strategies that failed or found no nodes.
    pub failed: Vec<String>,
}

/// The message that a strategy finds no nodes, with its question.
pub fn nothing_found(strategy: &str, asked: &str) -> String {
    match asked {
        "" => format!("{strategy} finds no nodes"),
        asked => format!("{strategy} finds no nodes (asked: {asked})"),
    }
}

/// The message for a failed strategy.
pub fn discovery_failure(name: &str, error: peerl_discovery::StrategyError) -> Failure {
    match error {
        peerl_discovery::StrategyError::Epmd { errors } if errors.len() == 1 => {
            errors.into_iter().next().map_or_else(Failure::silent, Failure::from)
        }
        error => {
            let failure = Failure::new(format!("discovery by {name} failed: {}", ErrorChain(&error)));
            match explain::discovery_hint(&error) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
    }
}

/// The options for the work.
#[derive(Args, Clone, Debug)]
pub struct WorkOptions {
    /// How many items each node works on at a time. While a node is down, the others take its share, but none takes more
    /// than four times this number.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,

    /// The time-out of an item.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: Span,

    /// How often an item is given to another node after its node has died.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub retries: u32,
}

/// The nodes that work for a command, and the command's own.
pub struct WorkerNodes {
    /// The command's node.
    pub node: Node,
    workers: watch::Receiver<Vec<NodeName>>,
    _reconciler: Option<Running>,
}

/// A function that a worker must serve.
#[derive(Clone, Copy, Debug)]
pub struct RequiredFunction {
    /// The module.
    pub module: &'static str,
    /// The function.
    pub function: &'static str,
    /// The number of arguments.
    pub arity: u64,
}

impl WorkerNodes {
    /// A set of known nodes.
    pub fn of(node: Node, workers: Vec<NodeName>) -> Self {
        Self { node, workers: watch::channel(workers).1, _reconciler: None }
    }

    /// Finds the workers, starts a node, and connects it. Later workers are added.
    ///
    /// Nodes that do not serve the function are left out; only peerl's workers can tell.
    ///
    /// # Errors
    /// If no worker is found and reached, or the node cannot be started.
    pub async fn assemble(
        settings: &Settings,
        peers: &PeerOptions,
        required: Option<RequiredFunction>,
    ) -> Result<Self, Failure> {
        let mut found: Vec<NodeName> = peers.find(settings).await?.into_iter().collect();
        let node = command_node::start(settings, Role::Guest, &found).await?;
        found.retain(|peer| peer != node.name());
        let reconciler = Reconciler::new(node.clone(), peers.strategies(settings)?).interval(Duration::from_secs(2));
        let events = reconciler.events();
        let workers = async {
            let reached = explain::reachable(&node, found).await?;
            match required {
                Some(required) => retain_serving(&node, required, reached).await,
                None => Ok(reached),
            }
        };
        let workers = match workers.await {
            Ok(workers) => watch::Sender::new(workers),
            Err(failure) => {
                node.shutdown().await;
                return Err(failure);
            }
        };
        let receiver = workers.subscribe();
        tokio::spawn(add_new_workers(node.clone(), required, events, workers));
        Ok(Self { node, workers: receiver, _reconciler: Some(reconciler.start()) })
    }

    /// Calls this function for each indexed item; returns the answers as they arrive. Terms in errors are formatted
    /// in this syntax.
    pub fn map(
        &self,
        items: impl Stream<Item = (usize, Item)> + Send + 'static,
        call: impl Fn(&Item) -> Mfa + Send + Sync + 'static,
        work: &WorkOptions,
        called: Function,
        syntax: Syntax,
    ) -> BoxStream<'static, Answer<Result<Term, ItemError>>> {
        let answers = self
            .node
            .pmap_stream(self.workers.clone(), move |(_, item): &(usize, Item)| call(item), items)
            .window(work.concurrency as usize)
            .retries(work.retries)
            .timeout(work.timeout.0)
            .as_completed()
            .run::<Term>()
            .map(|mapped: Mapped<(usize, Item), Term>| Answer {
                index: mapped.item.0,
                item: mapped.item.1,
                node: mapped.node,
                elapsed: mapped.elapsed,
                result: mapped.result,
            })
            .boxed();
        explained(answers, CallErrors::new(self.node.clone(), called, syntax))
    }
}

/// Makes the call of a template for an item.
pub fn filled(template: Template) -> impl Fn(&Item) -> Mfa + Send + Sync + 'static {
    move |item| {
        let call = template.fill(&item.term);
        Mfa::with_terms(call.module, call.function, call.arguments)
    }
}

/// The function of a template.
pub fn called(template: &Template) -> Function {
    let call = template.fill(&Term::atom("_"));
    Function { module: call.module, name: call.function, arity: call.arguments.len() }
}

/// A template as text, independent of the syntax in which it was written.
pub fn call_text(template: &Template) -> String {
    let call = template.fill(&Term::atom("_"));
    let arguments: Vec<String> = call
        .arguments
        .iter()
        .map(|argument| Syntax::Erlang.display(argument).to_string().replace("'_'", "_"))
        .collect();
    let function = [&call.module, &call.function].map(|name| Syntax::Erlang.display(&name.clone().into()).to_string());
    format!("{}({})", function.join(":"), arguments.join(","))
}

/// Adds new nodes to the workers while the reconciler runs.
async fn add_new_workers(
    node: Node,
    required: Option<RequiredFunction>,
    mut events: broadcast::Receiver<MeshEvent>,
    workers: watch::Sender<Vec<NodeName>>,
) {
    loop {
        let peer = match events.recv().await {
            Ok(MeshEvent::Connected { peer }) => peer,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if workers.borrow().contains(&peer) {
            continue;
        }
        let serves = match required {
            Some(required) => serve(&node, required, std::slice::from_ref(&peer)).await == [true],
            None => true,
        };
        if serves {
            tracing::info!(node = %peer, "joins in");
            workers.send_modify(|workers| workers.push(peer));
        }
    }
}

/// Removes the workers that do not serve a function.
async fn retain_serving(
    node: &Node,
    required: RequiredFunction,
    workers: Vec<NodeName>,
) -> Result<Vec<NodeName>, Failure> {
    let RequiredFunction { module, function, arity } = required;
    let serving = serve(node, required, &workers).await;
    let (kept, left_out): (Vec<_>, Vec<_>) = workers.into_iter().zip(serving).partition(|(_, serves)| *serves);
    if kept.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|(worker, _)| worker.as_str()).collect();
        return Err(Failure::new(format!("no node serves {module}:{function}/{arity}: {}", names.join(", ")))
            .hint("start a `peerl worker`, or name another --function"));
    }
    for (worker, _) in left_out {
        tracing::warn!(node = %worker, "left out: it does not serve {module}:{function}/{arity}");
    }
    Ok(kept.into_iter().map(|(worker, _)| worker).collect())
}

/// Asks each worker whether it serves a function.
async fn serve(node: &Node, required: RequiredFunction, workers: &[NodeName]) -> Vec<bool> {
    let functions = Atom::from_static("functions");
    let question = Mfa::with_terms(Atom::from_static("peerl"), functions, Vec::new());
    let answers = workers.iter().map(|worker| {
        let limit = Duration::from_secs(10);
        node.call::<Vec<(String, String, u64)>>(worker, question.clone()).timeout(limit).into_future()
    });
    let serves = |functions: Vec<(String, String, u64)>| {
        functions
            .iter()
            .any(|(m, f, a)| (m.as_str(), f.as_str(), *a) == (required.module, required.function, required.arity))
    };
    futures::future::join_all(answers).await.into_iter().map(|answer| answer.is_ok_and(serves)).collect()
}
