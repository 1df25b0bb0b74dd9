//! The table of a server's connections, which decides which one is closed for a new one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use peerl_proto::admission::Origin;

/// The connections of a server, with their activities.
///
/// A connection that waits can be closed for a new one; one that works for its client cannot. So clients that are
/// silent, do not read, or have event streams keep no others out. `H` is the handle that ends a connection.
#[derive(Debug)]
pub(super) struct ConnectionTable<H> {
    limit: usize,
    /// The most connections of one origin.
    share: usize,
    entries: HashMap<u64, Slot<H>>,
    arrived: u64,
}

/// The activity of a connection; earlier variants are closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// It waits for the head of a request: a new connection, or one between requests.
    AwaitsRequest,
    /// The client does not read its answer, or does not send the body of its request.
    AwaitsClient,
    /// Its answer waits for an event. The client of such a stream reconnects by itself.
    AwaitsEvent,
    /// It answers a request.
    Works,
}

#[derive(Debug)]
struct Slot<H> {
    origin: Origin,
    activity: Activity,
    since: Instant,
    handle: H,
}

/// Whether a new connection is admitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<H> {
    /// It is admitted under this number.
    Admitted(u64),
    /// It is admitted under this number, and another connection is to be closed.
    Displaces(u64, H, Origin),
    /// All connections that its address may have are at work.
    Refused,
}

impl<H: Clone> ConnectionTable<H> {
    pub(super) fn new(limit: usize, share: usize) -> Self {
        Self { limit: limit.max(1), share: share.max(1), entries: HashMap::new(), arrived: 0 }
    }

