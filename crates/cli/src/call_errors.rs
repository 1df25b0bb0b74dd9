//! Explains errors of calls with information from the called nodes: the nearest existing function, or Elixir's text.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerl_node::{Atom, CallError, Class, Exception, Mfa, Node, NodeName, Term};
use peerl_term::text::Syntax;
use serde::de::DeserializeOwned;

use crate::exception::{Function, is_elixirs, undefined};
use crate::explain;
use crate::failure::Failure;

/// Explains the errors of calls of one function. Nodes are asked about exceptions; answers that cannot change are
/// cached.
pub struct CallErrors {
    node: Node,
    called: Function,
    syntax: Syntax,
    known: Mutex<Cache>,
}

/// Answers of nodes.
#[derive(Default)]
struct Cache {
    undefined: HashMap<(NodeName, Function), Failure>,
    without_elixir: HashSet<NodeName>,
}

impl CallErrors {
    /// The most functions per cache: every argument may name another function.
    const KNOWN: usize = 256;

    /// Makes one for calls by this node; terms are formatted in this syntax.
    pub fn new(node: Node, called: Function, syntax: Syntax) -> Self {
        Self { node, called, syntax, known: Mutex::default() }
    }

    /// Explains the error of a call, with the node's information if it is that node's.
    pub async fn explain(&self, peer: Option<&NodeName>, error: CallError) -> Failure {
        match (error, peer) {
            (CallError::Exception(exception), Some(peer)) => self.exception(peer, &exception).await,
            (error, peer) => {
                let peer = peer.map_or("the node", NodeName::as_str);
                explain::call(error, &self.called.to_string(), peer, self.syntax)
            }
        }
    }

    async fn exception(&self, name: &NodeName, exception: &Exception) -> Failure {
        let peer = Peer { node: &self.node, name };
        let is_elixirs = is_elixirs(exception, self.syntax);
        if is_elixirs && !self.known().without_elixir.contains(name) {
            if let Some(failure) = peer.formatted_by_elixir(exception).await {
                return failure;
            }
            self.known().without_elixir.insert(name.clone());
        }
        let Some(function) = undefined(exception) else {
            return explain::exception(exception, self.syntax);
        };
        let key = (name.clone(), function);
        if let Some(failure) = self.known().undefined.get(&key) {
            return failure.clone();
        }
        let failure = match is_elixirs && !peer.is_peerl().await {
            true => explain::exception(exception, self.syntax),
            false => peer.has_no(&key.1, &self.called).await,
        };
        let mut known = self.known();
        if known.undefined.len() < Self::KNOWN {
            known.undefined.insert(key, failure.clone());
        }
        failure
    }

    fn known(&self) -> MutexGuard<'_, Cache> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The node that was called.
struct Peer<'a> {
    node: &'a Node,
    name: &'a NodeName,
}

