//! The places of a server's connections, and which connection has to leave for a new one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use peerl_proto::admission::Origin;

/// The connections of a server, each with what it is occupied with.
///
/// A connection that waits can be closed for a new one; one at work for its client cannot. So clients that say nothing, or
/// do not read, or have streams of events, keep nobody out. `H` is what ends a connection.
#[derive(Debug)]
pub(super) struct Places<H> {
    limit: usize,
    /// The most that one origin can have.
    share: usize,
    taken: HashMap<u64, Place<H>>,
    arrived: u64,
}

/// What a connection is occupied with; those that come first are closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Occupation {
    /// It has no whole head of a request: a new connection, or one between two requests.
    AwaitsRequest,
    /// The client does not read its answer, or does not send the body of its request.
    AwaitsClient,
    /// Its answer goes on when there is something to tell. The client of such a stream connects again by itself.
    AwaitsEvent,
    /// A request is answered.
    Works,
}

#[derive(Debug)]
struct Place<H> {
    origin: Origin,
    occupation: Occupation,
    since: Instant,
    handle: H,
}

/// Whether a new connection gets a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<H> {
    /// It has this one.
    Admitted(u64),
    /// It has this one, which another connection has to leave.
    Displaces(u64, H, Origin),
    /// All places that its address can have are at work.
    Refused,
}

impl<H: Clone> Places<H> {
    pub(super) fn new(limit: usize, share: usize) -> Self {
        Self { limit: limit.max(1), share: share.max(1), taken: HashMap::new(), arrived: 0 }
    }

    /// Whether a new connection would get a place, wherever it comes from.
    pub(super) fn has_room(&self) -> bool {
        self.taken.len() < self.limit || self.waiting().next().is_some()
    }

    /// Gives a connection a place.
    pub(super) fn admit(&mut self, origin: Origin, now: Instant, handle: impl FnOnce(u64) -> H) -> Admission<H> {
        let own = self.taken.values().filter(|place| place.origin == origin).count();
        let leaves = if own >= self.share {
            self.longest_waiting(|of| of == origin)
        } else if self.taken.len() >= self.limit {
            self.longest_waiting_of_many()
        } else {
            return Admission::Admitted(self.insert(origin, now, handle));
        };
        match leaves.and_then(|id| self.taken.remove(&id)) {
            Some(left) => Admission::Displaces(self.insert(origin, now, handle), left.handle, left.origin),
            None => Admission::Refused,
        }
    }

    /// Notes what a connection is occupied with from now on.
    pub(super) fn occupy(&mut self, id: u64, occupation: Occupation, now: Instant) {
        if let Some(place) = self.taken.get_mut(&id).filter(|place| place.occupation != occupation) {
            (place.occupation, place.since) = (occupation, now);
        }
    }

    /// Notes what the work at a request waits for.
    pub(super) fn pause(&mut self, id: u64, occupation: Occupation, now: Instant) {
        if self.taken.get(&id).is_some_and(|place| place.occupation == Occupation::Works) {
            self.occupy(id, occupation, now);
        }
    }

    /// Notes that it waits for that no longer.
    pub(super) fn proceed(&mut self, id: u64, occupation: Occupation, now: Instant) {
        if self.taken.get(&id).is_some_and(|place| place.occupation == occupation) {
            self.occupy(id, Occupation::Works, now);
        }
    }

    /// Takes the place of a connection back, if it still has one.
    pub(super) fn release(&mut self, id: u64) {
        self.taken.remove(&id);
    }

    /// Takes the places of the connections that have waited for their clients for so long.
    pub(super) fn release_stalled(&mut self, limit: Duration, now: Instant) -> Vec<H> {
        self.release_if(|place| {
            place.occupation <= Occupation::AwaitsClient && now.saturating_duration_since(place.since) >= limit
        })
    }

    /// Takes the places of the connections without a request.
    pub(super) fn release_idle(&mut self) -> Vec<H> {
        self.release_if(|place| place.occupation == Occupation::AwaitsRequest)
    }

    /// Takes the place of the connection that has waited longest, if any waits.
    pub(super) fn release_longest_waiting(&mut self) -> Option<H> {
        let id = self.longest_waiting_of_many()?;
        self.taken.remove(&id).map(|place| place.handle)
    }

    /// How many connections have a request that is not answered yet.
    pub(super) fn at_work(&self) -> usize {
        self.taken.values().filter(|place| place.occupation != Occupation::AwaitsRequest).count()
    }

    fn insert(&mut self, origin: Origin, now: Instant, handle: impl FnOnce(u64) -> H) -> u64 {
        self.arrived += 1;
        let place = Place { origin, occupation: Occupation::AwaitsRequest, since: now, handle: handle(self.arrived) };
        self.taken.insert(self.arrived, place);
        self.arrived
    }

