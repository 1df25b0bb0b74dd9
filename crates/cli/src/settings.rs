//! The settings that all commands share: flags override environment variables, which override the file, which
//! overrides defaults.

mod listen;
pub use listen::Listen;
mod nearest;
mod option_defaults;
pub use option_defaults::OptionDefaults;
mod port_range;
pub use port_range::PortRange;
mod proto_dist;
pub use proto_dist::ProtoDist;
mod size;
pub use size::Size;
mod sources;
pub use sources::{Sources, warn_of_former_name};

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use figment::Figment;
use figment::providers::Serialized;
use peerl_discovery::spec::split_specs;
use peerl_discovery::{Removal, Spec};
use serde::{Deserialize, Deserializer, Serialize};

use crate::failure::Failure;
use crate::log::LogFormat;

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

    /// Have no part in `global`, the names and locks that the visible nodes of a cluster share; implies --hidden. Commands
    /// other than `worker` never have.
    #[arg(long, global = true, num_args = 0, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag", default)]
    pub no_global: Option<bool>,

    /// The address to listen on for other nodes [default: all, of IPv4 and IPv6]. For `web` it is also that of the page, with
    /// its port: ADDRESS:PORT.
    #[arg(long, global = true, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Listen>,

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

    /// How nodes connect, as with `erl -proto_dist`; all nodes of a cluster must have the same [default: TCP by IPv4 and IPv6, or
    /// TLS if certificates are given].
    #[arg(long, global = true, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto_dist: Option<ProtoDist>,

    /// A file with options for TLS in Erlang's syntax, as nodes of OTP have it with `-ssl_dist_optfile`.
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["tls_cert", "tls_key", "tls_ca", "tls_server_name"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<PathBuf>,

    /// The certificate of this node (PEM), for TLS in which both nodes verify each other.
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of this node (PEM, not encrypted) [default: in the file of the certificate].
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,

    /// The certificates of the authorities that sign those of the cluster's nodes (PEM).
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,

    /// The name in the certificates of the nodes to which this one connects, if they share one [default: the host of each].
    #[arg(long, global = true, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,

    /// The bytes that this node keeps for other nodes, as 512MiB: what they send, until it is served, and what is to be sent to
    /// them; each may have four times as much as it leaves for the others [default: half of what the machine, the control group
    /// or a resource limit allows].
    #[arg(long, global = true, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,

    /// The most bytes of a message of another node, as 64MiB or 1G; a larger one fails alone, with a warning
    /// [default: 256MiB, or half of --memory].
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

    /// The time in which a peer that says nothing is taken for dead; all nodes of a cluster must have the same, as with
    /// `net_ticktime` of OTP [default: 60s].
    #[arg(long, global = true, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_ticktime: Option<Span>,

    /// The most calls of peers that are served at a time; more are refused with system_limit [default: 262144, or fewer if
    /// --memory is less than 1GiB].
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some_number", default)]
    pub max_calls: Option<usize>,

    /// The most bytes that may wait for a peer that does not read its answers [default: 268435456, or half of --memory].
    #[arg(long, global = true, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some_number", default)]
    pub max_queued: Option<usize>,

    /// The most bytes of messages of a peer that have come in part: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_reassembly: Option<Size>,

    /// The most messages of a peer that may have come in part: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some_number", default)]
    pub max_fragmented: Option<usize>,

    /// Say more; twice or thrice for more yet.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "number", default)]
    pub verbose: u8,

    /// Say less: no warnings and no progress; twice: nothing.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "number", default)]
    pub quiet: u8,

    /// The nodes of commands that need some, or the app's of a sidecar: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words", default)]
    pub node: Option<Vec<String>>,

    /// The cookies of peers that have another one than the cluster: for the file.
    #[arg(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub cookies: BTreeMap<String, String>,

    /// How to find the nodes of commands that need some: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "specs", default)]
    pub discover: Option<Vec<Spec>>,

    /// When a worker or app that is no longer listed leaves the mesh: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,

    /// Where commands that go on have an admin endpoint: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,

    /// Whether a worker or app is ready without any peer when discovery finds no nodes: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag", default)]
    pub alone_ok: Option<bool>,

    /// The file with the admin endpoint's token: for the file and the environment.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token_file: Option<PathBuf>,
}

