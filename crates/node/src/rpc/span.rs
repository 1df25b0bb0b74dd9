//! The span of a call that this node makes. Without the feature `spans` there is none.

use peerl_proto::node_name::NodeName;
use peerl_term::Reference;

use crate::mfa::Mfa;

/// Makes a call in its span.
#[cfg(feature = "spans")]
pub(super) fn calling<F: Future>(peer: &NodeName, mfa: &Mfa, call: F) -> tracing::instrument::Instrumented<F> {
    use tracing::field::Empty;
    use tracing::instrument::Instrument;

    let (module, function, arity) = (mfa.module().as_str(), mfa.function().as_str(), mfa.arity());
    call.instrument(
        tracing::span!(target: "peerl_node::spans", tracing::Level::DEBUG, "call", %peer, module, function, arity, id = Empty),
    )
}

#[cfg(not(feature = "spans"))]
#[inline]
pub(super) fn calling<F: Future>(_: &NodeName, _: &Mfa, call: F) -> F {
    call
}

/// Tells the span of the call that is being made the reference of its request.
#[inline]
pub(super) fn requested(reference: &Reference) {
    #[cfg(feature = "spans")]
    tracing::Span::current().record("id", tracing::field::debug(reference));
    #[cfg(not(feature = "spans"))]
    let _ = reference;
}
