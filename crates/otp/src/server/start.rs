use std::future::IntoFuture;

use futures::future::BoxFuture;
use peerl_node::{Atom, GenCall, MailboxPolicy, Node, Pid, RegisterError, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::context::Context;
use super::guarded::guarded;
use super::{Server, receive_loop};

/// The options for starting a server. It starts when they are awaited.
#[must_use = "a server is started when this is awaited"]
pub struct Options<S> {
    server: S,
    node: Node,
    name: Option<String>,
    parent: Option<Pid>,
    mailbox: MailboxPolicy,
}

/// Why a server was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name is too long for an atom.
    #[error("{0:?} cannot be the name of a process")]
    Name(String),
    /// The name cannot be registered, because another process has it.
    #[error("the name {name} cannot be registered")]
    Taken {
        /// The name.
        name: String,
        /// The node's error.
        #[source]
        source: RegisterError,
    },
    /// The server's `init` returned a [`Stop`](super::Stop).
    #[error("the server has stopped itself when it was to start: {0:?}")]
    Stopped(Term),
}

impl<S: Server> Options<S> {
    pub(super) fn new(server: S, node: Node) -> Self {
        Self { server, node, name: None, parent: None, mailbox: MailboxPolicy::default() }
    }

    /// Registers the server under a name, by which peers can call it.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Links the server to a process, like `gen_server:start_link/3`: when one of them ends, so does the other, with
    /// the same reason.
    pub fn link(mut self, parent: &Pid) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// Sets the limits of the mailbox.
    pub fn mailbox(mut self, policy: MailboxPolicy) -> Self {
        self.mailbox = policy;
        self
    }

    async fn run(self) -> Result<Running, StartError> {
        let node = self.node.clone();
        let (pid, ending) = self.start().await?;
        Ok(Running { node, pid, ending })
    }

    /// Starts the server; nothing that is returned keeps its node.
    pub(crate) async fn start(self) -> Result<(Pid, watch::Receiver<Option<Term>>), StartError> {
        let Self { mut server, node, name, parent, mailbox } = self;
        let name = match name {
            Some(name) => Some(Atom::new(&name).map_err(|_| StartError::Name(name))?),
            None => None,
        };
        let process = node.process_with(mailbox);
        process.trap_exit(true);
        let pid = process.pid().clone();
        if let Some(parent) = &parent {
            process.link(parent).await;
        }
        let mut context = Context::new(node.downgrade(), process, parent);
        // Like `gen_server:init_it`, register the name first, so that a second server with the name does not start.
        if let Some(name) = name {
            let register = context.process.register(name.clone());
            register.map_err(|source| StartError::Taken { name: name.as_str().to_owned(), source })?;
        }
        if let Err(stop) = guarded(server.init(&mut context)).await {
            let reason = stop.into_reason();
            context.process.exit(&reason);
            return Err(StartError::Stopped(reason));
        }
        let (ended, ending) = watch::channel(None);
        tokio::spawn(async move {
            let reason = receive_loop::run(server, context).await;
            ended.send_replace(Some(reason));
        });
        Ok((pid, ending))
    }
}

impl<S: Server> IntoFuture for Options<S> {
    type Output = Result<Running, StartError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A running server. It continues when this is dropped, until it is stopped or its node is, which this keeps running.
#[derive(Debug, Clone)]
pub struct Running {
    node: Node,
    pid: Pid,
    ending: watch::Receiver<Option<Term>>,
}

impl Running {
    /// The server's pid.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Calls the server, like `gen_server:call/2`, when the result is awaited. Peers call it by pid or name.
    pub fn call<T: DeserializeOwned>(&self, request: &impl Serialize) -> GenCall<T> {
        self.node.gen_call(&self.pid, request)
    }

    /// Waits until the server has ended; returns the exit reason.
    pub async fn ended(&mut self) -> Term {
        match self.ending.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| Term::atom("normal")),
            // The runtime has dropped the server.
            Err(_) => Term::atom("killed"),
        }
    }
}
