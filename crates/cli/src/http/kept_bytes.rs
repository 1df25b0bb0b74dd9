//! The memory that requests and answers take: a client that stops in the middle keeps it for some time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::header::{HeaderValue, RETRY_AFTER};
use peerl_proto::budget::{Lease, Share};

use super::json::error;

/// What one request keeps of its server's memory: first its body, then its answer.
#[derive(Clone, Debug)]
pub(super) struct KeptBytes(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    lease: Lease,
    is_refused: bool,
}

/// There is no memory for the body of a request.
#[derive(Debug, thiserror::Error)]
#[error("too much is being sent to this server at a time")]
pub(super) struct NoMemory;

impl KeptBytes {
    /// Nothing yet, of the share of a connection.
    pub(super) fn new(share: &Arc<Share>) -> Self {
        Self(Arc::new(Mutex::new(Kept { lease: Lease::nothing(share.clone()), is_refused: false })))
    }

    /// Keeps a part of a body, which is copied once when all has come.
    ///
    /// # Errors
    /// If there is not that much.
    pub(super) fn keep(&self, bytes: usize) -> Result<(), NoMemory> {
        let mut kept = self.lock();
        kept.is_refused |= !kept.lease.grow(2 * bytes);
        if kept.is_refused { Err(NoMemory) } else { Ok(()) }
    }

    /// Keeps the answer in place of the body. If there is no memory for it, or was none for the body, the answer is another one.
    pub(super) fn answer(&self, response: Response) -> Response {
        let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
        let mut kept = self.lock();
        if !kept.is_refused && kept.lease.resize(size) {
            return response;
        }
        kept.lease.resize(0);
        drop((kept, response));
        let mut refusal = error(StatusCode::SERVICE_UNAVAILABLE, "too much is being sent at a time: try again later");
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
        refusal
    }

    /// A part of the answer, which is kept until it has been written: the server forgets a body when it has taken the last part.
    pub(super) fn hold(&self, part: Bytes) -> Bytes {
        let lease = self.lock().lease.split(part.len());
        if lease.amount() > 0 { lease.hold_for(part) } else { part }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use peerl_proto::budget::Budget;

    use super::*;

    #[test]
    fn answers_take_the_place_of_bodies() {
        let budget = Budget::new(1 << 20, 1);
        let share = Arc::new(budget.share());
        let (first, second) = (KeptBytes::new(&share), KeptBytes::new(&share));
        let answer = |size| Response::new(Body::from(vec![b'x'; size]));
        assert!(first.keep(200 << 10).is_ok() && second.keep(200 << 10).is_err());
        assert_eq!(second.answer(answer(10)).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(first.answer(answer(600 << 10)).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(budget.lent(), 0);
        let third = KeptBytes::new(&share);
        assert_eq!(third.answer(answer(100 << 10)).status(), StatusCode::OK);
        let unwritten = third.hold(Bytes::from(vec![b'x'; 100 << 10]));
        drop(third);
        assert_eq!(share.taken(), 100 << 10);
        drop(unwritten);
        assert_eq!(budget.lent(), 0);
    }
}
