use std::future::Future;

use peerl_term::{Atom, AtomError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Exception;
use crate::node::Node;

impl Node {
    /// Lets peers call a function: `Module:Function/Arity`. Only what is exported can be called.
    ///
    /// The handler takes the arguments as a tuple (or any other type that a list can be deserialized to, such as
    /// `Vec<Term>`); arguments that do not fit it are `badarg`. It runs in a task of its own, so that a slow one holds
    /// up nobody. If its process is sent an exit signal, it is dropped; as with `erpc` it goes on if the caller only stops
    /// waiting. A panic becomes an `error` exception, and the node lives on.
    ///
    /// # Errors
    /// If a name is too long for an atom.
    pub fn export<A, R, F, Fut>(&self, module: &str, function: &str, arity: u8, handler: F) -> Result<(), AtomError>
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    {
        self.inner.kernel.exports.insert(Atom::new(module)?, Atom::new(function)?, usize::from(arity), handler);
        Ok(())
    }

    /// The functions that peers may call, sorted.
    pub fn exports(&self) -> Vec<(Atom, Atom, usize)> {
        self.inner.kernel.exports.names()
    }

    /// Says whether peers may call this function.
    pub fn is_exported(&self, module: &Atom, function: &Atom, arity: usize) -> bool {
        self.inner.kernel.exports.contains(module, function, arity)
    }
}
