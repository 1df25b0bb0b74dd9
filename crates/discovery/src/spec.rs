//! Strategies as text and as configuration.

use std::str::FromStr;
use std::sync::Arc;

use peerl_epmd::Client;
use peerl_proto::node_name::{NodeName, NodeNameError};
use serde::{Deserialize, Serialize};

use crate::strategy::{EpmdNames, StaticList, Strategy};

/// A strategy that is described but not yet built.
///
/// | text | table of a configuration file |
/// |---|---|
/// | `static:a@h,b@h` | `{ strategy = "static", nodes = ["a@h", "b@h"] }` |
/// | `epmd:h1,h2:4370` | `{ strategy = "epmd", hosts = ["h1", "h2:4370"] }` |
///
/// A host of `epmd` without a port is asked at the port that `ERL_EPMD_PORT` says, or 4369.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Table")]
#[non_exhaustive]
pub enum Spec {
    /// A list of nodes that never changes.
    Static {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// All nodes that are registered at some hosts.
    Epmd {
        /// The hosts, each with a port where that is not the usual one.
        hosts: Vec<String>,
    },
}

impl Spec {
    /// Makes the strategy.
    ///
    /// # Errors
    /// If a node or a host is not one.
    pub fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        match self {
            Self::Static { nodes } => Ok(Arc::new(StaticList::new(parse_nodes(nodes)?))),
            Self::Epmd { hosts } => {
                let local = Client::from_env().map_err(SpecError::Epmd)?;
                let clients = hosts.iter().map(|host| client(host, &local)).collect::<Result<_, _>>()?;
                Ok(Arc::new(EpmdNames::with_clients(clients)))
            }
        }
    }

    /// Checks that it can be built.
    fn checked(self) -> Result<Self, SpecError> {
        match &self {
            Self::Static { nodes } if nodes.is_empty() => Err(SpecError::NoNodes),
            Self::Static { nodes } => parse_nodes(nodes).map(|_| self),
            Self::Epmd { hosts } if hosts.is_empty() => Err(SpecError::NoHosts),
            Self::Epmd { hosts } => {
                let anywhere = Client::at("", 0);
                hosts.iter().try_for_each(|host| client(host, &anywhere).map(drop))?;
                Ok(self)
            }
        }
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (strategy, rest) = text.split_once(':').unwrap_or((text, ""));
        let items = || rest.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
        match strategy.trim() {
            "static" => Self::Static { nodes: items() },
            "epmd" => Self::Epmd { hosts: items() },
            other => return Err(SpecError::UnknownStrategy(other.to_owned())),
        }
        .checked()
    }
}

impl TryFrom<Form> for Spec {
    type Error = SpecError;

    fn try_from(form: Form) -> Result<Self, SpecError> {
        match form {
            Form::Text(text) => text.parse(),
            Form::Table(Table::Static { nodes }) => Self::Static { nodes }.checked(),
            Form::Table(Table::Epmd { hosts }) => Self::Epmd { hosts }.checked(),
        }
    }
}

impl From<Spec> for Table {
    fn from(spec: Spec) -> Self {
        match spec {
            Spec::Static { nodes } => Self::Static { nodes },
            Spec::Epmd { hosts } => Self::Epmd { hosts },
        }
    }
}

/// What a configuration file may say.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a discovery strategy is text such as \"epmd:host\", or a table with `strategy`")]
enum Form {
    Text(String),
    Table(Table),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "lowercase", deny_unknown_fields)]
enum Table {
    Static { nodes: Vec<String> },
    Epmd { hosts: Vec<String> },
}

/// Why a description is not one of a strategy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No strategy has that name.
    #[error("there is no discovery strategy {0:?}: use static:NODE,… or epmd:HOST,…")]
    UnknownStrategy(String),
    /// `static` without nodes.
    #[error("the strategy static needs nodes: static:NAME@HOST,…")]
    NoNodes,
    /// `epmd` without hosts.
    #[error("the strategy epmd needs hosts: epmd:HOST,…")]
    NoHosts,
    /// What should be a node is none.
    #[error("{node:?} is not a node: {source}")]
    Node {
        /// The text.
        node: String,
        /// What is wrong with it.
        source: NodeNameError,
    },
    /// What should be a host is none.
    #[error("{0:?} is not a host, or HOST:PORT")]
    Host(String),
    /// The environment of EPMD makes no sense.
    #[error(transparent)]
    Epmd(peerl_epmd::Error),
}

fn parse_nodes(nodes: &[String]) -> Result<Vec<NodeName>, SpecError> {
    let parse = |node: &String| NodeName::new(node).map_err(|source| SpecError::Node { node: node.clone(), source });
    nodes.iter().map(parse).collect()
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
    use super::*;

    fn parsed(text: &str) -> Spec {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<Spec>().unwrap_err().to_string()
    }

    #[test]
    fn text() {
        assert_eq!(parsed("static: a@h, b@h,"), Spec::Static { nodes: vec!["a@h".into(), "b@h".into()] });
        assert_eq!(parsed("epmd:h1,h2:4370"), Spec::Epmd { hosts: vec!["h1".into(), "h2:4370".into()] });
        assert_eq!(parsed("static:a@h").build().unwrap().name(), "static:a@h");
        assert_eq!(parsed("epmd:h1,[::1]:77").build().unwrap().name(), "epmd:h1,::1");
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        assert!(refused("ec3:tag").contains("\"ec3\""));
        assert!(refused("static").contains("needs nodes"));
        assert!(refused("static:a").contains("\"a\""));
        assert!(refused("epmd:,").contains("needs hosts"));
        assert!(refused("epmd:h:port").contains("\"h:port\""));
        assert!(refused("epmd:a@h").contains("\"a@h\""));
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

    #[test]
    fn configuration() {
        let specs: Vec<Spec> = serde_json::from_str(
            r#"["static:a@h", {"strategy": "epmd", "hosts": ["h1"]}, {"strategy": "static", "nodes": ["b@h"]}]"#,
        )
        .unwrap();
        assert_eq!(specs, [parsed("static:a@h"), parsed("epmd:h1"), parsed("static:b@h")]);
        for wrong in [r#"{"strategy": "epmd"}"#, r#"{"strategy": "static", "nodes": ["b"]}"#, "1"] {
            assert!(serde_json::from_str::<Spec>(wrong).is_err(), "{wrong}");
        }
    }
}