    /// Whether a new connection from any address would be admitted.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.limit || self.waiting().next().is_some()
    }

    /// Admits a connection.
    pub(super) fn admit(&mut self, origin: Origin, now: Instant, handle: impl FnOnce(u64) -> H) -> Admission<H> {
        let own = self.entries.values().filter(|place| place.origin == origin).count();
        let leaves = if own >= self.share {
            self.longest_waiting(|of| of == origin)
        } else if self.entries.len() >= self.limit {
            self.longest_waiting_of_many()
        } else {
            return Admission::Admitted(self.insert(origin, now, handle));
        };
        match leaves.and_then(|id| self.entries.remove(&id)) {
            Some(left) => Admission::Displaces(self.insert(origin, now, handle), left.handle, left.origin),
            None => Admission::Refused,
        }
    }

    /// Records a new activity of a connection.
    pub(super) fn occupy(&mut self, id: u64, activity: Activity, now: Instant) {
        if let Some(place) = self.entries.get_mut(&id).filter(|place| place.activity != activity) {
            (place.activity, place.since) = (activity, now);
        }
    }

    /// Records what a request's work waits for.
    pub(super) fn pause(&mut self, id: u64, activity: Activity, now: Instant) {
        if self.entries.get(&id).is_some_and(|place| place.activity == Activity::Works) {
            self.occupy(id, activity, now);
        }
    }

    /// Records the end of that wait.
    pub(super) fn proceed(&mut self, id: u64, activity: Activity, now: Instant) {
        if self.entries.get(&id).is_some_and(|place| place.activity == activity) {
            self.occupy(id, Activity::Works, now);
        }
    }

    /// Removes a connection, if it is still in the table.
    pub(super) fn release(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    /// Removes the connections that have waited for their clients for this time.
    pub(super) fn release_stalled(&mut self, limit: Duration, now: Instant) -> Vec<H> {
        self.release_if(|place| {
            place.activity <= Activity::AwaitsClient && now.saturating_duration_since(place.since) >= limit
        })
    }

    /// Removes the connections without a request.
    pub(super) fn release_idle(&mut self) -> Vec<H> {
        self.release_if(|place| place.activity == Activity::AwaitsRequest)
    }

    /// Removes the connection that has waited longest, if any waits.
    pub(super) fn release_longest_waiting(&mut self) -> Option<H> {
        let id = self.longest_waiting_of_many()?;
        self.entries.remove(&id).map(|place| place.handle)
    }

    /// The number of connections with an unanswered request.
    pub(super) fn at_work(&self) -> usize {
        self.entries.values().filter(|place| place.activity != Activity::AwaitsRequest).count()
    }

    fn insert(&mut self, origin: Origin, now: Instant, handle: impl FnOnce(u64) -> H) -> u64 {
        self.arrived += 1;
        let place = Slot { origin, activity: Activity::AwaitsRequest, since: now, handle: handle(self.arrived) };
        self.entries.insert(self.arrived, place);
        self.arrived
    }

    fn release_if(&mut self, condition: impl Fn(&Slot<H>) -> bool) -> Vec<H> {
        self.entries.extract_if(|_, place| condition(place)).map(|(_, place)| place.handle).collect()
    }

    fn waiting(&self) -> impl Iterator<Item = (&u64, &Slot<H>)> {
        self.entries.iter().filter(|(_, place)| place.activity != Activity::Works)
    }

    fn longest_waiting(&self, from: impl Fn(Origin) -> bool) -> Option<u64> {
        let candidates = self.waiting().filter(|(_, place)| from(place.origin));
        candidates.min_by_key(|(id, place)| (place.activity, place.since, **id)).map(|(id, _)| *id)
    }

    /// Of the connections whose activity is closed first, the longest waiting one of the address with the most.
    fn longest_waiting_of_many(&self) -> Option<u64> {
        let first = self.waiting().map(|(_, place)| place.activity).min()?;
        let mut counts = HashMap::<Origin, usize>::new();
        let those = self.waiting().filter(|(_, place)| place.activity == first);
        those.for_each(|(_, place)| *counts.entry(place.origin).or_default() += 1);
        let most = counts.values().max()?;
        self.longest_waiting(|origin| counts.get(&origin) == Some(most))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Activity::{AwaitsClient, AwaitsEvent, AwaitsRequest, Works};
    use super::*;

    /// A table whose connections are their own handles, and a clock that advances with each step.
    struct Server {
        connections: ConnectionTable<u64>,
        now: Instant,
    }

    impl Server {
        fn new(limit: usize) -> Self {
            Self { connections: ConnectionTable::new(limit, limit / 2), now: Instant::now() }
        }

        fn tick(&mut self) -> Instant {
            self.now += Duration::from_secs(1);
            self.now
        }

        fn admit(&mut self, address: &str) -> Admission<u64> {
            let now = self.tick();
            self.connections.admit(address.parse::<IpAddr>().unwrap().into(), now, |id| id)
        }

        /// The connection that is closed for a new one.
        fn displaced(&mut self, address: &str) -> u64 {
            match self.admit(address) {
                Admission::Displaces(_, displaced, _) => displaced,
                other => panic!("{other:?}"),
            }
        }

        fn occupy(&mut self, id: u64, activity: Activity) {
            let now = self.tick();
            self.connections.occupy(id, activity, now);
        }
    }

    #[test]
    fn silent_connections_leave_in_the_order_of_their_waiting() {
        let mut server = Server::new(8);
        for id in 1..=4 {
            assert_eq!(server.admit("10.0.0.1"), Admission::Admitted(id));
        }
        // The first one has had a request in the meantime, and waits for another.
        server.occupy(1, Works);
        assert_eq!(server.displaced("10.0.0.1"), 2);
        server.occupy(1, AwaitsRequest);
        assert_eq!([server.displaced("10.0.0.1"), server.displaced("10.0.0.1")], [3, 4]);
        assert_eq!([server.displaced("10.0.0.1"), server.displaced("10.0.0.1")], [5, 1]);
    }

    #[test]
    fn of_many_addresses_the_one_with_the_most_silent_connections_makes_room() {
        let mut server = Server::new(4);
        for (id, address) in ["10.0.0.9", "10.0.0.1", "10.0.0.1", "10.0.0.2"].into_iter().enumerate() {
            assert_eq!(server.admit(address), Admission::Admitted(id as u64 + 1));
        }
        assert_eq!(server.displaced("10.0.0.3"), 2);
        assert_eq!(server.displaced("10.0.0.4"), 1, "of equals the oldest");
    }

    #[test]
    fn silent_ones_leave_before_slow_ones_and_slow_ones_before_none() {
        let mut server = Server::new(4);
        for _ in 0..2 {
            server.admit("10.0.0.1");
        }
        server.occupy(1, Works);
        let now = server.tick();
        server.connections.pause(1, AwaitsClient, now);
        assert_eq!(server.displaced("10.0.0.1"), 2);
        server.occupy(3, Works);
        assert_eq!(server.displaced("10.0.0.1"), 1);
        server.occupy(4, Works);
        assert_eq!(server.admit("10.0.0.1"), Admission::Refused);
        assert_eq!(server.admit("10.0.0.2"), Admission::Admitted(5));
    }

    #[test]
    fn streams_of_events_leave_after_all_others_that_wait() {
        let mut server = Server::new(4);
        for address in ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            server.admit(address);
        }
        for id in 1..=3 {
            server.occupy(id, Works);
            let now = server.tick();
            server.connections.pause(id, AwaitsEvent, now);
        }
        assert_eq!(server.displaced("10.0.0.4"), 4, "the silent one, not one of the address with the most");
        server.occupy(5, Works);
        assert_eq!(server.displaced("10.0.0.4"), 1);
        let now = server.tick();
        assert!(server.connections.release_stalled(Duration::ZERO, now).len() == 1, "only the silent one");
        server.connections.proceed(2, AwaitsClient, now);
        assert_eq!(server.connections.entries[&2].activity, AwaitsEvent);
        server.connections.proceed(2, AwaitsEvent, now);
        assert_eq!(server.connections.entries[&2].activity, Works);
    }

    #[test]
    fn when_all_are_at_work_there_is_no_room() {
        let mut server = Server::new(2);
        server.admit("10.0.0.1");
        server.admit("10.0.0.2");
        assert!(server.connections.has_room());
        server.occupy(1, Works);
        server.occupy(2, Works);
        assert!(!server.connections.has_room());
        assert_eq!(server.admit("10.0.0.3"), Admission::Refused);
        assert_eq!((server.connections.at_work(), server.connections.release_longest_waiting()), (2, None));
        server.connections.release(1);
        assert!(server.connections.has_room());
    }

    #[test]
    fn only_a_request_can_stall_and_it_can_go_on() {
        let mut server = Server::new(4);
        server.admit("10.0.0.1");
        let now = server.tick();
        server.connections.pause(1, AwaitsClient, now);
        assert_eq!(server.connections.entries[&1].activity, AwaitsRequest);
        server.occupy(1, Works);
        let stalled = server.tick();
        server.connections.pause(1, AwaitsClient, stalled);
        assert_eq!(server.connections.entries[&1].activity, AwaitsClient);
        let limit = Duration::from_secs(30);
        assert!(server.connections.release_stalled(limit, stalled + limit / 2).is_empty());
        server.connections.proceed(1, AwaitsClient, stalled + limit / 2);
        assert!(server.connections.release_stalled(limit, stalled + limit).is_empty());
        server.connections.pause(1, AwaitsClient, stalled + limit);
        assert_eq!(server.connections.release_stalled(limit, stalled + limit * 2), [1]);
        assert!(server.connections.release_idle().is_empty());
    }
}