/// The sources of settings besides flags.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub struct ConfigFile {
    /// A file with settings [default: ./peerl.toml, if it is there].
    #[arg(long, global = true, value_name = "FILE", env = "PEERL_CONFIG")]
    pub config: Option<PathBuf>,
}

impl Settings {
    /// The keys that also have a variable.
    const VARIABLES: [&str; 32] = [
        "admin",
        "admin_token_file",
        "alone_ok",
        "cookie",
        "cookie_file",
        "discover",
        "dist_port",
        "epmd",
        "format",
        "hidden",
        "listen",
        "log_format",
        "max_calls",
        "max_fragmented",
        "max_message",
        "max_queued",
        "max_reassembly",
        "memory",
        "name",
        "net_ticktime",
        "no_global",
        "node",
        "proto_dist",
        "quiet",
        "removal",
        "sname",
        "tls_ca",
        "tls_cert",
        "tls_config",
        "tls_key",
        "tls_server_name",
        "verbose",
    ];

    /// The other keys of the file.
    const FILE_ONLY: [&str; 1] = ["cookies"];

    /// Merges the flags, the environment's variables and the file.
    ///
    /// # Errors
    /// If two of them contradict each other.
    pub fn load(flags: &Settings, sources: &Sources) -> Result<Self, Failure> {
        let mut layers = [sources.file.clone(), sources.environment.clone(), flags.clone()];
        // Of two settings for the same thing, the one of the higher layer counts.
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
                if higher.tls_config.is_some() {
                    (layer.tls_cert, layer.tls_key, layer.tls_ca) = (None, None, None);
                    layer.tls_server_name = None;
                }
                if higher.has_tls_files() {
                    layer.tls_config = None;
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
            _ if settings.tls_config.is_some() && settings.has_tls_files() => {
                Err(Failure::usage("`tls_config` is set, and certificates too").hint("keep one of them"))
            }
            _ => Ok(settings),
        }
    }

    /// The output format.
    pub fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// The address to listen on for other nodes, if given.
    pub fn listen_address(&self) -> Option<IpAddr> {
        self.listen.map(|listen| listen.address)
    }

    /// Whether a certificate is given, or what concerns one.
    pub(crate) fn has_tls_files(&self) -> bool {
        self.tls_cert.is_some() || self.tls_key.is_some() || self.tls_ca.is_some() || self.tls_server_name.is_some()
    }

    /// The verbosity, from -2 to 3.
    pub fn verbosity(&self) -> i8 {
        match (self.verbose, self.quiet) {
            (0, quiet) => -(quiet.min(2) as i8),
            (verbose, _) => verbose.min(3) as i8,
        }
    }
}

/// The output format of a command.
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

/// The registration of nodes.
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

/// A duration in human-readable form: `30s`, `1m 30s`, `500ms`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SpanForm", into = "String")]
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
            // Longer durations overflow some clocks.
            false => Ok(Self(time.min(Duration::from_secs(365 * 24 * 3600)))),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl TryFrom<SpanForm> for Span {
    type Error = String;

    fn try_from(form: SpanForm) -> Result<Self, String> {
        match form {
            SpanForm::Seconds(seconds) => seconds.to_string().parse(),
            SpanForm::Text(text) => text.parse(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a time: seconds, or text such as \"1m 30s\"")]
enum SpanForm {
    Seconds(f64),
    Text(String),
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// Reads a boolean, or its text.
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

/// Reads a number, or its text.
fn number<'de, D: Deserializer<'de>, T: FromStr + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number that is not negative")]
    enum Form<T> {
        Number(T),
        Text(String),
    }
    match Form::deserialize(deserializer)? {
        Form::Number(number) => Ok(number),
        Form::Text(text) => {
            text.trim().parse().map_err(|_| serde::de::Error::custom(format!("expected a number, found {text:?}")))
        }
    }
}

fn some_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    number(deserializer).map(Some)
}

/// Reads texts: a list, or one text with spaces between.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "text, or a list of texts")]
    enum Form {
        Text(String),
        List(Vec<String>),
    }
    Ok(Some(match Form::deserialize(deserializer)? {
        Form::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
        Form::List(list) => list,
    }))
}

/// Reads strategies: a list, or (in a variable) one text with spaces between.
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
