//! Strategies as text and in configuration files.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use peerl_proto::node_name::NodeNameError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(feature = "asg")]
use crate::strategy::AutoScalingSettings;
#[cfg(feature = "cloudmap")]
use crate::strategy::CloudMapSettings;
#[cfg(feature = "dns")]
use crate::strategy::DnsNamesSettings;
#[cfg(feature = "ec2")]
use crate::strategy::Ec2Settings;
#[cfg(feature = "ecs")]
use crate::strategy::EcsSettings;
use crate::strategy::{AnyOfSettings, EpmdNamesSettings, FileListSettings, StaticListSettings, Strategy};

mod items;
mod text;
pub mod time;
pub use items::one_or_many;
pub(crate) use items::read as read_items;
pub use text::split_specs;

/// The settings of one strategy. The strategy's file owns the type; its fields are the keys of the text and of the
/// table, and [`one_or_many`] reads its lists.
///
/// An implementation rejects unknown fields (`#[serde(deny_unknown_fields)]`) and omits fields with default values
/// from its serialized form (`skip_serializing_if`), of which a [`Spec`]'s text is made.
pub trait StrategySettings: Serialize + DeserializeOwned {
    /// The strategy's name: the word before the colon.
    const NAME: &'static str;

    /// The field for items without a key (`h1` and `h2` in `epmd:h1,h2`), if there is one.
    const BARE: Option<&'static str>;

    /// Checks the settings without requests to others.
    ///
    /// # Errors
    /// If a setting is invalid.
    fn check(&self) -> Result<(), SpecError>;

    /// Makes the strategy.
    ///
    /// # Errors
    /// If a setting is invalid, in itself or on this machine.
    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError>;
}

/// Generates [`Spec`] from the list of all strategies. A strategy of an optional feature names the feature.
macro_rules! strategies {
    ($($(#[doc = $doc:literal])+ $variant:ident($settings:ident), $name:literal $(, feature = $feature:literal)?;)+) => {
        /// The description of a strategy that is not built yet.
        ///
        /// | text | table of a configuration file |
        /// |---|---|
        /// | `static:a@h,b@h` | `{ strategy = "static", nodes = ["a@h", "b@h"] }` |
        /// | `epmd:h1,h2:4370` | `{ strategy = "epmd", hosts = ["h1", "h2:4370"] }` |
        /// | `file:/etc/peerl/nodes` | `{ strategy = "file", path = "/etc/peerl/nodes" }` |
        /// | `dns:app.internal,type=srv` | `{ strategy = "dns", name = "app.internal", type = "srv" }` |
        /// | `ecs:prod,service=web,revision=@mine` | `{ strategy = "ecs", cluster = "prod", service = ["web"], revision = "@mine" }` |
        /// | `cloudmap:namespace=prod.local,service=web` | `{ strategy = "cloudmap", namespace = "prod.local", service = "web" }` |
        /// | `ec2:tag=csrelease=0123abcd` | `{ strategy = "ec2", tag = "csrelease=0123abcd" }` |
        /// | `asg:web,host=private-ip` | `{ strategy = "asg", group = "web", host = "private-ip" }` |
        /// | `any(static:a@h; epmd:h1)` | `{ strategy = "any", of = ["static:a@h", { strategy = "epmd", hosts = ["h1"] }] }` |
        ///
        /// As text it is `STRATEGY:ITEM,…`, each item a bare value or `key=value`, where the value may contain `=`. A
        /// repeated key makes a list. A backslash makes a following comma, semicolon, parenthesis, equals sign, space
        /// or backslash literal. Text is accepted wherever a table is; a description is always written as text.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Spec {
            $($(#[doc = $doc])+ $(#[cfg(feature = $feature)])? $variant($settings),)+
        }

        impl Spec {
            /// The names of all strategies, including those left out of this build.
            pub const STRATEGIES: &[&str] = &[$($name),+];

            /// Makes the strategy.
            ///
            /// # Errors
            /// If a setting is invalid.
            pub fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$variant(settings) => settings.build(),)+
                }
            }

            /// Reads the settings of the strategy with this name.
            fn read(strategy: &str, source: impl Source) -> Result<Self, SpecError> {
                match strategy {
                    $(
                        $(#[cfg(feature = $feature)])?
                        $name => source.settings().map(Self::$variant),
                        $(
                            #[cfg(not(feature = $feature))]
                            $name => Err(SpecError::NotBuilt { strategy: $name, feature: $feature }),
                        )?
                    )+
                    other => Err(SpecError::UnknownStrategy(other.to_owned())),
                }
            }

            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$variant(settings) => text::write(settings, f),)+
                }
            }
        }
    };
}

