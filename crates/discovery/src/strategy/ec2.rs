//! The nodes on instances of EC2 with some tags.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Answer, Strategy, StrategyError};
use crate::aws::Access;
use crate::aws::instances::Instances;
use crate::aws::member_filter::{MemberFilter, Membership};
use crate::aws::wanted::{DrainTag, Property, Wanted};
use crate::naming::Naming;
use crate::spec::{Spec, SpecError, StrategySettings, one_or_many};

/// The strategy `ec2`: the running instances with all of some tags (`ec2:DescribeInstances`).
///
/// Instances that stop, are terminated or have the drain tag are not listed; those that stop or drain are ended.
pub struct Ec2 {
    name: String,
    instances: Instances,
    members: MemberFilter,
}

impl Ec2 {
    /// Makes the strategy.
    ///
    /// # Errors
    /// If a setting is invalid.
    pub fn new(settings: &Ec2Settings, access: Arc<Access>) -> Result<Self, SpecError> {
        let name = Spec::Ec2(settings.clone()).to_string();
        Ok(Self { name, instances: Instances::new(access), members: settings.members()? })
    }
}

impl Strategy for Ec2 {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(self.members.nodes(&self.name, &self.instances, Vec::new(), |_| Membership::Member))
    }
}

/// The settings of `ec2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ec2Settings {
    /// The required tags, all of them: each `KEY=VALUE` with a literal value, or `KEY` for the value of this
    /// process's instance.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// The required VPC: its id, or `@mine`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// The required auto scaling group: its name, or `@mine`. Unlike the strategy `asg`, this checks only the tag
    /// that auto scaling sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asg: Option<String>,
    /// The region; by default that of the environment, the profile or the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The tag of a draining instance: `KEY` or `KEY=VALUE`; by default `peerl:draining`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_tag: Option<String>,
    /// The host of the node: `private-dns` (the default), `private-ip`, `public-dns`, `public-ip`, `ipv6`, `tag:KEY`,
    /// or a template such as `{instance_id}.example.org`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The name before the `@`: `node` by default, a template, or `tag:KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basename: Option<String>,
}

impl Ec2Settings {
    /// The default host.
    pub(crate) const HOST: &str = "private-dns";

    /// The tag that auto scaling sets on each instance of a group.
    pub(crate) const GROUP_TAG: &str = "aws:autoscaling:groupName";

    fn members(&self) -> Result<MemberFilter, SpecError> {
        let mut wanted = wanted_tags::<Self>(&self.tag)?;
        wanted.extend(self.vpc.as_ref().map(|vpc| Wanted::new(Property::Vpc, vpc)));
        let group = || Property::Tag(Self::GROUP_TAG.to_owned());
        wanted.extend(self.asg.as_ref().map(|name| Wanted::new(group(), name)));
        if wanted.is_empty() {
            return Err(SpecError::settings::<Self>("it needs a tag (`tag=KEY=VALUE`), a `vpc` or an `asg`"));
        }
        let drain = drain_tag::<Self>(self.drain_tag.as_deref())?;
        Ok(MemberFilter::new(wanted, drain, naming::<Self>(self.basename.as_deref(), self.host.as_deref())?))
    }
}

impl StrategySettings for Ec2Settings {
    const NAME: &'static str = "ec2";
    const BARE: Option<&'static str> = None;

    fn check(&self) -> Result<(), SpecError> {
        self.members().map(drop)
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        Ok(Arc::new(Ec2::new(self, Access::from_env(self.region.as_deref()))?))
    }
}

/// Parses tags for the settings of a strategy.
pub(super) fn wanted_tags<T: StrategySettings>(tags: &[String]) -> Result<Vec<Wanted>, SpecError> {
    tags.iter().map(|tag| Wanted::tag(tag).map_err(SpecError::settings::<T>)).collect()
}

/// Parses the drain tag for the settings of a strategy.
pub(super) fn drain_tag<T: StrategySettings>(text: Option<&str>) -> Result<DrainTag, SpecError> {
    DrainTag::parse(text.unwrap_or(DrainTag::USUAL)).map_err(SpecError::settings::<T>)
}

/// Parses the naming rule for the settings of a strategy.
pub(super) fn naming<T: StrategySettings>(basename: Option<&str>, host: Option<&str>) -> Result<Naming, SpecError> {
    let (basename, host) = (basename.unwrap_or(Naming::BASENAME), host.unwrap_or(Ec2Settings::HOST));
    Naming::new(basename, host, Instances::VARIABLES).map_err(SpecError::settings::<T>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let spec = |text: &str| text.parse::<Spec>();
        for text in [
            "ec2:tag=csrelease=0123abcd",
            "ec2:asg=web,basename=tag:Name,drain-tag=out,host=private-ip,region=eu-west-1,tag=a=b,tag=c,vpc=@mine",
        ] {
            assert_eq!(spec(text).unwrap().to_string(), text);
        }
        assert_eq!(spec("ec2:tag=a=b, drain-tag=out").unwrap(), spec("ec2:tag=a=b,drain_tag=out").unwrap());
        for (text, wrong) in [
            ("ec2", "needs a tag"),
            ("ec2:tag=csrelease=", "variable"),
            ("ec2:tag=a=b,host=color", "`host`"),
            ("ec2:tag=a=b,colour=red", "colour"),
            ("ec2:a=b", "`a`"),
        ] {
            let error = spec(text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
