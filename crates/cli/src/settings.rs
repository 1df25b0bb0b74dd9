//! The settings that all commands share: from flags, over the environment, over a file, over defaults.

mod size;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use peerl_discovery::spec::split_specs;
use peerl_discovery::{Removal, Spec};
use peerl_node::is_private;
use serde::{Deserialize, Deserializer, Serialize};

use crate::failure::Failure;
use crate::log::LogFormat;

pub use size::Size;

/// The options that every command takes. Each can also come from an environment variable (`PEERL_DIST_PORT` for
/// `--dist-port`) or from a line of `peerl.toml` (`dist_port`).
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[command(next_help_heading = "Options of every command")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The node's name, NAME@HOST; the host is an address or has a dot, as with `erl -name`. auto:ec2,
    /// auto:ecs, auto:ip or auto:hostname name it after the machine, so that discovery finds it [default: worker_N for a
    /// worker, one of 256 names that all guests share for other commands].
    #[arg(long, global = true, value_name = "NAME@HOST", conflicts_with = "sname")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// The node's short name, NAME or NAME@HOST; the host has no dot, as with `erl -sname`.
    #[arg(long, global = true, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sname: Option<String>,

    /// The cookie that all nodes of the cluster share [default: that of ~/.erlang.cookie, or of erlang/.erlang.cookie in
    /// $XDG_CONFIG_HOME or ~/.config]. Others can see the command line: prefer PEERL_COOKIE or a file.
    #[arg(long, global = true, conflicts_with = "cookie_file", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,

    /// A file that holds the cookie, accessible to its owner only.
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_file: Option<PathBuf>,

    /// Stay out of the peers' nodes(). Commands other than `worker` always do.
    #[arg(long, global = true, num_args = 0, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag", default)]
    pub hidden: Option<bool>,

    /// The address to listen on for other nodes [default: all].
    #[arg(long, global = true, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<IpAddr>,

    /// The port to listen on for other nodes, or a range of which the first free one is taken [default: any].
    #[arg(long, global = true, value_name = "N|LO-HI")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dist_port: Option<PortRange>,

    /// Where nodes are registered: the EPMD that runs, or an embedded one if none does or it does not come back (auto);
    /// the one that runs (external); an embedded one (embedded); or nowhere, all nodes being at --dist-port (none)
    /// [default: auto].
    #[arg(long, global = true, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epmd: Option<EpmdChoice>,

    /// The most bytes of a message of another node, as 64MiB or 1G; a larger one fails alone, with a warning
    /// [default: 256MiB].
    #[arg(long, global = true, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message: Option<Size>,

    /// The form of the output; text is for people, the syntaxes show terms [default: text].
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,

    /// The form of the log on the standard error [default: text].
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,

    /// Say more; twice or thrice for more yet.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    #[serde(skip_serializing_if = "is_zero", default)]
    pub verbose: u8,

    /// Say less: no warnings and no progress; twice: nothing.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    #[serde(skip_serializing_if = "is_zero", default)]
    pub quiet: u8,

    /// How to find the nodes of commands that need some: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "specs", default)]
    pub discover: Option<Vec<Spec>>,

    /// When a worker or app that is no longer listed leaves the mesh: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,

    /// Where commands that go on open a control door: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<SocketAddr>,

    /// Whether a worker or app is ready without any peer when discovery finds no nodes: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag", default)]
    pub alone_ok: Option<bool>,

    /// The file with the control door's token: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_token_file: Option<PathBuf>,
}

/// Where the settings come from that are not flags.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub struct ConfigFile {
    /// A file with settings [default: ./peerl.toml, if it is there].
    #[arg(long, global = true, value_name = "FILE", env = "PEERL_CONFIG")]
    pub config: Option<PathBuf>,
}

impl Settings {
    /// The variables' common beginning.
    const PREFIX: &str = "PEERL_";

    /// The file that is read if it is there and no other is named.
    const DEFAULT_FILE: &str = "peerl.toml";

    /// Puts the flags over the environment's variables over a file.
    ///
    /// # Errors
    /// If the file cannot be read, or a value in it or in a variable makes no sense.
    pub fn load(
        flags: &Settings,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let from_file = match file {
            Some(path) => Self::read(path)?,
            None if Path::new(Self::DEFAULT_FILE).is_file() => Self::read(Path::new(Self::DEFAULT_FILE))?,
            None => Self::default(),
        };
        let mut layers = [from_file, Self::from_environment(environment)?, flags.clone()];
        // Of two ways to say one thing, the one of the higher layer counts.
        for upper in 1..layers.len() {
            let (lower, higher) = layers.split_at_mut(upper);
            let higher = &higher[0];
            for layer in lower {
                if higher.name.is_some() || higher.sname.is_some() {
                    (layer.name, layer.sname) = (None, None);
                }
                if higher.cookie.is_some() || higher.cookie_file.is_some() {
                    (layer.cookie, layer.cookie_file) = (None, None);
                }
                if higher.verbose > 0 || higher.quiet > 0 {
                    (layer.verbose, layer.quiet) = (0, 0);
                }
            }
        }
        let merged = layers.iter().fold(Figment::new(), |all, layer| all.merge(Serialized::defaults(layer)));
        let settings: Self = merged.extract().map_err(Failure::usage)?;
        match (&settings.name, &settings.sname, &settings.cookie, &settings.cookie_file) {
            (Some(_), Some(_), ..) => Err(Failure::usage("both `name` and `sname` are set").hint("keep one of them")),
            (_, _, Some(_), Some(_)) => {
                Err(Failure::usage("both `cookie` and `cookie_file` are set").hint("keep one of them"))
            }
            _ => Ok(settings),
        }
    }

