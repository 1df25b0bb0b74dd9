//! `timer`: waiting.

use std::time::Duration;

use peerl_node::{Exception, Node};
use peerl_term::{AtomError, Term};

use super::Outcome;

/// `timer:sleep(Milliseconds)`, also `infinity`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("timer", "sleep", |(time,): (Term,)| sleep(time))
}

async fn sleep(time: Term) -> Outcome {
    match &time {
        time if time.is_atom("infinity") => std::future::pending().await,
        // The BEAM's longest time-out.
        Term::Integer(milliseconds @ 0..=0xffff_ffff) => {
            tokio::time::sleep(Duration::from_millis(milliseconds.unsigned_abs())).await;
            Ok(Term::atom("ok"))
        }
        _ => Err(Exception::error(Term::atom("timeout_value"))
            .of_argument(1, "neither a number of milliseconds from 0 to 4294967295 nor infinity")),
    }
}
