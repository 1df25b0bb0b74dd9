//! The log of the calls that peers make: a line for each at the level `info`, with its caller, function, time and outcome.

use std::time::Instant;

use peerl_term::Atom;
use tracing::Level;

use crate::exports::Outcome;
use crate::{Class, Exception};

/// A call of a peer that gets its line when it ends. None is made while the level is off.
#[derive(Debug)]
pub(crate) struct CallLog {
    caller: Atom,
    module: Atom,
    function: Atom,
    arity: usize,
    began: Instant,
    told: bool,
}

impl CallLog {
    /// The most characters of a reason.
    const SHOWN: usize = 200;

    pub(crate) fn begin(caller: &Atom, module: &Atom, function: &Atom, arity: usize) -> Option<Box<Self>> {
        if !tracing::enabled!(target: "peerl_node::call", Level::INFO) {
            return None;
        }
        let (caller, module, function) = (caller.clone(), module.clone(), function.clone());
        Some(Box::new(Self { caller, module, function, arity, began: Instant::now(), told: false }))
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
                let reason = format!("{reason:?}");
                let shown = reason.char_indices().nth(Self::SHOWN).map_or(&reason[..], |(end, _)| &reason[..end]);
                self.tell(&format!("{class} {shown}"));
            }
        }
    }

    fn tell(&mut self, outcome: &str) {
        self.told = true;
        // Names come from the peer: they may have any characters.
        let (module, function) = (self.module.as_str().escape_debug(), self.function.as_str().escape_debug());
        let function = format!("{module}:{function}/{}", self.arity);
        let (caller, duration) = (self.caller.as_str().escape_debug(), self.began.elapsed());
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