strategies! {
    /// A list of nodes that never changes.
    Static(StaticListSettings), "static";
    /// All nodes that are registered at some hosts.
    Epmd(EpmdNamesSettings), "epmd";
    /// The nodes that a file lists.
    File(FileListSettings), "file";
    /// The addresses, or the services, of a name.
    Dns(DnsNamesSettings), "dns", feature = "dns";
    /// The running tasks of an ECS service or task definition.
    Ecs(EcsSettings), "ecs", feature = "ecs";
    /// The instances of a Cloud Map service.
    CloudMap(CloudMapSettings), "cloudmap", feature = "cloudmap";
    /// The instances of EC2 with some tags.
    Ec2(Ec2Settings), "ec2", feature = "ec2";
    /// The instances in service of an auto scaling group.
    AutoScaling(AutoScalingSettings), "asg", feature = "asg";
    // A strategy that needs a feature names it, as `dns` does; its settings are then imported with that feature,
    // above.
    /// The nodes that any of several strategies finds.
    Any(AnyOfSettings), "any";
}

/// A source of settings.
trait Source {
    fn settings<T: StrategySettings>(self) -> Result<T, SpecError>;
}

/// The text after `STRATEGY:`.
impl Source for &str {
    fn settings<T: StrategySettings>(self) -> Result<T, SpecError> {
        checked(items::read(self, T::BARE))
    }
}

/// A table without its `strategy`.
impl Source for serde_json::Map<String, serde_json::Value> {
    fn settings<T: StrategySettings>(self) -> Result<T, SpecError> {
        checked(T::deserialize(serde_json::Value::Object(self)).map_err(|error| error.to_string()))
    }
}

fn checked<T: StrategySettings>(read: Result<T, String>) -> Result<T, SpecError> {
    let settings = read.map_err(|message| SpecError::Settings { strategy: T::NAME, message })?;
    settings.check()?;
    Ok(settings)
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.trim_start();
        if let Some(members) = text::members_of_any(text)? {
            let of = members.into_iter().map(str::parse).collect::<Result<_, _>>()?;
            return checked(Ok(AnyOfSettings { of })).map(Self::Any);
        }
        let (strategy, rest) = text.split_once(':').unwrap_or((text, ""));
        Self::read(strategy.trim(), rest)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(any) => {
                f.write_str("any(")?;
                for (index, member) in any.of.iter().enumerate() {
                    write!(f, "{}{member}", if index == 0 { "" } else { "; " })?;
                }
                f.write_str(")")
            }
            other => other.write(f),
        }
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Form::deserialize(deserializer)? {
            Form::Text(text) => text.parse(),
            Form::Table { strategy, settings } => Self::read(&strategy, settings),
        };
        read.map_err(de::Error::custom)
    }
}

/// The forms of a description in a configuration file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a discovery strategy is text such as \"epmd:host\", or a table with `strategy`")]
enum Form {
    Text(String),
    Table {
        strategy: String,
        #[serde(flatten)]
        settings: serde_json::Map<String, serde_json::Value>,
    },
}

/// Why a description is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No strategy has this name.
    #[error("there is no discovery strategy {0:?}: use one of {known}", known = Spec::STRATEGIES.join(", "))]
    UnknownStrategy(String),
    /// The strategy is not in this build.
    #[error("the discovery strategy {strategy} is not in this build of peerl: build with the feature `{feature}`")]
    NotBuilt {
        /// The strategy.
        strategy: &'static str,
        /// The feature of the crate.
        feature: &'static str,
    },
    /// A setting is missing, unknown or invalid.
    #[error("the strategy {strategy}: {message}")]
    Settings {
        /// The strategy.
        strategy: &'static str,
        /// The reason.
        message: String,
    },
    /// Parentheses that do not match, or text around them.
    #[error("{0:?} is not any(STRATEGY; STRATEGY; …)")]
    Parentheses(String),
    /// A text is not a node name.
    #[error("{node:?} is not a node name: {reason}")]
    Node {
        /// The text.
        node: String,
        /// The reason.
        reason: NodeNameError,
    },
    /// A text is not a host.
    #[error("{0:?} is not a host, or HOST:PORT")]
    Host(String),
    /// An environment variable of EPMD is invalid.
    #[error(transparent)]
    Epmd(peerl_epmd::Error),
}

impl SpecError {
    /// The error for a setting of a strategy.
    pub fn settings<T: StrategySettings>(message: impl Into<String>) -> Self {
        Self::Settings { strategy: T::NAME, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