    /// The form of the output.
    pub fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// How much is said, from -2 to 3.
    pub fn verbosity(&self) -> i8 {
        match (self.verbose, self.quiet) {
            (0, quiet) => -(quiet.min(2) as i8),
            (verbose, _) => verbose.min(3) as i8,
        }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        // figment takes a file that is not there for an empty one.
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read the configuration {}: {error}", path.display())))?;
        let settings: Self = Figment::from(Toml::string(&text))
            .extract()
            .map_err(|error| Failure::usage(format!("{}: {}", path.display(), plain(&error))))?;
        if settings.cookie.is_some() && !is_private(path).unwrap_or(false) {
            let problem = format!("{} holds a cookie, and others than its owner can access it", path.display());
            return Err(Failure::usage(problem)
                .hint(format!("run `chmod 600 {}`, or have the cookie in a file of its own", path.display())));
        }
        Ok(settings)
    }

    fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failure> {
        let known = |name: &str| {
            let key = name.strip_prefix(Self::PREFIX)?.to_ascii_lowercase();
            FROM_ENVIRONMENT.contains(&key.as_str()).then_some(key)
        };
        let values: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((known(&name)?, value)))
            .collect();
        Figment::from(Serialized::defaults(values)).extract().map_err(|error| {
            let variable =
                error.path.first().map_or_else(String::new, |key| format!("{}{}: ", Self::PREFIX, key.to_uppercase()));
            Failure::usage(format!("{variable}{}", error.kind))
        })
    }
}

/// The settings that have a variable.
const FROM_ENVIRONMENT: [&str; 16] = [
    "alone_ok",
    "name",
    "sname",
    "cookie",
    "cookie_file",
    "hidden",
    "listen",
    "dist_port",
    "epmd",
    "max_message",
    "format",
    "log_format",
    "discover",
    "removal",
    "control",
    "control_token_file",
];

fn plain(error: &figment::Error) -> String {
    match error.path.is_empty() {
        true => error.kind.to_string(),
        false => format!("{}: {}", error.path.join("."), error.kind),
    }
}

/// The form of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// JSON; what are many rows in the others is one array.
    Json,
    /// JSON, one row a line, each as soon as it is there.
    #[value(name = "jsonl")]
    #[serde(rename = "jsonl")]
    JsonLines,
    /// Erlang terms.
    Erlang,
    /// Elixir terms.
    Elixir,
}

/// Where nodes are registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpmdChoice {
    /// At the EPMD that runs; if none does, or it does not come back, an embedded one is started.
    #[default]
    Auto,
    /// At the EPMD that runs.
    External,
    /// At one that is started.
    Embedded,
    /// Nowhere: all nodes listen at the same port, each on a host of its own.
    None,
}

/// A port, or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PortForm", into = "String")]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| format!("{text:?} is not a port (0 to 65535)"));
        let range = Self { first: port(first)?, last: port(last)? };
        if range.first > range.last || (range.first == 0 && range.last > 0) {
            return Err(format!("{text} is not a range of ports: LO-HI, with LO from 1 to HI"));
        }
        Ok(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<PortForm> for PortRange {
    type Error = String;

    fn try_from(form: PortForm) -> Result<Self, String> {
        match form {
            PortForm::Number(port) => Ok(Self { first: port, last: port }),
            PortForm::Text(text) => text.parse(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a port (9100), or a range of ports (\"9100-9110\")")]
enum PortForm {
    Number(u16),
    Text(String),
}

/// A time as people write it: `30s`, `1m 30s`, `500ms`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = match text.trim().parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
            Err(_) => humantime::parse_duration(text.trim()).map_err(|error| error.to_string())?,
        };
        match time.is_zero() {
            true => Err("the time must be longer than nothing".to_owned()),
            // What is longer cannot be added to the clock everywhere.
            false => Ok(Self(time.min(Duration::from_secs(365 * 24 * 3600)))),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// Reads a truth value, or the text of one.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "true or false")]
    enum Form {
        Truth(bool),
        Text(String),
    }
    match Form::deserialize(deserializer)? {
        Form::Truth(truth) => Ok(Some(truth)),
        Form::Text(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(true)),
            "0" | "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(serde::de::Error::custom(format!("expected true or false, found {text:?}"))),
        },
    }
}

/// Reads strategies: a list of them, or in a variable their texts with spaces between.
fn specs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Spec>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of discovery strategies, or text such as \"epmd:HOST\"")]
    enum Form {
        Text(String),
        List(Vec<figment::value::Value>),
    }
    let parsed: Result<Vec<Spec>, String> = match Form::deserialize(deserializer)? {
        Form::Text(text) => split_specs(&text)
            .into_iter()
            .map(|spec| spec.parse().map_err(|error: peerl_discovery::SpecError| error.to_string()))
            .collect(),
        Form::List(values) => {
            values.iter().map(|value| value.deserialize::<Spec>().map_err(|error| error.kind.to_string())).collect()
        }
    };
    parsed.map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