    fn release_if(&mut self, condition: impl Fn(&Place<H>) -> bool) -> Vec<H> {
        self.taken.extract_if(|_, place| condition(place)).map(|(_, place)| place.handle).collect()
    }

    fn waiting(&self) -> impl Iterator<Item = (&u64, &Place<H>)> {
        self.taken.iter().filter(|(_, place)| place.occupation != Occupation::Works)
    }

    fn longest_waiting(&self, from: impl Fn(Origin) -> bool) -> Option<u64> {
        let candidates = self.waiting().filter(|(_, place)| from(place.origin));
        candidates.min_by_key(|(id, place)| (place.occupation, place.since, **id)).map(|(id, _)| *id)
    }

    /// Of those that wait for what is closed first, the longest waiting one of the address that has the most.
    fn longest_waiting_of_many(&self) -> Option<u64> {
        let first = self.waiting().map(|(_, place)| place.occupation).min()?;
        let mut counts = HashMap::<Origin, usize>::new();
        let those = self.waiting().filter(|(_, place)| place.occupation == first);
        those.for_each(|(_, place)| *counts.entry(place.origin).or_default() += 1);
        let most = counts.values().max()?;
        self.longest_waiting(|origin| counts.get(&origin) == Some(most))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Occupation::{AwaitsClient, AwaitsEvent, AwaitsRequest, Works};
    use super::*;

    /// Places whose connections are their own handles, and a clock that goes on with each step.
    struct Server {
        places: Places<u64>,
        now: Instant,
    }

    impl Server {
        fn new(limit: usize) -> Self {
            Self { places: Places::new(limit, limit / 2), now: Instant::now() }
        }

        fn tick(&mut self) -> Instant {
            self.now += Duration::from_secs(1);
            self.now
        }

        fn admit(&mut self, address: &str) -> Admission<u64> {
            let now = self.tick();
            self.places.admit(address.parse::<IpAddr>().unwrap().into(), now, |id| id)
        }

        /// The connection that leaves for a new one.
        fn displaced(&mut self, address: &str) -> u64 {
            match self.admit(address) {
                Admission::Displaces(_, displaced, _) => displaced,
                other => panic!("{other:?}"),
            }
        }

        fn occupy(&mut self, id: u64, occupation: Occupation) {
            let now = self.tick();
            self.places.occupy(id, occupation, now);
        }
    }

    #[test]
    fn silent_connections_leave_in_the_order_of_their_waiting() {
        let mut server = Server::new(8);
        for id in 1..=4 {
            assert_eq!(server.admit("10.0.0.1"), Admission::Admitted(id));
        }
        // The first one has had a request meanwhile, and waits for another one.
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
        server.places.pause(1, AwaitsClient, now);
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
            server.places.pause(id, AwaitsEvent, now);
        }
        assert_eq!(server.displaced("10.0.0.4"), 4, "the silent one, not one of the address with the most");
        server.occupy(5, Works);
        assert_eq!(server.displaced("10.0.0.4"), 1);
        let now = server.tick();
        assert!(server.places.release_stalled(Duration::ZERO, now).len() == 1, "only the silent one");
        server.places.proceed(2, AwaitsClient, now);
        assert_eq!(server.places.taken[&2].occupation, AwaitsEvent);
        server.places.proceed(2, AwaitsEvent, now);
        assert_eq!(server.places.taken[&2].occupation, Works);
    }

    #[test]
    fn when_all_are_at_work_there_is_no_room() {
        let mut server = Server::new(2);
        server.admit("10.0.0.1");
        server.admit("10.0.0.2");
        assert!(server.places.has_room());
        server.occupy(1, Works);
        server.occupy(2, Works);
        assert!(!server.places.has_room());
        assert_eq!(server.admit("10.0.0.3"), Admission::Refused);
        assert_eq!((server.places.at_work(), server.places.release_longest_waiting()), (2, None));
        server.places.release(1);
        assert!(server.places.has_room());
    }

    #[test]
    fn only_a_request_can_stall_and_it_can_go_on() {
        let mut server = Server::new(4);
        server.admit("10.0.0.1");
        let now = server.tick();
        server.places.pause(1, AwaitsClient, now);
        assert_eq!(server.places.taken[&1].occupation, AwaitsRequest);
        server.occupy(1, Works);
        let stalled = server.tick();
        server.places.pause(1, AwaitsClient, stalled);
        assert_eq!(server.places.taken[&1].occupation, AwaitsClient);
        let limit = Duration::from_secs(30);
        assert!(server.places.release_stalled(limit, stalled + limit / 2).is_empty());
        server.places.proceed(1, AwaitsClient, stalled + limit / 2);
        assert!(server.places.release_stalled(limit, stalled + limit).is_empty());
        server.places.pause(1, AwaitsClient, stalled + limit);
        assert_eq!(server.places.release_stalled(limit, stalled + limit * 2), [1]);
        assert!(server.places.release_idle().is_empty());
    }
}
