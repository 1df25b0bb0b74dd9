//! Values of filters: given ones, or those of this instance.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_sdk_ec2::types::{Filter, Instance};
use parking_lot::Mutex;
use tokio::time::Instant;

use peerl_node::ErrorChain;

use super::instances::{self, Instances};
use crate::StrategyError;

/// The word for "the same as mine".
pub(crate) const MINE: &str = "@mine";

/// A property of an instance and its required value.
pub(crate) struct Wanted {
    property: Property,
    /// `None` means "the same as mine".
    value: Option<String>,
    mine: Remembered,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Tag(String),
    Vpc,
}

impl Wanted {
    pub(crate) fn new(property: Property, value: &str) -> Self {
        Self { property, value: Some(value.to_owned()).filter(|value| value != MINE), mine: Remembered::default() }
    }

    /// Parses `KEY=VALUE`, or `KEY` or `KEY=@mine` for the value of this instance.
    pub(crate) fn tag(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, MINE));
        if key.is_empty() {
            return Err(format!(
                "`tag` can't be {text:?}: it is KEY=VALUE, or KEY for the value that this instance has"
            ));
        }
        if value.is_empty() {
            return Err(format!("`tag` has no value for {key}: is a variable not set?"));
        }
        Ok(Self::new(Property::Tag(key.to_owned()), value))
    }

    /// Resolves "the same as mine".
    pub(crate) async fn resolve(&self, instances: &Instances) -> Result<Resolved<'_>, StrategyError> {
        let value = match &self.value {
            Some(value) => value.clone(),
            None => {
                let ask = async {
                    match &self.property {
                        Property::Tag(key) => instances.own_tag(key).await,
                        Property::Vpc => instances.own_vpc().await,
                    }
                };
                self.mine.get(ask).await?
            }
        };
        Ok(Resolved { property: &self.property, value })
    }
}

/// The form in the text of a strategy.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or(MINE);
        match &self.property {
            Property::Tag(key) => write!(f, "tag={key}={value}"),
            Property::Vpc => write!(f, "vpc={value}"),
        }
    }
}

/// A property and its required value, resolved.
pub(crate) struct Resolved<'a> {
    property: &'a Property,
    value: String,
}

/// The form in the text of a strategy.
impl fmt::Display for Resolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.property {
            Property::Tag(key) => write!(f, "tag={key}={}", self.value),
            Property::Vpc => write!(f, "vpc={}", self.value),
        }
    }
}

impl Resolved<'_> {
    pub(crate) fn filter(&self) -> Filter {
        match self.property {
            Property::Tag(key) => instances::filter(&format!("tag:{key}"), &self.value),
            Property::Vpc => instances::filter("vpc-id", &self.value),
        }
    }

    /// Whether the instance has the value, independent of the service's own filter.
    pub(crate) fn is_met(&self, instance: &Instance) -> bool {
        let found = match self.property {
            Property::Tag(key) => instances::tag(instance, key),
            Property::Vpc => instance.vpc_id(),
        };
        found == Some(self.value.as_str())
    }
}

/// The last value found for this instance. It is refreshed occasionally; if that fails, it stays.
#[derive(Default)]
pub(crate) struct Remembered {
    known: Mutex<Option<(Instant, String)>>,
}

impl Remembered {
    const FRESH: Duration = Duration::from_secs(60);

    pub(crate) async fn get(
        &self,
        ask: impl Future<Output = Result<String, StrategyError>>,
    ) -> Result<String, StrategyError> {
        let known = self.known.lock().clone();
        if let Some((since, value)) = &known
            && since.elapsed() < Self::FRESH
        {
            return Ok(value.clone());
        }
        match (ask.await, known) {
            (Ok(value), _) => {
                *self.known.lock() = Some((Instant::now(), value.clone()));
                Ok(value)
            }
            (Err(error @ StrategyError::NotFound { .. }), _) | (Err(error), None) => Err(error),
            (Err(error), Some((_, value))) => {
                let error = ErrorChain(&error);
                tracing::debug!(%error, value, "the last known value of this instance stays in use");
                Ok(value)
            }
        }
    }
}

/// A tag that marks a draining instance: `KEY`, or `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DrainTag {
    key: String,
    value: Option<String>,
}

impl DrainTag {
    /// The key of the tag that the script for instances sets before its worker stops.
    pub(crate) const USUAL: &str = "peerl:draining";

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value.to_owned())));
        match key.is_empty() {
            true => Err(format!("`drain-tag` can't be {text:?}: it is KEY or KEY=VALUE")),
            false => Ok(Self { key: key.to_owned(), value }),
        }
    }

    pub(crate) fn is_on(&self, instance: &Instance) -> bool {
        instances::tag(instance, &self.key).is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::Tag;

    use super::*;

    #[test]
    fn tags_are_read() {
        let shown = |text: &str| Wanted::tag(text).map(|wanted| wanted.to_string());
        assert_eq!(shown("a=b=c").unwrap(), "tag=a=b=c");
        assert_eq!(shown("a").unwrap(), "tag=a=@mine");
        assert_eq!(shown("a=@mine").unwrap(), "tag=a=@mine");
        assert!(shown("a=").unwrap_err().contains("variable"));
        assert!(shown("=b").unwrap_err().contains("KEY=VALUE"));
    }

    #[test]
    fn a_property_is_met_by_the_very_value() {
        let instance = |key: &str, value: &str| {
            Instance::builder().vpc_id("vpc-1").tags(Tag::builder().key(key).value(value).build()).build()
        };
        let property = Property::Tag("rel".to_owned());
        let wanted = Resolved { property: &property, value: "v1".to_owned() };
        assert!(wanted.is_met(&instance("rel", "v1")));
        for (key, value) in [("rel", "v10"), ("rel", "V1"), ("Rel", "v1"), ("rel2", "v1"), ("rel", "")] {
            assert!(!wanted.is_met(&instance(key, value)), "{key}={value}");
        }
        assert!(Resolved { property: &Property::Vpc, value: "vpc-1".to_owned() }.is_met(&instance("", "")));
        let draining = |text: &str| DrainTag::parse(text).unwrap().is_on(&instance("drain", "yes"));
        assert!(draining("drain") && draining("drain=yes"));
        assert!(!draining("drain=no") && !draining("other"));
        assert!(DrainTag::parse("=yes").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_outlives_a_failure() {
        let remembered = Remembered::default();
        let fails = || async { Err(StrategyError::InstanceMetadata { message: "away".to_owned() }) };
        assert!(remembered.get(fails()).await.is_err());
        assert_eq!(remembered.get(async { Ok("a".to_owned()) }).await.unwrap(), "a");
        assert_eq!(remembered.get(async { Ok("b".to_owned()) }).await.unwrap(), "a");
        tokio::time::advance(Remembered::FRESH).await;
        assert_eq!(remembered.get(fails()).await.unwrap(), "a");
        assert_eq!(remembered.get(async { Ok("b".to_owned()) }).await.unwrap(), "b");
        tokio::time::advance(Remembered::FRESH).await;
        let gone = async { Err(StrategyError::NotFound { what: "tag".to_owned() }) };
        assert!(remembered.get(gone).await.is_err());
    }
}