impl Peer<'_> {
    /// The time-out of a node's explanation.
    const LIMIT: Duration = Duration::from_secs(3);

    /// The most lines of a stack trace.
    const STACK: usize = 5;

    async fn ask<T: DeserializeOwned + 'static>(
        &self,
        module: &'static str,
        function: &'static str,
        arguments: Vec<Term>,
    ) -> Option<T> {
        self.ask_module(Atom::from_static(module), function, arguments).await.ok()
    }

    async fn ask_module<T: DeserializeOwned + 'static>(
        &self,
        module: Atom,
        function: &'static str,
        arguments: Vec<Term>,
    ) -> Result<T, CallError> {
        let mfa = Mfa::with_terms(module, Atom::from_static(function), arguments);
        self.node.call(self.name, mfa).timeout(Self::LIMIT).await
    }

    async fn is_peerl(&self) -> bool {
        let machine: Option<Term> = self.ask("erlang", "system_info", vec![Term::atom("machine")]).await;
        matches!(machine, Some(Term::List(name)) if name.to_text().as_deref() == Some("peerl"))
    }

    /// The banner and the top of the stack trace, if the node has Elixir.
    async fn formatted_by_elixir(&self, exception: &Exception) -> Option<Failure> {
        let class = Term::atom(match exception.class {
            Class::Error => "error",
            Class::Exit => "exit",
            Class::Throw => "throw",
        });
        let arguments = vec![class, exception.reason.clone(), exception.stack.clone()];
        let banner: String = self.ask("Elixir.Exception", "format_banner", arguments).await?;
        let stack: Option<String> =
            self.ask("Elixir.Exception", "format_stacktrace", vec![exception.stack.clone()]).await;
        let failure = Failure::new(banner);
        let stack = stack.unwrap_or_default();
        Some(stack.lines().filter(|line| !line.trim().is_empty()).take(Self::STACK).fold(failure, Failure::detail))
    }

    /// Reports a missing function, and the one that was likely meant.
    async fn has_no(&self, function: &Function, called: &Function) -> Failure {
        let is_peerl = self.is_peerl().await;
        let there = if is_peerl {
            self.ask_module::<Vec<(Atom, Atom, usize)>>(Atom::from_static("peerl"), "functions", Vec::new()).await
        } else {
            let exports = self.ask_module::<Vec<(Atom, usize)>>(
                function.module.clone(),
                "module_info",
                vec![Term::atom("exports")],
            );
            exports
                .await
                .map(|all| all.into_iter().map(|(name, arity)| (function.module.clone(), name, arity)).collect())
        };
        let peer = self.name;
        let mut message = format!("{peer} has no function {function}");
        if function != called {
            message.push_str(&format!(", which is called for {called}"));
        }
        let there = match there {
            Ok(there) => there,
            Err(CallError::Exception(exception)) if undefined(&exception).is_some() => {
                let hint = format!(
                    "`peerl call {peer} 'code:which({})'` says whether the module is in its code path",
                    function.module
                );
                return Failure::new(format!("{message}: it has no module {}", function.module)).hint(hint);
            }
            // The node is gone or does not answer in time.
            Err(_) => return Failure::new(message),
        };
        let there = there.into_iter().map(|(module, name, arity)| Function { module, name, arity });
        if let Some(nearest) = nearest(function, there) {
            message.push_str(&format!("; the nearest is {nearest}"));
        }
        Failure::new(message).hint(match is_peerl {
            true => format!("`peerl call {peer} 'peerl:functions()'` lists those that this worker serves"),
            false => {
                format!("`peerl call {peer} '{}:module_info(exports)'` lists those of the module", function.module)
            }
        })
    }
}

/// The function with the most similar name, if any.
fn nearest(wanted: &Function, there: impl Iterator<Item = Function>) -> Option<Function> {
    const LIKE: f64 = 0.8;
    let text = |function: &Function| format!("{}:{}", function.module, function.name);
    let wanted_text = text(wanted);
    let likeness = |function: &Function| {
        let alike = strsim::jaro_winkler(&wanted_text, &text(function));
        // Within the same module, only the function's name counts.
        let names = strsim::jaro_winkler(&wanted.name, &function.name);
        if function.module == wanted.module { names } else { alike.min(names) }
    };
    there
        .filter(|function| function.name != "module_info" && function.name != "behaviour_info")
        .map(|function| (likeness(&function), function))
        .filter(|(alike, _)| *alike >= LIKE)
        .max_by(|(one, a), (other, b)| {
            // Of several arities, the nearest.
            one.total_cmp(other).then_with(|| b.arity.abs_diff(wanted.arity).cmp(&a.arity.abs_diff(wanted.arity)))
        })
        .map(|(_, function)| function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(module: &str, name: &str, arity: usize) -> Function {
        Function { module: Atom::new(module).unwrap(), name: Atom::new(name).unwrap(), arity }
    }

    #[test]
    fn the_nearest_function() {
        let there = [
            ("lists", "reverse", 1),
            ("lists", "reverse", 2),
            ("lists", "sum", 1),
            ("peerl_page", "checksum", 1),
            ("peerl_page", "checksum", 2),
            ("timer", "sleep", 1),
        ];
        let nearest = |module: &str, name: &str, arity| {
            let there = there.iter().map(|(module, name, arity)| function(module, name, *arity));
            super::nearest(&function(module, name, arity), there).map(|function| function.to_string())
        };
        assert_eq!(nearest("lists", "revers", 1).as_deref(), Some("lists:reverse/1"));
        assert_eq!(nearest("lists", "reverse", 3).as_deref(), Some("lists:reverse/2"));
        assert_eq!(nearest("peerl_pages", "checksum", 2).as_deref(), Some("peerl_page:checksum/2"));
        assert_eq!(nearest("timer", "sleap", 1).as_deref(), Some("timer:sleep/1"));
        assert_eq!(nearest("mnesia", "transaction", 1), None);
    }
}
