//! An EPMD and the nodes of one test, which are registered with it.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::sync::Arc;
use std::time::Duration;

use peerl_epmd::Client;
use peerl_node::transport::{Tls, TlsConfig};
use peerl_node::{Atom, Epmd as Mapper, Exception, Node, NodeBuilder, NodeEvent, NodeName, Process, Term, Visibility};
use peerl_otp::System;
use peerl_test_support::{Authority, Beam, BeamBuilder, COOKIE, Epmd, Identity, KeyKind, Otp, unique_name};
use rcgen::SanType;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;

/// Longer than any successful operation on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

pub struct Stage {
    pub epmd: Epmd,
    /// What the nodes show each other, if they connect by TLS.
    certificates: Option<(Authority, Identity)>,
}

impl Stage {
    pub fn new() -> Self {
        Self::of(Epmd::start())
    }

    pub fn of(epmd: Epmd) -> Self {
        Self { epmd, certificates: None }
    }

    /// One whose nodes connect by TLS, with the versions that each release has as it comes.
    pub fn with_tls() -> Self {
        let authority = Authority::new();
        let identity = authority.issue_with("node", KeyKind::Ec, &["127.0.0.1"], |params| {
            // As release 25 looks for it.
            params.subject_alt_names.push(SanType::DnsName("127.0.0.1".try_into().unwrap()));
        });
        Self { certificates: Some((authority, identity)), ..Self::new() }
    }

    /// The certificate of all nodes, if they connect by TLS.
    pub fn identity(&self) -> Option<&Identity> {
        self.certificates.as_ref().map(|(_, identity)| identity)
    }

    /// A peerl node that is not started yet.
    pub fn builder(&self) -> NodeBuilder {
        self.builder_of(&format!("{}@127.0.0.1", unique_name("peerl")))
    }

    pub fn builder_of(&self, name: &str) -> NodeBuilder {
        self.on_stage(peerl_otp::node(name))
    }

    /// One with these processes.
    pub fn builder_with(&self, system: System) -> NodeBuilder {
        self.on_stage(system.node(format!("{}@127.0.0.1", unique_name("peerl"))))
    }

    fn on_stage(&self, builder: NodeBuilder) -> NodeBuilder {
        let builder = builder.cookie(COOKIE).epmd(Mapper::External).epmd_client(Client::new(self.epmd.address()));
        match self.identity() {
            Some(identity) => builder.transport(mutual_tls(identity)),
            None => builder,
        }
    }

    /// A visible peerl node.
    pub async fn node(&self) -> Node {
        self.builder().start().await.unwrap()
    }

    pub async fn hidden(&self) -> Node {
        self.builder().visibility(Visibility::Hidden).start().await.unwrap()
    }

    pub fn erlang(&self, otp: Otp) -> BeamBuilder {
        self.erlang_at(otp, &self.epmd)
    }

    /// A BEAM that is registered with another EPMD.
    pub fn erlang_at(&self, otp: Otp, epmd: &Epmd) -> BeamBuilder {
        let beam = Beam::erlang(otp).epmd(epmd);
        match self.identity().map(|identity| identity.optfile("")) {
            Some(optfile) => beam.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile.to_str().unwrap()]),
            None => beam,
        }
    }

    pub async fn beam(&self, otp: Otp) -> Beam {
        self.erlang(otp).start_async().await
    }
}

/// Nodes verify each other by this certificate.
pub fn mutual_tls(identity: &Identity) -> Tls {
    Tls::new(TlsConfig::mutual(&identity.certificate, &identity.key, &identity.authority)).unwrap()
}

pub fn name(beam: &Beam) -> NodeName {
    beam.name().parse().unwrap()
}

/// Evaluates the expression on the BEAM, with `NODE` for the node's name.
pub async fn eval(beam: &Beam, node: &Node, expression: &str) -> String {
    let expression = expression.replace("NODE", &format!("'{}'", node.name()));
    match beam.eval_within_async(expression.clone(), Duration::from_secs(60)).await {
        Ok(value) => value,
        Err(error) => panic!("{expression}: {error}"),
    }
}

