//! All nodes that are registered at some hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use peerl_epmd::Client;
use peerl_node::ErrorChain;
use peerl_proto::node_name::NodeName;
use serde::{Deserialize, Serialize};

use super::{Answer, Peers, Strategy, StrategyError};
use crate::spec::{SpecError, StrategySettings, one_or_many};

/// The strategy `epmd`: queries the EPMD of each host for its names. A name `n` at the host `h` is the node `n@h`.
///
/// A host that does not answer is skipped with a warning as long as another one answers; the answer then proves
/// nothing about that host's nodes.
#[derive(Clone, Debug)]
pub struct EpmdNames {
    name: String,
    clients: Vec<Client>,
    /// The hosts that did not answer the last poll; they are logged already.
    silent: Arc<Mutex<BTreeSet<String>>>,
}

impl EpmdNames {
    /// Queries the EPMD of each host, all at the same port.
    pub fn new(hosts: impl IntoIterator<Item = impl Into<String>>, port: u16) -> Self {
        Self::with_clients(hosts.into_iter().map(|host| Client::at(host, port)).collect())
    }

    /// Queries these clients. Their hosts are the hosts of the nodes.
    pub fn with_clients(clients: Vec<Client>) -> Self {
        let hosts: Vec<&str> = clients.iter().map(Client::host).collect();
        Self { name: format!("epmd:{}", hosts.join(",")), clients, silent: Arc::default() }
    }
}

impl Strategy for EpmdNames {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(async move {
            let answers = join_all(self.clients.iter().map(Client::names)).await;
            let (mut peers, mut silent, mut errors) = (Peers::new(), BTreeSet::new(), Vec::new());
            for (client, answer) in self.clients.iter().zip(answers) {
                match answer {
                    // A name in EPMD may be an invalid node name; no connection would be possible.
                    Ok(entries) => peers.extend(
                        entries
                            .iter()
                            .filter_map(|entry| NodeName::new(&format!("{}@{}", entry.name, client.host())).ok()),
                    ),
                    Err(error) => {
                        silent.insert(client.host().to_owned());
                        errors.push((client.host(), error));
                    }
                }
            }
            if !errors.is_empty() && errors.len() == self.clients.len() {
                return Err(StrategyError::Epmd { errors: errors.into_iter().map(|(_, error)| error).collect() });
            }
            let told = std::mem::replace(&mut *self.silent.lock(), silent.clone());
            for (host, error) in errors.iter().filter(|(host, _)| !told.contains(*host)) {
                tracing::warn!(strategy = self.name, host, error = %ErrorChain(error), "a host is left out");
            }
            for host in told.iter().filter(|host| !silent.contains(*host)) {
                tracing::warn!(strategy = self.name, host, "the host answers again");
            }
            let asked = |client: &Client| format!("{}:{}", client.host(), client.port());
            let asked: Vec<String> = self.clients.iter().map(asked).collect();
            let asked = format!("the names that are registered with the EPMD at {}", asked.join(", "));
            Ok(Answer::whole(peers).with_silent_hosts(silent).with_asked(asked))
        })
    }
}

/// The settings of `epmd`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpmdNamesSettings {
    /// The hosts, each with a port (`h:4370`) unless it is that of `ERL_EPMD_PORT`, or 4369.
    #[serde(default, deserialize_with = "one_or_many")]
    pub hosts: Vec<String>,
}

impl StrategySettings for EpmdNamesSettings {
    const NAME: &'static str = "epmd";
    const BARE: Option<&'static str> = Some("hosts");

    fn check(&self) -> Result<(), SpecError> {
        let anywhere = Client::at("", 0);
        match self.hosts.is_empty() {
            true => Err(SpecError::settings::<Self>("needs hosts: epmd:HOST,…")),
            false => self.hosts.iter().try_for_each(|host| client(host, &anywhere).map(drop)),
        }
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        let local = Client::from_env().map_err(SpecError::Epmd)?;
        let clients = self.hosts.iter().map(|host| client(host, &local)).collect::<Result<_, _>>()?;
        Ok(Arc::new(EpmdNames::with_clients(clients)))
    }
}

/// The client for `HOST` or `HOST:PORT`; an IPv6 address with a port has brackets.
fn client(text: &str, local: &Client) -> Result<Client, SpecError> {
    let wrong = || SpecError::Host(text.to_owned());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains(['@', '/', '[', ']', ' ', '\0']) {
        return Err(wrong());
    }
    Ok(match port {
        Some(port) => Client::at(host, port),
        None => local.for_host(host),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::strategy::Coverage;

    /// An EPMD that answers every request with these names.
    async fn epmd_with(names: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 3];
                stream.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 1, 110]);
                stream.write_all(&u32::from(port).to_be_bytes()).await.unwrap();
                stream.write_all(names.as_bytes()).await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn names_become_nodes_of_the_host() {
        let port = epmd_with("name a at port 9100\nname b_2 at port 9101\n").await;
        let strategy = EpmdNames::new(["127.0.0.1"], port);
        assert_eq!(strategy.name(), "epmd:127.0.0.1");
        let peers = strategy.discover().await.unwrap();
        assert_eq!(peers.iter().map(NodeName::as_str).collect::<Vec<_>>(), ["a@127.0.0.1", "b_2@127.0.0.1"]);
    }

    #[tokio::test]
    async fn one_host_that_answers_is_enough_and_none_is_an_error() {
        let port = epmd_with("name a at port 9100\n").await;
        let unused = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let dead = || Client::at("127.0.0.1", unused);
        let some = EpmdNames::with_clients(vec![dead(), Client::at("localhost", port)]);
        let peers = some.discover().await.unwrap();
        assert_eq!(peers.iter().map(NodeName::as_str).collect::<Vec<_>>(), ["a@localhost"]);
        assert_eq!((peers.coverage, peers.silent_hosts), (Coverage::Whole, ["127.0.0.1".to_owned()].into()));
        let error = EpmdNames::with_clients(vec![dead()]).discover().await.unwrap_err();
        assert!(error.to_string().contains(&unused.to_string()), "{error}");
    }

    #[test]
    fn hosts_and_ports() {
        let local = Client::at("", 4369);
        for (text, host, port) in
            [("h", "h", 4369), ("h:1", "h", 1), ("::1", "::1", 4369), ("[::1]:9", "::1", 9), ("[::1]", "::1", 4369)]
        {
            let client = client(text, &local).unwrap();
            assert_eq!((client.host(), client.port()), (host, port), "{text}");
        }
    }
}
