use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use peerl_node::Term;

use super::Stop;
use crate::panic;

/// Runs a handler. A panic becomes the reason `{panic, Text}`.
pub(crate) async fn guarded<T>(handler: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    AssertUnwindSafe(handler).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Stop::because(Term::tuple([Term::atom("panic"), Term::from(panic::text(&*panic))])))
    })
}
