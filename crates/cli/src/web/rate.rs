//! Rate limits for clients.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use peerl_proto::admission::Origin;

/// Allows each client address a burst, and one more action after each interval.
#[derive(Debug)]
pub(crate) struct Rate {
    burst: u32,
    every: Duration,
    clients: Mutex<HashMap<Origin, Client>>,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    /// When the client's budget is full again.
    fresh_at: Instant,
}

impl Rate {
    /// The most clients that are tracked; beyond that, those with the largest budget are dropped.
    const CLIENTS: usize = 1024;

    /// A limit with this burst and interval.
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, clients: Mutex::default() }
    }

    /// Counts an action.
    ///
    /// # Errors
    /// How long the client must wait. The action is then not counted.
    pub(crate) fn take(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let origin = Origin::from(client);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= Self::CLIENTS && !clients.contains_key(&origin) {
            clients.retain(|_, client| client.fresh_at > now);
            let freshest = clients.iter().min_by_key(|(_, client)| client.fresh_at).map(|(origin, _)| *origin);
            if let Some(freshest) = freshest.filter(|_| clients.len() >= Self::CLIENTS) {
                clients.remove(&freshest);
            }
        }
        let client = clients.entry(origin).or_insert(Client { fresh_at: now });
        let fresh_at = client.fresh_at.max(now) + self.every;
        let latest = now + self.every * self.burst;
        if fresh_at > latest {
            return Err(fresh_at - latest);
        }
        client.fresh_at = fresh_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_then_one_by_one() {
        let (rate, mut now) = (Rate::new(3, Duration::from_secs(10)), Instant::now());
        let [one, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        for _ in 0..3 {
            assert_eq!(rate.take(one, now), Ok(()));
        }
        assert_eq!(rate.take(one, now), Err(Duration::from_secs(10)));
        assert_eq!(rate.take(other, now), Ok(()));
        now += Duration::from_secs(10);
        assert_eq!(rate.take(one, now), Ok(()));
        assert_eq!(rate.take(one, now), Err(Duration::from_secs(10)));
        now += Duration::from_secs(60);
        assert!((0..3).all(|_| rate.take(one, now).is_ok()) && rate.take(one, now).is_err());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory() {
        let (rate, now) = (Rate::new(1, Duration::from_secs(60)), Instant::now());
        for number in 0..5000_u32 {
            let _ = rate.take(IpAddr::V4(number.into()), now);
        }
        assert!(rate.clients.lock().unwrap().len() <= Rate::CLIENTS);
    }
}
