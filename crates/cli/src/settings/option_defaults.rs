//! Options of commands as settings: a variable, or a key of the file, sets an option's default.

use std::collections::BTreeMap;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use figment::value::Value;

use super::Settings;
use super::nearest::nearest;
use crate::failure::Failure;

/// The keys of the commands' options that have a variable and a key, such as `interval` for `--interval`. Other
/// options apply to a single run.
pub(super) const OPTIONS: [&str; 22] = [
    "address",
    "allow",
    "beam_nodes",
    "concurrency",
    "deny",
    "drain",
    "interval",
    "items_format",
    "page_concurrency",
    "page_timeout",
    "pages",
    "pg",
    "port",
    "public_url",
    "pubsub",
    "retries",
    "timeout",
    "token",
    "token_file",
    "web",
    "with_hidden",
    "workers",
];

/// Variables for other readers: the kit, the completions, and the project's tests.
const OF_OTHERS: [&str; 13] = [
    "auto_scaling_group",
    "bin",
    "complete",
    "config",
    "etc",
    "launch_hook",
    "lifecycle_hook",
    "lifecycle_interval",
    "otp_cache",
    "otp_matrix",
    "ready_seconds",
    "test_control",
    "worker_options",
];

/// The key of an option that can be a setting. An option with an optional value, such as `demo --web`, applies to a
/// single run.
fn key(option: &Arg) -> Option<String> {
    let key = option.get_long()?.replace('-', "_");
    let may_lack_value = option.get_num_args().is_some_and(|count| count.min_values() == 0 && count.max_values() > 0);
    (OPTIONS.contains(&key.as_str()) && !may_lack_value).then_some(key)
}

/// The defaults of the commands' options from variables and the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionDefaults(BTreeMap<String, Given>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    values: Vec<String>,
    /// The variable, or the key.
    source: String,
}

impl OptionDefaults {
    /// Records a variable; it overrides the file.
    pub(super) fn variable(&mut self, key: String, name: String, value: &str) {
        let values = value.split_whitespace().map(str::to_owned).collect();
        self.0.insert(key, Given { values, source: name });
    }

    /// Records a line of the file, unless a variable overrides it.
    ///
    /// # Errors
    /// If it is a table.
    pub(super) fn line(&mut self, key: &str, value: &Value) -> Result<(), Failure> {
        let values = match value {
            Value::Array(_, values) => values.iter().map(plain).collect(),
            value => plain(value).map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| Failure::usage(format!("{key}: a value or a list of values is expected")))?;
        self.0.entry(key.to_owned()).or_insert(Given { values, source: format!("`{key}` of the configuration") });
        Ok(())
    }

    /// Sets the defaults of the commands' options.
    pub fn apply(&self, mut command: Command) -> Command {
        let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in names {
            command = command.mut_subcommand(name, |command| command.mut_args(|option| self.with_default(option)));
        }
        command
    }

    /// Names the source of an invalid option value.
    pub fn explain(&self, error: &clap::Error) -> Option<Failure> {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let option = text(ContextKind::InvalidArg)?.trim_start_matches("--");
        let given = self.0.get(&option.split([' ', '=']).next()?.replace('-', "_"))?;
        let value = text(ContextKind::InvalidValue)?;
        let why = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
        let is_its = given.joined() == value || given.values.iter().any(|given| given == value);
        is_its.then(|| Failure::usage(format!("{}: {value:?} is not possible{why}", given.source)))
    }

    fn with_default(&self, option: Arg) -> Arg {
        let Some(given) = key(&option).and_then(|key| self.0.get(&key)) else { return option };
        let values = match option.get_action() {
            ArgAction::Append => given.values.clone(),
            ArgAction::SetTrue => vec![truth(&given.joined()).to_owned()],
            _ => vec![given.joined()],
        };
        // The parser keeps its defaults until the process ends.
        option.default_values(values.into_iter().map(|value| &*value.leak())).required(false)
    }
}

impl Given {
    fn joined(&self) -> String {
        self.values.join(" ")
    }
}

/// The parser's text for a boolean.
fn truth(text: &str) -> &str {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => "true",
        "0" | "false" | "no" | "off" => "false",
        _ => text,
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, truth) => Some(truth.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string())),
        _ => None,
    }
}

/// The warning for an unknown variable with peerl's prefix, unless it is another program's.
pub(super) fn unknown_variable(prefix: &str, key: &str, value: &str) -> Option<String> {
    // Variables that Kubernetes and Docker set for a service named `peerl`.
    let is_link = key.contains("service_host") || key.contains("service_port") || is_service_link(value);
    let is_linked_port =
        key.split_once("port_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_link || is_linked_port || OF_OTHERS.contains(&key) || key.starts_with("bench_") {
        return None;
    }
    let nearest = nearest(key, Settings::VARIABLES.into_iter().chain(OPTIONS)).to_ascii_uppercase();
    let name = key.to_ascii_uppercase();
    Some(format!("peerl has no variable {prefix}{name}, which is ignored; the nearest one is {prefix}{nearest}"))
}

/// Whether a variable is a service address, as Kubernetes sets in `PEERL_PORT` for a service named `peerl`.
pub(super) fn is_service_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|protocol| value.starts_with(protocol))
}