/// Evaluates the expression and expects this value.
#[track_caller]
pub fn expect(
    beam: &Beam,
    node: &Node,
    expression: &str,
    value: &'static str,
) -> impl Future<Output = ()> + Send + use<> {
    let caller = std::panic::Location::caller();
    let expression = expression.replace("NODE", &format!("'{}'", node.name()));
    let beam = beam.clone();
    async move {
        let found = beam.eval_within_async(expression.clone(), Duration::from_secs(60)).await;
        assert_eq!(found.as_deref(), Ok(value), "{expression}, at {caller}");
    }
}

/// An expression that waits until another one has this value.
pub fn until(expression: &str, value: &str) -> String {
    format!("(fun Until() -> case {expression} of {value} -> ok; _ -> timer:sleep(5), Until() end end)()")
}

/// Waits until the condition holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = tokio::time::Instant::now() + LIMIT;
        while !holds() {
            assert!(tokio::time::Instant::now() < end, "{what} has not come about, at {caller}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The next event of a connection.
pub async fn event(events: &mut Receiver<NodeEvent>) -> NodeEvent {
    tokio::time::timeout(LIMIT, events.recv()).await.expect("an event").unwrap()
}

/// The next message of a process, as a term.
pub async fn message(process: &mut Process) -> Term {
    tokio::time::timeout(LIMIT, process.receive()).await.expect("a message").unwrap().into_term().unwrap()
}

/// A term in external format, to be bound to a variable of an evaluation.
pub fn external(term: impl Into<Term>) -> Vec<u8> {
    term.into().encode()
}

pub fn atom(name: &str) -> Term {
    Term::Atom(Atom::new(name).unwrap())
}

/// The functions that the tests call: `rust:add/2`, `echo/1`, `fail/1`, `sleep/1`.
pub fn export(node: &Node) {
    node.export("rust", "add", |(a, b): (i64, i64)| async move { Ok::<_, Exception>(a + b) }).unwrap();
    node.export("rust", "echo", |(term,): (Term,)| async move { Ok::<_, Exception>(term) }).unwrap();
    node.export("rust", "fail", |(how,): (Atom,)| async move {
        Err::<Term, _>(match how.as_str() {
            "throw" => Exception::throw(Term::atom("ball")),
            "exit" => Exception::exit(Term::atom("gone")),
            "panic" => panic!("on purpose"),
            _ => Exception::error(Term::atom("wrong")),
        })
    })
    .unwrap();
    node.export("rust", "sleep", |(ms,): (u64,)| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok::<_, Exception>(Atom::from_static("awake"))
    })
    .unwrap();
}

/// Exports a function without arguments whose calls wait for a permit each, and return `awake`.
pub fn export_held(node: &Node, function: &str) -> Arc<Semaphore> {
    let permits = Arc::new(Semaphore::new(0));
    let held = permits.clone();
    let exported = node.export("rust", function, move |()| {
        let held = held.clone();
        async move {
            held.acquire().await.expect("it is not closed").forget();
            Ok::<_, Exception>(Atom::from_static("awake"))
        }
    });
    exported.unwrap();
    permits
}

/// Evaluates the expression on the BEAM, with `NODE` for the node's name and these variables.
pub async fn eval_with<const N: usize>(
    beam: &Beam,
    node: &Node,
    expression: &str,
    variables: [(&'static str, Term); N],
) -> String {
    let expression = expression.replace("NODE", &format!("'{}'", node.name()));
    let beam = beam.clone();
    let evaluated = tokio::task::spawn_blocking(move || {
        let encoded = variables.map(|(name, value)| (name, value.encode()));
        let bindings = encoded.each_ref().map(|(name, value)| (*name, value.as_slice()));
        let value = beam.eval_with(&expression, &bindings, Duration::from_secs(60));
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    });
    match evaluated.await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A process of this node that runs in a task: it gets each message as a term, until it ends or is aborted.
pub fn run(
    mut process: Process,
    mut behaviour: impl FnMut(&Process, Term) + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(message) = process.receive().await {
            behaviour(&process, message.into_term().unwrap());
        }
    })
}
