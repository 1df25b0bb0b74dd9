//! Node names derived from a machine's attributes.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use peerl_node::ErrorChain;
use peerl_proto::node_name::{NodeName, NodeNameError};

use crate::{Peers, StrategyError};

/// The rule for the node name on a machine: `BASENAME@HOST`, both derived from the machine's attributes.
///
/// A host is a variable (`private-ip`, `tag:KEY`) or a template (`{instance_id}.example.org`); a basename is plain
/// text (`node`), a template (`node-{instance_id}`), or `tag:KEY`. Nodes that name themselves by the same rule are
/// found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    basename: Template,
    host: Template,
}

impl Naming {
    /// The default name before the `@`.
    pub const BASENAME: &str = "node";

    /// Parses a rule whose parts may use these variables; `tag:*` stands for all variables with the prefix `tag:`. In
    /// the names of variables `-` equals `_`.
    ///
    /// # Errors
    /// If a part is neither a variable nor a template, or uses an unknown variable.
    pub fn new(basename: &str, host: &str, variables: &[&str]) -> Result<Self, String> {
        let list =
            || variables.iter().map(|name| format!("{{{}}}", name.replace('*', "KEY"))).collect::<Vec<_>>().join(", ");
        let unknown = |what: &str, text: &str| format!("`{what}` can't be {text:?}: its variables are {}", list());
        let known = |name: &str| {
            variables.iter().any(|variable| match variable.strip_suffix('*') {
                Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()),
                None => *variable == name,
            })
        };
        let parse = |what: &str, text: &str, plain: bool| {
            let template = match bare_variable(text).filter(|name| known(name)) {
                Some(name) if !plain || name.contains(':') => Template { parts: vec![Part::Variable(name)] },
                _ => {
                    Template::parse(text).ok_or_else(|| format!("`{what}` can't be {text:?}: a brace is not closed"))?
                }
            };
            let good = template.variables().all(known) && (plain || template.variables().next().is_some());
            match good {
                true => Ok(template),
                false => Err(unknown(what, text)),
            }
        };
        Ok(Self { basename: parse("basename", basename, true)?, host: parse("host", host, false)? })
    }

    /// The name of the node on a machine with these values.
    ///
    /// # Errors
    /// If a value is missing, or the result is not a node name.
    pub fn node(&self, value: impl Fn(&str) -> Option<String>) -> Result<NodeName, NamingError> {
        let name = format!("{}@{}", self.basename.fill(&value)?, self.host.fill(&value)?);
        NodeName::new(&name).map_err(|reason| NamingError::NoName { name, reason })
    }

    /// The variables that the rule uses.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.basename.variables().chain(self.host.variables())
    }
}

/// Names all members, for strategies.
#[derive(Debug)]
pub struct Namer {
    naming: Naming,
    /// How many members had no name last time.
    unnamed: AtomicUsize,
}

impl Namer {
    /// A namer with this rule.
    pub fn new(naming: Naming) -> Self {
        Self { naming, unnamed: AtomicUsize::new(0) }
    }

    /// The rule.
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The node names of these machines. A machine that cannot be named is left out, unless that applies to all.
    ///
    /// # Errors
    /// If there are machines, but none can be named.
    pub fn nodes<'a, T: 'a>(
        &self,
        machines: impl IntoIterator<Item = &'a T>,
        value: impl Fn(&'a T, &str) -> Option<String>,
        label: impl Fn(&'a T) -> String,
    ) -> Result<Peers, StrategyError> {
        let (mut nodes, mut unnamed, mut count) = (Peers::new(), None, 0);
        for machine in machines {
            match self.naming.node(|variable| value(machine, variable)) {
                Ok(node) => drop(nodes.insert(node)),
                Err(error) => {
                    count += 1;
                    unnamed.get_or_insert((label(machine), error));
                }
            }
        }
        // Logged on change, not at every poll.
        let is_new = self.unnamed.swap(count, Ordering::Relaxed) != count;
        match unnamed {
            Some((machine, source)) if nodes.is_empty() => Err(StrategyError::Unnamed { machine, source }),
            Some((machine, error)) => {
                if is_new {
                    tracing::warn!(
                        count,
                        "members without a node name are left out, such as {machine}: {}",
                        ErrorChain(&error)
                    );
                }
                Ok(nodes)
            }
            None => Ok(nodes),
        }
    }
}

/// Why a machine's node has no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamingError {
    /// The machine has no such attribute.
    #[error("it has no {}", .0.replace('_', " "))]
    Missing(String),
    /// The result is not a node name.
    #[error("{name:?} is not a node name: {reason}")]
    NoName {
        /// The text.
        name: String,
        /// The reason.
        reason: NodeNameError,
    },
}

/// A variable without braces: `private-ip` or `tag:Name`.
fn bare_variable(text: &str) -> Option<String> {
    let (name, key) = text.split_once(':').map_or((text, None), |(name, key)| (name, Some(key)));
    let is_word = !name.is_empty() && name.chars().all(|symbol| matches!(symbol, 'a'..='z' | '0'..='9' | '-' | '_'));
    let name = name.replace('-', "_");
    is_word.then(|| key.map_or(name.clone(), |key| format!("{name}:{key}")))
}

/// Text with `{variable}`s.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    fn parse(text: &str) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (variable, after) = after.split_once('}')?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Variable(bare_variable(variable).unwrap_or_else(|| variable.to_owned())));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Some(Self { parts })
    }

    fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    fn fill(&self, value: &impl Fn(&str) -> Option<String>) -> Result<String, NamingError> {
        let fill = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Variable(name) => {
                value(name).filter(|value| !value.is_empty()).ok_or_else(|| NamingError::Missing(name.clone()))
            }
        };
        self.parts.iter().map(fill).collect()
    }
}

