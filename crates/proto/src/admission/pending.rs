//! Connections whose peers have not yet said what they want.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The source of a connection, at the precision that one sender cannot vary: an IPv4 address, the 64-bit network of
/// an IPv6 address, or this host's loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// The address that represents it.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self(match address {
            _ if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V4(_) => address,
            // A host with one address of a network can use all of them.
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

/// The connections at a port that are still in their first exchange: a request or a handshake.
///
/// A new connection is always admitted. When the table is full, or one origin has half of it, the oldest connection
/// of the origin with the most is closed. An honest peer has finished its request before it is that old, and an
/// origin that opens silent connections displaces its own.
///
/// `K` identifies a connection, `H` is the handle that ends it.
#[derive(Debug)]
pub struct PendingConnections<K, H> {
    limit: usize,
    /// The connections of each origin, the oldest first. Origins without connections are absent.
    waiting: HashMap<Origin, VecDeque<Connection<K, H>>>,
    origins: HashMap<K, Origin>,
    /// How many connections have arrived; the counter gives each its age.
    arrived: u64,
}

#[derive(Debug)]
struct Connection<K, H> {
    connection: K,
    handle: H,
    arrival: u64,
}

/// A connection that is to be closed to make room.
#[derive(Debug, PartialEq, Eq)]
pub struct Displaced<H> {
    /// The handle that ends it.
    pub handle: H,
    /// Its origin.
    pub origin: Origin,
}

impl<K: Copy + Eq + Hash, H> PendingConnections<K, H> {
    /// An empty table for `limit` connections, of which one origin may have half.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), waiting: HashMap::new(), origins: HashMap::new(), arrived: 0 }
    }

    /// Admits a connection; returns the one that is to be closed for it, if any.
    pub fn admit(&mut self, connection: K, handle: H, origin: Origin) -> Option<Displaced<H>> {
        let share = self.limit.div_ceil(2);
        let displaced = match self.waiting.get(&origin) {
            Some(own) if own.len() >= share => self.displace_oldest(origin),
            _ if self.origins.len() >= self.limit => self.largest().and_then(|largest| self.displace_oldest(largest)),
            _ => None,
        };
        self.arrived += 1;
        self.waiting.entry(origin).or_default().push_back(Connection { connection, handle, arrival: self.arrived });
        self.origins.insert(connection, origin);
        displaced
    }

    /// Removes a connection, if it is still in the table.
    pub fn release(&mut self, connection: K) {
        let Some(origin) = self.origins.remove(&connection) else { return };
        if let Some(own) = self.waiting.get_mut(&origin) {
            own.retain(|waiting| waiting.connection != connection);
            if own.is_empty() {
                self.waiting.remove(&origin);
            }
        }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    fn displace_oldest(&mut self, origin: Origin) -> Option<Displaced<H>> {
        let own = self.waiting.get_mut(&origin)?;
        let oldest = own.pop_front()?;
        if own.is_empty() {
            self.waiting.remove(&origin);
        }
        self.origins.remove(&oldest.connection);
        Some(Displaced { handle: oldest.handle, origin })
    }

    /// The origin with the most connections; of several, the one whose oldest is the oldest of all.
    fn largest(&self) -> Option<Origin> {
        let arrival = |own: &VecDeque<Connection<K, H>>| own.front().map_or(u64::MAX, |oldest| oldest.arrival);
        let of_many = self.waiting.iter().max_by_key(|(_, own)| (own.len(), u64::MAX - arrival(own)));
        of_many.map(|(origin, _)| *origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        address.parse::<IpAddr>().unwrap().into()
    }

    /// A table of connections that are their own handles.
    struct Table(PendingConnections<u32, u32>);

    impl Table {
        fn admit(&mut self, connection: u32, address: &str) -> Option<u32> {
            self.0.admit(connection, connection, origin(address)).map(|displaced| displaced.handle)
        }
    }

    #[test]
    fn one_origin_displaces_its_own() {
        let mut table = Table(PendingConnections::new(8));
        for connection in 0..4 {
            assert_eq!(table.admit(connection, "10.0.0.1"), None);
        }
        for connection in 4..20 {
            assert_eq!(table.admit(connection, "10.0.0.1"), Some(connection - 4));
        }
        for connection in 20..24 {
            assert_eq!(table.admit(connection, "10.0.0.2"), None);
        }
        assert_eq!(table.admit(24, "10.0.0.3"), Some(16));
        assert_eq!(table.admit(25, "10.0.0.3"), Some(20));
        assert_eq!(table.0.len(), 8);
    }

    #[test]
    fn of_many_origins_with_one_each_the_oldest_makes_room() {
        let mut table = Table(PendingConnections::new(4));
        for host in 1..=4 {
            assert_eq!(table.admit(host, &format!("10.0.0.{host}")), None);
        }
        table.0.release(1);
        assert_eq!(table.admit(5, "10.0.0.5"), None);
        assert_eq!(table.admit(6, "10.0.0.6"), Some(2));
        assert_eq!(table.admit(7, "10.0.0.7"), Some(3));
    }

    #[test]
    fn released_places_are_free() {
        let mut table = Table(PendingConnections::new(2));
        assert_eq!(table.admit(1, "10.0.0.1"), None);
        assert_eq!(table.admit(2, "10.0.0.1"), Some(1));
        table.0.release(1);
        assert_eq!(table.0.len(), 1);
        table.0.release(2);
        assert!(table.0.is_empty());
        assert!(table.0.waiting.is_empty());
        assert_eq!(table.admit(3, "10.0.0.1"), None);
    }

    #[test]
    fn origins() {
        for (one, other) in [
            ("127.0.0.1", "127.8.9.10"),
            ("127.0.0.1", "::1"),
            ("10.0.0.7", "::ffff:10.0.0.7"),
            ("2001:db8::1", "2001:db8:0:0:ffff::2"),
        ] {
            assert_eq!(origin(one), origin(other));
        }
        assert_ne!(origin("10.0.0.7"), origin("10.0.0.8"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
    }
}
