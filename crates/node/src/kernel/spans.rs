//! The span in which a handler runs. Without the feature `spans` there is none.
//!
//! It has the `id` of the caller's span, at whatever node that is: the reference of the request.

#[cfg(feature = "spans")]
mod enabled {
    use peerl_term::{Atom, Reference};
    use tracing::field::debug;
    use tracing::{Level, Span, span};

    /// None if a call of this node itself runs the handler, which is then in the caller's span; or if no spans are recorded.
    #[derive(Clone, Default)]
    pub(crate) struct ServeSpan(Option<Span>);

    impl ServeSpan {
        pub(crate) fn is_recorded() -> bool {
            tracing::enabled!(target: "peerl_node::spans", Level::DEBUG)
        }

        pub(crate) fn new(
            caller: &Atom,
            (module, function, arity): &(Atom, Atom, usize),
            reference: &Reference,
        ) -> Self {
            let (module, function, caller) = (module.as_str(), function.as_str(), caller.as_str());
            let id = debug(reference);
            Self(Some(span!(
                target: "peerl_node::spans", parent: None, Level::DEBUG, "serve", caller, module, function, arity, id
            )))
        }

        pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
            match &self.0 {
                Some(span) => span.in_scope(run),
                None => run(),
            }
        }
    }
}

#[cfg(not(feature = "spans"))]
mod disabled {
    #[derive(Clone, Default)]
    pub(crate) struct ServeSpan {}

    impl ServeSpan {
        #[inline]
        pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
            run()
        }
    }
}

#[cfg(not(feature = "spans"))]
pub(crate) use disabled::ServeSpan;
#[cfg(feature = "spans")]
pub(crate) use enabled::ServeSpan;
