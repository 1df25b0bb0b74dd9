//! The functions of the module `global` that peers may call.

use std::collections::BTreeSet;

use peerl_node::{CallContext, Exception, Functions, Node, NodeName, Nodes, Pid, Term, WeakNode};
use peerl_term::{AtomError, Encoded, encode};
use tokio::sync::mpsc;

use super::ask::{Asked, ask};
use super::event::LocalRequest;
use super::lock::LockId;
use super::lock_holder::{LockHolder, Retries};
use super::method::Method;
use super::names::Names;
use super::registration::Registration;

type Outcome = Result<Term, Exception>;

/// Exports the functions at a node that runs `global`.
pub(super) fn export(node: &Node, requests: &mpsc::Sender<Asked>) -> Result<(), AtomError> {
    let served = Served { node: node.downgrade(), requests: requests.clone() };
    let function = |name: &str, arity: u8, to_request: fn(&[Term]) -> Result<LocalRequest, Exception>| {
        let served = served.clone();
        export_terms(node, name, arity, move |context, arguments| {
            let served = served.clone();
            async move { served.ask_for(&context, to_request(&arguments)?).await }
        })
    };
    function("register_name", 2, |given| Ok(LocalRequest::Register(registration(given)?)))?;
    function("register_name", 3, |given| Ok(LocalRequest::Register(registration(given)?)))?;
    function("re_register_name", 2, |given| Ok(LocalRequest::ReRegister(registration(given)?)))?;
    function("re_register_name", 3, |given| Ok(LocalRequest::ReRegister(registration(given)?)))?;
    function("unregister_name", 1, |given| Ok(LocalRequest::Unregister(given[0].clone())))?;
    function("sync", 0, |_| Ok(LocalRequest::Sync(None)))?;
    function("sync", 1, |given| Ok(LocalRequest::Sync(Some(node_atoms(&given[0], 1)?))))?;
    function("disconnect", 0, |_| Ok(LocalRequest::Disconnect))?;
    function("info", 0, |_| Ok(LocalRequest::Info))?;
    function("resolve_it", 4, |given| match given {
        [method, name, one, other] => {
            Ok(LocalRequest::Resolve([method.clone(), name.clone(), one.clone(), other.clone()]))
        }
        _ => Err(Exception::badarg()),
    })?;
    let this = served.clone();
    node.export_raw("global", Functions::Exact("registered_names", 0), move |call| {
        let served = this.clone();
        async move { served.registered_names(&call.context).await }
    })?;
    let this = served.clone();
    node.export("global", "whereis_name", move |(name,): (Term,)| {
        let served = this.clone();
        async move { served.whereis(name).await }
    })?;
    let this = served.clone();
    node.export("global", "send", move |context: CallContext, (name, message): (Term, Term)| {
        let served = this.clone();
        async move { served.send(&context, name, message).await }
    })?;
    for arity in 1..=3 {
        let this = served.clone();
        export_terms(node, "set_lock", arity, move |context, arguments| {
            let served = this.clone();
            async move { served.set_lock(&context, &arguments).await }
        })?;
    }
    for arity in 1..=2 {
        let this = served.clone();
        export_terms(node, "del_lock", arity, move |context, arguments| {
            let served = this.clone();
            async move { served.del_lock(&context, &arguments).await }
        })?;
    }
    Ok(())
}

/// Exports a function of so many terms.
fn export_terms<Fut: Future<Output = Outcome> + Send + 'static>(
    node: &Node,
    name: &str,
    arity: u8,
    function: impl Fn(CallContext, Vec<Term>) -> Fut + Send + Sync + 'static,
) -> Result<(), AtomError> {
    node.export_raw("global", Functions::Exact(name, arity), move |call| {
        let value = match call.arguments.decode() {
            Ok(Term::List(arguments)) => Ok(function(call.context, arguments.into_vec())),
            _ => Err(Exception::badarg()),
        };
        async move {
            let mut encoded = Encoded::default();
            encode::term(&value?.await?, &mut encoded);
            Ok(encoded)
        }
    })
}

/// Whether a process can live: one of this node does, if it is known.
pub(super) fn may_live(node: &Node, pid: &Pid) -> bool {
    pid.node != *node.name().as_atom() || node.process_info(pid).is_some()
}

#[derive(Clone)]
struct Served {
    node: WeakNode,
    requests: mpsc::Sender<Asked>,
}

impl Served {
    async fn ask(&self, request: LocalRequest) -> Outcome {
        ask(&self.requests, request).await.map_err(|_| stopped())
    }

    /// Who asks for what takes long, and leaves, keeps nothing here.
    async fn ask_for(&self, context: &CallContext, request: LocalRequest) -> Outcome {
        tokio::select! {
            answer = self.ask(request) => answer,
            () = context.cancelled() => Err(Exception::exit(Term::atom("noconnection"))),
            () = context.disconnected() => Err(Exception::exit(Term::atom("noconnection"))),
        }
    }

