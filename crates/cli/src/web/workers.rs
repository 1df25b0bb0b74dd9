//! The nodes that take checksums, and their functions.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use peerl_node::{CallError, ErrorChain, Mfa, Node, NodeName};
use peerl_term::{Atom, Term};
use serde::{Serialize, Serializer};
use tokio::sync::watch;

const PAGE: Atom = Atom::from_static("peerl_page");
const CHECKSUM: Atom = Atom::from_static("checksum");
const CONTROLLER: &str = "Elixir.ClusterScrape.PageController";
const FETCH: Atom = Atom::from_static("fetch");

/// The time-out of a node's answer about its functions.
const ANSWER: Duration = Duration::from_secs(10);

/// The pages that visitors may have fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum FetchScope {
    /// All: the visitors are on this machine.
    #[default]
    Anywhere,
    /// Those at public addresses, and in these networks: visitors must not explore networks that only the workers
    /// reach.
    Public {
        /// The networks.
        allow: Vec<IpNet>,
    },
}

/// Whether BEAM nodes take part, which fetch any page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeamNodes {
    /// They do, if they have the function `ClusterScrape.PageController.fetch/1`.
    Used,
    /// They do not.
    LeftOut,
}

/// The function by which a node takes checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// `peerl_page:checksum/2`.
    Checksum,
    /// `ClusterScrape.PageController.fetch/1`.
    Fetch,
}

/// The role of a node for jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WorkerRole {
    /// It takes checksums.
    Takes(Service),
    /// It does not, for this reason.
    LeftOut(String),
}

impl Serialize for WorkerRole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.words())
    }
}

impl WorkerRole {
    /// The role in words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Takes(_) => "takes checksums".to_owned(),
            Self::LeftOut(why) => format!("left out: {why}"),
        }
    }
}

/// The nodes that take checksums, as they come and go.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    scope: FetchScope,
    beam: BeamNodes,
    roles: Arc<Mutex<BTreeMap<NodeName, WorkerRole>>>,
    able: watch::Sender<Vec<NodeName>>,
}

impl Workers {
    /// No nodes yet.
    pub(crate) fn new(scope: FetchScope, beam: BeamNodes) -> Self {
        Self { scope, beam, roles: Arc::default(), able: watch::Sender::default() }
    }

    /// The nodes that take checksums now.
    pub(crate) fn able(&self) -> watch::Receiver<Vec<NodeName>> {
        self.able.subscribe()
    }

    /// The role of a node, if known.
    pub(crate) fn role(&self, node: &NodeName) -> Option<WorkerRole> {
        self.lock().get(node).cloned()
    }

    /// Queries a node's functions, and adds it if it can take checksums. Without an answer, nothing changes.
    pub(crate) async fn ask(&self, node: &Node, peer: &NodeName) {
        let role = match self.find_out(node, peer).await {
            Ok(role) => role,
            Err(error) => {
                tracing::debug!(%peer, error = %ErrorChain(&error), "does not say what it serves");
                return;
            }
        };
        if self.role(peer).as_ref() != Some(&role) {
            match &role {
                WorkerRole::Takes(_) => tracing::info!(node = %peer, "takes checksums"),
                WorkerRole::LeftOut(why) => tracing::info!(node = %peer, "left out: {why}"),
            }
        }
        self.lock().insert(peer.clone(), role);
        self.publish();
    }

    /// Removes a node that is no longer in the cluster.
    pub(crate) fn forget(&self, peer: &NodeName) {
        if self.lock().remove(peer).is_some() {
            self.publish();
        }
    }

    /// The call that takes a page's checksum at a node.
    pub(crate) fn call(&self, node: &NodeName, url: &str, timeout: Duration) -> Mfa {
        let url = Term::from(url);
        match self.lock().get(node) {
            Some(WorkerRole::Takes(Service::Fetch)) => Mfa::with_terms(controller(), FETCH, vec![url]),
            _ => Mfa::with_terms(PAGE, CHECKSUM, vec![url, self.options(timeout)]),
        }
    }

    fn options(&self, timeout: Duration) -> Term {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut options = vec![(Term::atom("timeout"), Term::from(milliseconds))];
        if let FetchScope::Public { allow } = &self.scope {
            let allow = allow.iter().map(|network| Term::from(network.to_string()));
            options.push((Term::atom("addresses"), Term::atom("public")));
            options.push((Term::atom("allow"), Term::list(allow)));
        }
        Term::map(options)
    }

