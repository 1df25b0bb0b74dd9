//! The cluster beside a job, as an event.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peerl_proto::budget::{Lease, Share};
use serde::Serialize;
use tokio::time::Instant;

use crate::web::cluster::Cluster;
use crate::web::event_text::event;
use crate::web::html::{self, Work};
use crate::web::job::JobHead;
use crate::web::site::Site;

/// The shortest interval between two pictures.
const INTERVAL: Duration = Duration::from_secs(1);

/// A picture for a client.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The number of the picture: another one looks different.
    pub(crate) number: u64,
    /// The event.
    pub(crate) event: Bytes,
    /// Whether it shows what is known now; if not, there is another one at the next instant.
    pub(crate) is_current: bool,
    /// The earliest instant of another one.
    pub(crate) next: Instant,
}

/// The pictures of a feed, of which the last one is kept.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    number: u64,
    last: Option<Picture>,
}

#[derive(Debug)]
struct Picture {
    cluster: Arc<Cluster>,
    head: Option<Arc<JobHead>>,
    made: Instant,
    event: Bytes,
    _lease: Lease,
}

#[derive(Serialize)]
struct Html<'a> {
    html: &'a str,
}

impl Pictures {
    /// The last picture, or another one if something has changed. That of all jobs changes without a sign.
    pub(super) async fn shown(&mut self, site: &Site, head: Option<Arc<JobHead>>, share: &Arc<Share>) -> Shown {
        let cluster = site.cluster.now();
        if let Some(last) = &self.last {
            let (is_young, is_current) = (last.made.elapsed() < INTERVAL, last.is_of(&cluster, head.as_ref()));
            if is_young || (is_current && head.is_some()) {
                let (event, next) = (last.event.clone(), last.made + INTERVAL);
                return Shown { number: self.number, event, is_current, next };
            }
        }
        let jobs = if head.is_none() { site.jobs.running() } else { Vec::new() };
        let (known, work) = (cluster.clone(), head.clone());
        let event = site.apart(move || draw(&known, work.as_deref().map_or(Work::OfAll(&jobs), Work::Of))).await;
        let last = self.last.take().map(|last| last.event).filter(|last| *last == event);
        self.number += u64::from(last.is_none());
        let (event, made) = (last.unwrap_or(event), Instant::now());
        let shown = Shown { number: self.number, event: event.clone(), is_current: true, next: made + INTERVAL };
        // Without memory for it, each client has its own.
        self.last = share.lease(event.len()).map(|lease| Picture { cluster, head, made, event, _lease: lease });
        shown
    }
}

impl Picture {
    fn is_of(&self, cluster: &Arc<Cluster>, head: Option<&Arc<JobHead>>) -> bool {
        let is_of_head = match (&self.head, head) {
            (Some(own), Some(head)) => Arc::ptr_eq(own, head),
            (own, head) => own.is_none() && head.is_none(),
        };
        is_of_head && Arc::ptr_eq(&self.cluster, cluster)
    }
}

fn draw(cluster: &Cluster, work: Work<'_>) -> Bytes {
    let html = html::cluster(cluster, work).into_string();
    event("cluster", None, html.len() * 9 / 8, &Html { html: &html })
}
