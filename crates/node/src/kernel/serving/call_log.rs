//! The log of the calls that peers make: a line for each at the level `info`, with its caller, function, time and outcome.

use peerl_term::{Atom, Term};
use tokio::time::Instant;
use tracing::Level;

use crate::kernel::exception::{Class, Exception};
use crate::kernel::exports::Outcome;

/// A call of a peer that gets its line when it ends. None is made while the level is off.
#[derive(Debug)]
pub(crate) struct CallLog {
    caller: Atom,
    /// As text. Names come from the peer: they may have any characters, and are escaped.
    function: String,
    began: Instant,
    told: bool,
}

impl CallLog {
    pub(crate) fn begin(caller: &Atom, module: &Atom, function: &Atom, arity: usize) -> Option<Box<Self>> {
        Self::begin_text(caller, || {
            format!("{}:{}/{arity}", module.as_str().escape_debug(), function.as_str().escape_debug())
        })
    }

    /// Begins the line of what cannot be a call: its terms are shown as they are.
    pub(crate) fn begin_refused(caller: &Atom, module: &Term, function: &Term, arguments: &Term) -> Option<Box<Self>> {
        Self::begin_text(caller, || {
            let [module, function] = [module, function].map(shown);
            match arguments.as_list() {
                Some(arguments) => format!("{module}:{function}/{}", arguments.len()),
                None => format!("{module}:{function} with {} for arguments", shown(arguments)),
            }
        })
    }

    fn begin_text(caller: &Atom, function: impl FnOnce() -> String) -> Option<Box<Self>> {
        if !tracing::enabled!(target: "peerl_node::call", Level::INFO) {
            return None;
        }
        Some(Box::new(Self { caller: caller.clone(), function: function(), began: Instant::now(), told: false }))
    }

    #[cold]
    pub(crate) fn end(mut self, outcome: &Outcome) {
        match outcome {
            Ok(_) => self.tell("value"),
            Err(Exception { class, reason, .. }) => {
                let class = match class {
                    Class::Error => "error",
                    Class::Exit => "exit",
                    Class::Throw => "throw",
                };
                self.tell(&format!("{class} {}", shown(reason)));
            }
        }
    }

    fn tell(&mut self, outcome: &str) {
        self.told = true;
        let (caller, function, duration) = (self.caller.as_str().escape_debug(), &self.function, self.began.elapsed());
        tracing::info!(target: "peerl_node::call", %caller, %function, ?duration, outcome, "call");
    }
}

impl Drop for CallLog {
    /// The process that made the call has been ended.
    fn drop(&mut self) {
        if !self.told {
            self.tell("ended by a signal");
        }
    }
}

/// The beginning of a term, as text without control characters.
fn shown(term: &Term) -> String {
    const MOST: usize = 200;
    term.shown(MOST)
}