    async fn find_out(&self, node: &Node, peer: &NodeName) -> Result<WorkerRole, CallError> {
        if self.serves_checksums(node, peer).await? {
            return match self.scope {
                FetchScope::Public { .. } => self.keeps_the_rule(node, peer).await,
                FetchScope::Anywhere => Ok(WorkerRole::Takes(Service::Checksum)),
            };
        }
        Ok(match (serves_fetch(node, peer).await?, self.beam) {
            (true, BeamNodes::Used) => WorkerRole::Takes(Service::Fetch),
            (true, BeamNodes::LeftOut) => WorkerRole::LeftOut(
                "its fetch/1 would fetch private addresses for any visitor (--beam-nodes uses it all the same)"
                    .to_owned(),
            ),
            (false, _) => WorkerRole::LeftOut("it serves no checksums".to_owned()),
        })
    }

    async fn serves_checksums(&self, node: &Node, peer: &NodeName) -> Result<bool, CallError> {
        let question = Mfa::with_terms(Atom::from_static("peerl"), Atom::from_static("functions"), Vec::new());
        let functions = node.call::<Vec<(String, String, u64)>>(peer, question).timeout(ANSWER).into_future().await;
        match functions {
            Ok(functions) => Ok(functions.iter().any(|(module, function, arity)| {
                module == PAGE.as_str() && function == CHECKSUM.as_str() && *arity == 2
            })),
            Err(CallError::Exception(_) | CallError::Decode(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Older workers ignore the option, and would fetch from any address.
    async fn keeps_the_rule(&self, node: &Node, peer: &NodeName) -> Result<WorkerRole, CallError> {
        let nothing = Mfa::with_terms(PAGE, CHECKSUM, vec![Term::from(""), self.options(Duration::from_secs(1))]);
        match node.call::<Term>(peer, nothing).timeout(ANSWER).into_future().await {
            Ok(_) => Ok(WorkerRole::Takes(Service::Checksum)),
            Err(CallError::Exception(_)) => {
                Ok(WorkerRole::LeftOut("it is of an older version, which would fetch private addresses".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    fn publish(&self) {
        let roles = self.lock();
        let able = roles
            .iter()
            .filter(|(_, role)| matches!(role, WorkerRole::Takes(_)))
            .map(|(node, _)| node.clone())
            .collect();
        drop(roles);
        self.able.send_if_modified(|known| {
            let is_new = *known != able;
            *known = able;
            is_new
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeName, WorkerRole>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn controller() -> Atom {
    Atom::from_static(CONTROLLER)
}

/// Whether an Elixir node has the function. Its module may not be loaded yet.
async fn serves_fetch(node: &Node, peer: &NodeName) -> Result<bool, CallError> {
    let call = |module: &'static str, function: &'static str, arguments: Vec<Term>| {
        let mfa = Mfa::with_terms(Atom::from_static(module), Atom::from_static(function), arguments);
        node.call::<Term>(peer, mfa).timeout(ANSWER).into_future()
    };
    let module = Term::Atom(controller());
    let answered = |answer: Result<Term, CallError>| match answer {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Exception(_)) => Ok(None),
        Err(error) => Err(error),
    };
    answered(call("code", "ensure_loaded", vec![module.clone()]).await)?;
    let exported = call("erlang", "function_exported", vec![module, Term::Atom(FETCH), Term::from(1)]).await;
    Ok(answered(exported)?.is_some_and(|value| value.is_atom("true")))
}

/// The message for an outcome that is only an atom, as from `fetch/1`.
pub(crate) fn words_of(error: &str) -> Option<&'static str> {
    Some(match error {
        "nxdomain" => "the host has no address",
        "econnrefused" => "the connection was refused",
        "econnreset" | "closed" | "socket_closed_remotely" => "the server closed the connection",
        "ehostunreach" => "the host cannot be reached",
        "enetunreach" => "the network cannot be reached",
        "etimedout" | "timeout" => "no answer in time",
        "Other failure" => "the status was neither 200 nor 404",
        _ => return None,
    })
}