    async fn whereis(&self, name: Term) -> Outcome {
        let pid = self.ask(LocalRequest::Whereis(name)).await?;
        let node = self.node()?;
        let is_gone = pid.as_pid().is_some_and(|pid| !may_live(&node, pid));
        Ok(if is_gone { Term::atom("undefined") } else { pid })
    }

    /// `registered_names()`. There may be far more of them than the caller has memory for.
    async fn registered_names(&self, context: &CallContext) -> Result<Encoded, Exception> {
        let bytes = self.ask(LocalRequest::NamesMemory).await?;
        let bytes = bytes.as_integer().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
        let _lease = context.lease(bytes)?;
        let names = self.ask(LocalRequest::RegisteredNames).await?;
        let encode = move || {
            let mut encoded = Encoded::default();
            encode::term(&names, &mut encoded);
            // It takes as long to be dropped.
            drop(names);
            encoded
        };
        context.work(bytes / Names::LISTED, encode).await
    }

    async fn send(&self, context: &CallContext, name: Term, message: Term) -> Outcome {
        let found = self.whereis(name.clone()).await?;
        let Some(pid) = found.as_pid() else {
            let wanted = Term::tuple([name, message]);
            return Err(Exception::exit(Term::tuple([Term::atom("badarg"), wanted])));
        };
        // Nobody tells whether it arrives.
        let _ = context.process()?.send_term(pid, &message).await;
        Ok(found)
    }

    /// `set_lock(Id)`, `set_lock(Id, Nodes)`, `set_lock(Id, Nodes, Retries)`. The process that evaluates the call holds the lock,
    /// and the lock goes with it, as at a BEAM: with `erpc` that is at once, with `rpc:block_call` never.
    async fn set_lock(&self, context: &CallContext, arguments: &[Term]) -> Outcome {
        let (id, nodes) = self.lock_nodes(arguments)?;
        let retries = match arguments.get(2) {
            None => Retries::Unlimited,
            Some(retries) if retries.is_atom("infinity") => Retries::Unlimited,
            Some(retries) => match retries.as_integer().and_then(|retries| u32::try_from(retries).ok()) {
                Some(retries) => Retries::AtMost(retries),
                None => return Err(Exception::bad_argument(3, "neither a number of retries nor infinity")),
            },
        };
        let holder = LockHolder::new(self.node.clone(), context.pid().clone(), id);
        // Who waits for a lock and leaves does not keep the memory of the call.
        tokio::select! {
            set = holder.set(&nodes, retries) => return set.map(Term::from).map_err(|_| stopped()),
            () = context.cancelled() => {}
            () = context.disconnected() => {}
        }
        // It may just have been set, for a process that goes on.
        holder.remove(&nodes).await;
        Err(Exception::exit(Term::atom("noconnection")))
    }

    /// `del_lock(Id)`, `del_lock(Id, Nodes)`.
    async fn del_lock(&self, context: &CallContext, arguments: &[Term]) -> Outcome {
        let (id, nodes) = self.lock_nodes(arguments)?;
        LockHolder::new(self.node.clone(), context.pid().clone(), id).remove(&nodes).await;
        Ok(Term::atom("true"))
    }

    fn lock_nodes(&self, arguments: &[Term]) -> Result<(LockId, BTreeSet<NodeName>), Exception> {
        let not_an_id = || Exception::bad_argument(1, "not {ResourceId, LockRequesterId}");
        let id = arguments.first().and_then(LockId::from_term).ok_or_else(not_an_id)?;
        let nodes = match arguments.get(1) {
            None => {
                let node = self.node()?;
                node.nodes(Nodes::Visible).into_iter().chain([node.name().clone()]).collect()
            }
            Some(nodes) => {
                let names = node_atoms(nodes, 2)?.into_iter().map(|node| NodeName::new(&node));
                // To OTP what is no node name is a node that cannot be connected.
                names.filter_map(Result::ok).collect()
            }
        };
        Ok((id, nodes))
    }

    fn node(&self) -> Result<Node, Exception> {
        self.node.upgrade().ok_or_else(stopped)
    }
}

fn stopped() -> Exception {
    Exception::exit(Term::atom("shutdown"))
}

/// `Name, Pid` or `Name, Pid, Method`.
fn registration(arguments: &[Term]) -> Result<Registration, Exception> {
    let [name, pid, method @ ..] = arguments else { return Err(Exception::badarg()) };
    let pid = pid.as_pid().cloned().ok_or_else(|| Exception::bad_argument(2, "not a pid"))?;
    let method = match method {
        [] => Method::default().to_term(),
        [method, ..] => method.clone(),
    };
    Ok(Registration { name: name.clone(), pid, method })
}

fn node_atoms(nodes: &Term, number: usize) -> Result<Vec<peerl_node::Atom>, Exception> {
    let nodes = nodes.as_list().map(|nodes| nodes.iter().map(|node| node.as_atom().cloned()).collect());
    nodes.flatten().ok_or_else(|| Exception::bad_argument(number, "not a list of nodes"))
}
