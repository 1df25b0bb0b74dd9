//! Functions that peers may call.

use std::future::Future;

use peerl_term::{Atom, AtomError, Encoded, RawTerm};

mod arguments;
mod call_context;
mod handler;
mod raised;

pub use arguments::Arguments;
pub use call_context::CallContext;
pub use handler::Handler;

use crate::Exception;
use crate::kernel::exports::{self, Scope};
use crate::node::Node;

/// Which functions of a module a [raw handler](Node::export_raw) serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Functions<'a> {
    /// The function of this name and arity.
    Exact(&'a str, u8),
    /// The function of this name, with any number of arguments, unless that number has a handler of its own.
    Named(&'a str),
    /// All functions of the module that have no handler of their own.
    All,
}

/// A call that a [raw handler](Node::export_raw) serves.
#[derive(Debug)]
pub struct RawCall {
    /// Its module.
    pub module: Atom,
    /// The function that is called.
    pub function: Atom,
    /// The number of arguments.
    pub arity: usize,
    /// The list of arguments, as it has come. It may be malformed.
    pub arguments: RawTerm,
    /// Who calls.
    pub context: CallContext,
}

impl Node {
    /// Lets peers call a function. Only what is exported can be called; one of the same name and arity is replaced.
    ///
    /// The handler is an async function of the arguments, which are a tuple of any types that serde reads: their number is the
    /// arity. Arguments of other types are `badarg`. If it wants to know who calls, it has a [`CallContext`] before them. Its
    /// value is any type that serde writes. Its errors are [`Exception`]s, and any [`Error`](std::error::Error) becomes one by
    /// `?`: the caller gets the error `{failed, Text}`.
    ///
    /// ```no_run
    /// # use peerl_node::{CallContext, Exception, Node};
    /// # fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
    /// node.export("math", "divide", |(a, b): (i64, i64)| async move {
    ///     a.checked_div(b).ok_or_else(|| Exception::error(peerl_node::Term::atom("badarith")))
    /// })?;
    /// node.export("text", "number", |context: CallContext, (text,): (String,)| async move {
    ///     tracing::info!(caller = ?context.caller(), "reads a number");
    ///     Ok(text.parse::<i64>()?)
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A call is evaluated in a task of its own, so that a slow one does not delay others. Only calls that have come together, of
    /// functions that are known to be quick, share one and are evaluated one after another. Quick is what keeps its thread for
    /// at most 20 µs, on average of the last calls, before it returns or waits for something; no function is quick at first. So
    /// a call waits for at most 127 others, for 20 µs each; and if a function that was quick computes or blocks for long all of a
    /// sudden, the calls that have come with that one wait for it, once: until it has been quick again for some calls, its calls
    /// have tasks of their own. Like every task, one that blocks its thread keeps that from others: for such work there is
    /// [`spawn_blocking`](https://docs.rs/tokio/latest/tokio/task/fn.spawn_blocking.html).
    ///
    /// With `erpc` and `spawn` a function is evaluated by a process of its own, which drops the messages that it is sent. One that
    /// is to receive them, to trap exits or to be linked takes that [`Process`](crate::Process) before the context; what it
    /// returns is the exit reason, or the value of the call:
    ///
    /// ```no_run
    /// # use peerl_node::{CallContext, Exception, Node, Pid, Process};
    /// # fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
    /// node.export("clock", "tick", |mut process: Process, _: CallContext, (to,): (Pid,)| async move {
    ///     loop {
    ///         tokio::select! {
    ///             _ = process.receive() => return Ok::<_, Exception>("stopped"),
    ///             () = tokio::time::sleep(std::time::Duration::from_secs(1)) => process.send(&to, &"tick").await?,
    ///         }
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What calls by a message, as `rpc:block_call`, has it evaluated by `rex`: then that process is one started for the call.
    ///
    /// If the process of the call is sent an exit signal, the handler is dropped. As with `erpc` it goes on if the caller only
    /// stops waiting; [`CallContext::cancelled`] tells. A panic becomes the error `{panic, Text}`, and the node lives on.
    ///
    /// # Errors
    /// If a name is too long for an atom.
    pub fn export<S>(&self, module: &str, function: &str, handler: impl Handler<S>) -> Result<(), AtomError> {
        let arity = usize::from(handler.arity());
        let scope = Scope::Function(Atom::new(module)?, Atom::new(function)?, arity);
        self.inner.kernel.exports.insert(&scope, handler.into_function(self.downgrade()).0);
        Ok(())
    }

    /// Lets peers call a function, or all functions of a module, with a handler that reads the arguments and writes the value
    /// itself. Of several handlers that fit a call the one with the closest fit serves it.
    ///
    /// # Errors
    /// If a name is too long for an atom.
    pub fn export_raw<Fut>(
        &self,
        module: &str,
        functions: Functions<'_>,
        handler: impl Fn(RawCall) -> Fut + Send + Sync + 'static,
    ) -> Result<(), AtomError>
    where
        Fut: Future<Output = Result<Encoded, Exception>> + Send + 'static,
    {
        let module = Atom::new(module)?;
        let scope = match functions {
            Functions::Exact(function, arity) => Scope::Function(module, Atom::new(function)?, usize::from(arity)),
            Functions::Named(function) => Scope::AnyArity(module, Atom::new(function)?),
            Functions::All => Scope::Module(module),
        };
        let node = self.downgrade();
        let handler = exports::Handler::WithCall(Box::new(move |call, arguments| {
            let (module, function, arity) = (call.module.clone(), call.function.clone(), call.arity);
            let context = CallContext::new(node.clone(), call);
            Box::pin(handler(RawCall { module, function, arity, arguments, context }))
        }));
        self.inner.kernel.exports.insert(&scope, handler);
        Ok(())
    }

    /// Refuses to spawn processes that evaluate a function: as when the BEAM is short of memory, `spawn` raises an error at the
    /// caller, the one that `refuse` gives. So does a call. This is for a tool that would wait for ever for a process that ends with
    /// `undef`.
    ///
    /// # Errors
    /// If a name is too long for an atom.
    pub fn refuse_spawn(
        &self,
        module: &str,
        function: &str,
        arity: u8,
        refuse: impl Fn(CallContext) -> Atom + Send + Sync + 'static,
    ) -> Result<(), AtomError> {
        let node = self.downgrade();
        let scope = Scope::Function(Atom::new(module)?, Atom::new(function)?, usize::from(arity));
        let handler = exports::Handler::Refusing(Box::new(move |call| refuse(CallContext::new(node.clone(), call))));
        self.inner.kernel.exports.insert(&scope, handler);
        Ok(())
    }

    /// The functions that peers may call, sorted. What is exported with any number of arguments, or as all functions of a module,
    /// is not among them.
    pub fn exports(&self) -> Vec<(Atom, Atom, usize)> {
        self.inner.kernel.exports.names()
    }

    /// Whether peers may call this function.
    pub fn is_exported(&self, module: &Atom, function: &Atom, arity: usize) -> bool {
        self.inner.kernel.exports.contains(module, function, arity)
    }
}
