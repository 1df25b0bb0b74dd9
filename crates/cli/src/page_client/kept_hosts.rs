//! The hosts whose connections are kept for their next pages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use rustix::process::{Resource, getrlimit};

/// Counts the hosts whose connections are kept. An idle connection belongs to no fetch, so nothing else bounds how many descriptors
/// servers use up by keeping their connections open.
#[derive(Clone, Debug)]
pub(super) struct KeptHosts {
    most: usize,
    hosts: Arc<Mutex<HashMap<Key, Host>>>,
}

/// A host of one client: clients share no connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: u64,
    origin: String,
}

#[derive(Debug)]
struct Host {
    fetches: usize,
    /// When the last fetch began or ended.
    used: Instant,
}

/// A fetch from a host whose connections are kept.
#[derive(Debug)]
pub(super) struct KeptHost {
    hosts: KeptHosts,
    key: Key,
}

impl KeptHosts {
    /// How many idle connections to a host are kept.
    pub(super) const CONNECTIONS: usize = 8;

    /// How long.
    pub(super) const TIME: Duration = Duration::from_secs(30);

    /// The most hosts, however many descriptors there are.
    const MOST: usize = 32;

    fn new(most: usize) -> Self {
        Self { most, hosts: Arc::default() }
    }

    /// Begins a fetch; `None` if the connections of this host are not to be kept, because those of too many others are.
    pub(super) fn begin(&self, client: u64, url: &Url, now: Instant) -> Option<KeptHost> {
        let key = Key { client, origin: url.origin().ascii_serialization() };
        let mut hosts = self.lock();
        if hosts.len() >= self.most && !hosts.contains_key(&key) {
            hosts.retain(|_, host| host.fetches > 0 || now.saturating_duration_since(host.used) < Self::TIME);
            if hosts.len() >= self.most {
                return None;
            }
        }
        let host = hosts.entry(key.clone()).or_insert(Host { fetches: 0, used: now });
        (host.fetches, host.used) = (host.fetches + 1, now);
        Some(KeptHost { hosts: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for KeptHosts {
    /// As many as have an eighth of the descriptors for their idle connections.
    fn default() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let descriptors = usize::try_from(descriptors / 8).unwrap_or(usize::MAX);
        Self::new((descriptors / Self::CONNECTIONS).clamp(1, Self::MOST))
    }
}

impl Drop for KeptHost {
    fn drop(&mut self) {
        if let Some(host) = self.hosts.lock().get_mut(&self.key) {
            (host.fetches, host.used) = (host.fetches - 1, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_a_few_hosts_are_kept() {
        let (hosts, now) = (KeptHosts::new(2), Instant::now());
        let begin = |client, host: &str, now| hosts.begin(client, &format!("http://{host}/").parse().unwrap(), now);
        let (first, second) = (begin(1, "a", now), begin(2, "a", now));
        assert!(first.is_some() && second.is_some());
        assert!(begin(1, "b", now).is_none() && begin(1, "a:80", now).is_some(), "of the first there is a place");
        drop(first);
        assert!(begin(1, "b", now).is_none(), "its connections are idle now");
        let later = Instant::now() + KeptHosts::TIME;
        assert!(begin(1, "b", later).is_some() && begin(1, "c", later).is_none());
        drop(second);
        assert!(begin(1, "c", later + KeptHosts::TIME).is_some());
    }
}
