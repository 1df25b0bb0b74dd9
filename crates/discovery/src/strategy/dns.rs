//! Nodes from the domain name system.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{TokioResolver, system_conf};
use peerl_node::ErrorChain;
use peerl_proto::node_name::NodeName;
use serde::{Deserialize, Serialize};

use super::{Answer, Coverage, Peers, Strategy, StrategyError};
use crate::spec::{SpecError, StrategySettings, one_or_many, time};

/// The strategy `dns`: a node for each address of a name, or for each target of its service records.
///
/// A name that does not exist, or has no such records, is an empty answer; a name server that does not answer, fails
/// or refuses is an error. Many name servers return a varying part of the records, so an answer is a sample unless
/// the settings say otherwise.
#[derive(Clone, Debug)]
pub struct DnsNames {
    name: String,
    question: Name,
    settings: DnsNamesSettings,
}

impl DnsNames {
    fn new(settings: DnsNamesSettings) -> Result<Self, SpecError> {
        let wrong = |error| SpecError::settings::<DnsNamesSettings>(format!("{:?}: {error}", settings.name));
        let question = Name::from_str_relaxed(&settings.name).map_err(wrong)?;
        Ok(Self { name: format!("dns:{}", settings.name), question, settings })
    }

    /// The resolver, made anew for each poll, because `/etc/resolv.conf` may have changed; its cache lasts for one
    /// poll.
    fn resolver(&self) -> Result<(TokioResolver, Vec<Name>, String), NetError> {
        let (config, mut options) = match self.settings.resolver.is_empty() {
            true => system_conf::read_system_conf()?,
            false => {
                let servers = self.settings.resolver.iter().map(NameServer::config).collect();
                (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
            }
        };
        options.cache_size = 0;
        options.timeout = self.settings.timeout.unwrap_or(options.timeout);
        options.attempts = self.settings.attempts.map_or(options.attempts, usize::from);
        let questions = questions(&self.question, config.search(), options.ndots);
        let asked = self.asked(&questions, config.name_servers());
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok((resolver.with_options(options).build()?, questions, asked))
    }

    /// The question and its destination.
    fn asked(&self, questions: &[Name], servers: &[NameServerConfig]) -> String {
        let kinds: Vec<String> = self.settings.kind.record_types().iter().map(RecordType::to_string).collect();
        let names: Vec<String> = questions.iter().map(Name::to_string).collect();
        let address = |server: &NameServerConfig| {
            let port = server.connections.first().map_or(NameServer::PORT, |connection| connection.port);
            SocketAddr::new(server.ip, port).to_string()
        };
        let servers: Vec<String> = servers.iter().map(address).collect();
        format!("{} records of {} from {}", kinds.join(" and "), names.join(", "), servers.join(", "))
    }

    async fn resolve(&self) -> Result<Answer, NetError> {
        let (resolver, questions, asked) = self.resolver()?;
        let answer = |peers, coverage| Answer::sample(peers).with_coverage(coverage).with_asked(asked);
        for question in questions {
            let kinds = self.settings.kind.record_types();
            let lookups = kinds.iter().map(|kind| hosts(&resolver, question.clone(), *kind));
            let (mut hosts, mut failure) = (Vec::new(), None);
            for found in join_all(lookups).await {
                match found {
                    Ok(more) => hosts.extend(more),
                    Err(error) => failure = Some(error),
                }
            }
            let coverage = match failure {
                // Do not continue with the next question: its answer may belong to another name.
                Some(error) if hosts.is_empty() => return Err(error),
                Some(error) => {
                    tracing::warn!(strategy = self.name, error = %ErrorChain(&error), "a part of the records is missing");
                    Coverage::Sample
                }
                None if hosts.is_empty() => continue,
                None => self.settings.coverage,
            };
            return Ok(answer(self.nodes(hosts), coverage));
        }
        Ok(answer(Peers::new(), self.settings.coverage))
    }

    fn nodes(&self, hosts: Vec<String>) -> Peers {
        // Skip invalid node names: no connection would be possible.
        let node = |host| NodeName::new(&format!("{}@{host}", self.settings.basename())).ok();
        hosts.into_iter().filter_map(node).collect()
    }
}

impl Strategy for DnsNames {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(async {
            let failed = |error| StrategyError::Dns { name: self.settings.name.clone(), source: Box::new(error) };
            self.resolve().await.map_err(failed)
        })
    }
}