/// The rule as templates.
impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (separator, template) in [("", &self.basename), ("@", &self.host)] {
            f.write_str(separator)?;
            for part in &template.parts {
                match part {
                    Part::Text(text) => f.write_str(text)?,
                    Part::Variable(name) => write!(f, "{{{name}}}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: &[&str] = &["private_ip", "private_dns", "instance_id", "tag:*"];

    fn name(basename: &str, host: &str) -> String {
        let naming = match Naming::new(basename, host, VARIABLES) {
            Ok(naming) => naming,
            Err(error) => return error,
        };
        let value = |name: &str| {
            let values = [("private_ip", "10.0.0.1"), ("instance_id", "i-1"), ("tag:Name", "web"), ("tag:empty", "")];
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        naming.node(value).map_or_else(|error| error.to_string(), |node| node.to_string())
    }

    #[test]
    fn nodes_are_named_by_variables_and_templates() {
        for (basename, host, node) in [
            ("node", "private-ip", "node@10.0.0.1"),
            ("node", "private_ip", "node@10.0.0.1"),
            ("node", "{private-ip}", "node@10.0.0.1"),
            ("tag:Name", "tag:Name", "web@web"),
            ("w-{instance_id}", "{instance-id}.{tag:Name}.example.org", "w-i-1@i-1.web.example.org"),
            // In a basename without braces, only a tag is a variable.
            ("instance-id", "private-ip", "instance-id@10.0.0.1"),
        ] {
            assert_eq!(name(basename, host), node, "{basename} {host}");
        }
        let naming = Naming::new("tag:Name", "private-ip", VARIABLES).unwrap();
        assert_eq!(naming.to_string(), "{tag:Name}@{private_ip}");
        assert_eq!(naming.variables().collect::<Vec<_>>(), ["tag:Name", "private_ip"]);
    }

    #[test]
    fn who_has_no_name_is_left_out_unless_nobody_has_one() {
        let naming = Namer::new(Naming::new("node", "private-ip", VARIABLES).unwrap());
        let nodes = |addresses: &[&'static str]| {
            naming.nodes(addresses, |address, _| Some((*address).to_owned()), |_| "i-1".to_owned())
        };
        assert_eq!(nodes(&["10.0.0.1", "", "10.0.0.2", "a@b"]).unwrap().len(), 2);
        assert_eq!(
            nodes(&["", "a@b"]).unwrap_err().to_string().split(':').next(),
            Some("neither i-1 nor any other member has a node name")
        );
        assert!(nodes(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (basename, host, error) in [
            ("node", "private-dns", "it has no private dns"),
            ("node", "tag:empty", "it has no tag:empty"),
            ("a@b", "private-ip", "\"a@b@10.0.0.1\" is not a node"),
            ("node", "localhost", "`host` can't be \"localhost\": its variables are {private_ip}, {private_dns}"),
            ("node", "{color}", "`host` can't be \"{color}\""),
            ("node", "tag:", "`host` can't be \"tag:\""),
            ("{color}", "private-ip", "`basename` can't be \"{color}\""),
            ("node", "{private_ip", "a brace is not closed"),
        ] {
            let found = name(basename, host);
            assert!(found.contains(error), "{basename} {host}: {found}");
        }
    }
}
