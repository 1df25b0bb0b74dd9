//! Rows that have changed since a version, as an event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peerl_proto::budget::{Lease, Share};
use serde::Serialize;
use tokio::time::Instant;

use crate::web::event_text::event;
use crate::web::job::{JobHead, Update};
use crate::web::row::Row;

/// How long a piece is kept for other clients with the same version. What has changed since comes in the next ones.
const KEPT: Duration = Duration::from_secs(2);

/// The most pieces that are kept.
const MOST: usize = 128;

/// Rows that have changed since a version.
#[derive(Debug)]
pub(crate) struct Piece {
    after: u64,
    made: Instant,
    lease: Lease,
    /// The version that includes them.
    pub(crate) version: u64,
    /// Whether further rows have changed.
    pub(crate) more: bool,
    /// The job.
    pub(crate) head: Arc<JobHead>,
    /// The event.
    pub(crate) event: Bytes,
}

/// A piece that is not yet kept.
#[derive(Debug)]
pub(super) struct Made {
    version: u64,
    more: bool,
    head: JobHead,
    event: Bytes,
}

#[derive(Serialize)]
struct Rows<'a> {
    job: &'a JobHead,
    summary: String,
    rows: &'a [Row],
}

impl Made {
    /// Makes the event. This takes long, with long URLs.
    pub(super) fn of(update: Update) -> Self {
        /// About what a row takes beside its URL and its error.
        const ROW: usize = 256;
        let Update { job, rows, version, more } = update;
        let texts = rows.iter().map(|row| row.url.len() + row.error.as_ref().map_or(0, String::len) + ROW);
        let size = ROW * (1 + job.nodes.len()) + texts.sum::<usize>();
        let event = event("rows", Some(version), size, &Rows { summary: job.summary(), job: &job, rows: &rows });
        Self { version, more, head: job, event }
    }
}

/// The pieces that are kept, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Pieces {
    kept: VecDeque<Arc<Piece>>,
    /// How many bytes they can have.
    most: usize,
}

impl Pieces {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), most }
    }

    /// The piece after a version. Who has had another one needs one with changes.
    pub(super) fn get(&self, after: u64, is_first: bool) -> Option<Arc<Piece>> {
        let fits = |piece: &&Arc<Piece>| {
            piece.after == after && (is_first || piece.version > after) && piece.made.elapsed() < KEPT
        };
        self.kept.iter().rev().find(fits).cloned()
    }

    /// Keeps a piece, if there is memory for it.
    pub(super) fn add(&mut self, after: u64, made: Made, share: &Arc<Share>) -> Arc<Piece> {
        let Made { version, more, head, event } = made;
        self.kept.retain(|piece| piece.after != after && piece.made.elapsed() < KEPT);
        while self.kept.len() >= MOST || self.bytes() + event.len() > self.most {
            if self.kept.pop_front().is_none() {
                break;
            }
        }
        let lease = if event.len() <= self.most { share.lease(event.len()) } else { None };
        let is_kept = lease.is_some();
        let lease = lease.unwrap_or_else(|| Lease::nothing(share.clone()));
        let piece = Arc::new(Piece { after, made: Instant::now(), lease, version, more, head: Arc::new(head), event });
        if is_kept {
            self.kept.push_back(piece.clone());
        }
        piece
    }

    fn bytes(&self) -> usize {
        self.kept.iter().map(|piece| piece.lease.amount()).sum()
    }
}

#[cfg(test)]
mod tests {
    use peerl_proto::budget::Budget;

    use super::*;
    use crate::web::job::Job;
    use crate::web::urls::Urls;

    #[tokio::test(start_paused = true)]
    async fn are_kept_for_a_while_and_within_their_memory() {
        let budget = Budget::new(1 << 20, 1);
        let share = Arc::new(budget.share());
        let job = Job::new("j".to_owned(), "n@h", Urls::parse("http://a").unwrap());
        let made = || Made::of(job.update(0, 1));
        let size = made().event.len();
        let mut pieces = Pieces::new(2 * size);
        for after in 0..3 {
            pieces.add(after, made(), &share);
        }
        assert_eq!([0, 1, 2].map(|after| pieces.get(after, true).is_some()), [false, true, true]);
        assert!(pieces.get(1, false).is_none(), "it has no changes after version 1");
        assert_eq!(budget.lent(), 2 * size);
        tokio::time::advance(KEPT).await;
        assert!(pieces.get(1, true).is_none());
        pieces.add(7, made(), &share);
        assert_eq!(budget.lent(), size);
        let mut narrow = Pieces::new(size - 1);
        assert_eq!(narrow.add(0, made(), &share).version, 1);
        assert!(narrow.get(0, true).is_none());
        assert_eq!(budget.lent(), size);
    }
}
