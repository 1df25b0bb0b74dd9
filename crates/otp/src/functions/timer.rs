//! `timer`: waiting.

use std::time::Duration;

use peerl_node::{CallContext, Exception, Node};
use peerl_term::{AtomError, Term};

use super::Outcome;

/// `timer:sleep(Milliseconds)`, also `infinity`.
pub(super) fn register(node: &Node) -> Result<(), AtomError> {
    node.export("timer", "sleep", |context: CallContext, (time,): (Term,)| async move {
        // Who sends calls and leaves does not keep their memory.
        tokio::select! {
            slept = sleep(time) => slept,
            () = context.cancelled() => Err(Exception::exit(Term::atom("noconnection"))),
        }
    })
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