/// The hosts in the records of one type; empty if there are no such records.
async fn hosts(resolver: &TokioResolver, question: Name, kind: RecordType) -> Result<Vec<String>, NetError> {
    match resolver.lookup(question, kind).await {
        Ok(lookup) => Ok(lookup.answers().iter().filter_map(|record| host(kind, &record.data)).collect()),
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn host(kind: RecordType, record: &RData) -> Option<String> {
    match (kind, record) {
        (RecordType::A, RData::A(address)) => Some(address.to_string()),
        (RecordType::AAAA, RData::AAAA(address)) => Some(address.to_string()),
        // The target `.` means that there is no such service (RFC 2782).
        (RecordType::SRV, RData::SRV(service)) if !service.target.is_root() => {
            Some(service.target.to_string().trim_end_matches('.').to_owned())
        }
        _ => None,
    }
}

/// The full names to query, in the order of resolv.conf(5): a name with enough dots unchanged first, another one with
/// the search domains first.
fn questions(name: &Name, search: &[Name], dots: usize) -> Vec<Name> {
    let mut whole = name.clone();
    whole.set_fqdn(true);
    if name.is_fqdn() {
        return vec![whole];
    }
    let mut questions: Vec<Name> = search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
    match usize::from(name.num_labels()) > dots {
        true => questions.insert(0, whole),
        false => questions.push(whole),
    }
    questions
}

/// The settings of `dns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsNamesSettings {
    /// The name to query. One with a final dot is used unchanged; others also with the system's search domains,
    /// unless `resolver` is given.
    pub name: String,
    /// The type of the records.
    #[serde(default, rename = "type", skip_serializing_if = "RecordKind::is_default")]
    pub kind: RecordKind,
    /// The nodes' names before the `@`; by default `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basename: Option<String>,
    /// The name servers; by default those of the system.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub resolver: Vec<NameServer>,
    /// The time-out of a query; by default that of the system.
    #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether each answer has all records of the name; by default `sample`. A headless service of Kubernetes is
    /// `whole`; Route 53 returns at most eight records, and other servers rotate.
    #[serde(default, skip_serializing_if = "Coverage::is_default")]
    pub coverage: Coverage,
    /// The number of attempts; by default that of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u8>,
}

impl DnsNamesSettings {
    fn basename(&self) -> &str {
        self.basename.as_deref().unwrap_or("node")
    }
}

impl StrategySettings for DnsNamesSettings {
    const NAME: &'static str = "dns";
    const BARE: Option<&'static str> = Some("name");

    fn check(&self) -> Result<(), SpecError> {
        let node = format!("{}@127.0.0.1", self.basename());
        NodeName::new(&node).map_err(|reason| SpecError::Node { node, reason })?;
        match self.name.is_empty() {
            true => Err(SpecError::settings::<Self>("needs a name: dns:NAME")),
            false => DnsNames::new(self.clone()).map(drop),
        }
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        self.check()?;
        Ok(Arc::new(DnsNames::new(self.clone())?))
    }
}

/// The type of the records that list the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RecordKind {
    /// Addresses of both families. If one of them is unavailable, the answer is a sample.
    #[default]
    Ip,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services; their targets are the hosts, their ports are ignored.
    Srv,
}

impl RecordKind {
    fn record_types(self) -> &'static [RecordType] {
        match self {
            Self::Ip => &[RecordType::A, RecordType::AAAA],
            Self::A => &[RecordType::A],
            Self::Aaaa => &[RecordType::AAAA],
            Self::Srv => &[RecordType::SRV],
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The address of a name server, `IP` or `IP:PORT`; an IPv6 address with a port has brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameServer(pub SocketAddr);

impl NameServer {
    const PORT: u16 = 53;

    fn config(&self) -> NameServerConfig {
        let at_port = |mut connection: ConnectionConfig| {
            connection.port = self.0.port();
            connection
        };
        let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
        NameServerConfig::new(self.0.ip(), true, connections)
    }
}

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, Self::PORT)));
        address.map(Self).map_err(|_| format!("{text:?} is not the address of a name server: IP or IP:PORT"))
    }
}

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NameServer> for String {
    fn from(server: NameServer) -> Self {
        server.to_string()
    }
}

#[cfg(test)]
mod tests;
