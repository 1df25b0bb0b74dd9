//! The nodes on the instances of an auto scaling group.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::LifecycleState;
use aws_sdk_ec2::types::Instance;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::ec2::{drain_tag, naming, wanted_tags};
use super::{Answer, Ec2Settings, Peers, Strategy, StrategyError};
use crate::aws::instances::{self, Instances};
use crate::aws::member_filter::{MemberFilter, Membership};
use crate::aws::wanted::{MINE, Remembered};
use crate::aws::{Access, LeaveThrottled, WholeAnswer, refusal};
use crate::spec::{Spec, SpecError, StrategySettings, one_or_many};

/// The strategy `asg`: the instances in service of an auto scaling group, given by name or as that of this process's
/// instance (`autoscaling:DescribeAutoScalingGroups`, `autoscaling:DescribeAutoScalingInstances`,
/// `ec2:DescribeInstances`).
///
/// This process's own instance counts even before it is in service. Instances that the group removes (`Terminating*`,
/// `Standby`, `Detaching`) are no longer listed; they are ended.
pub struct AutoScaling {
    name: String,
    /// `None` means the group of this instance.
    group: Option<String>,
    own_group: Remembered,
    client: OnceCell<Client>,
    instances: Instances,
    members: MemberFilter,
}

impl AutoScaling {
    const DESCRIBE_GROUPS: &str = "autoscaling:DescribeAutoScalingGroups";
    /// The prefixes of the lifecycle states in which the group removes an instance.
    const ENDING: [&str; 4] = ["Terminat", "Detach", "EnteringStandby", "Standby"];
    const DESCRIBE_INSTANCES: &str = "autoscaling:DescribeAutoScalingInstances";

    /// Makes the strategy.
    ///
    /// # Errors
    /// If a setting is invalid.
    pub fn new(settings: &AutoScalingSettings, access: Arc<Access>) -> Result<Self, SpecError> {
        Ok(Self {
            name: Spec::AutoScaling(settings.clone()).to_string(),
            group: settings.group.clone().filter(|group| group != MINE),
            own_group: Remembered::default(),
            client: OnceCell::new(),
            instances: Instances::new(access),
            members: settings.members()?,
        })
    }

    async fn find(&self) -> Result<Answer, StrategyError> {
        let group = match &self.group {
            Some(group) => group.clone(),
            None => self.own_group.get(self.ask_own_group()).await?,
        };
        let mut states = self.states(&group).await?;
        // The group waits for the first instance to become ready, so that instance must not wait for the group.
        if states.values().any(|state| *state == Membership::Joining)
            && let Ok(id) = self.instances.access().metadata().instance_id().await
            && let Some(own) = states.get_mut(id).filter(|state| **state == Membership::Joining)
        {
            *own = Membership::Member;
        }
        if !states.values().any(|state| *state == Membership::Member) {
            let region = self.instances.access().region_name();
            let asked = format!("{} in {region} for instances in service of {group}", Self::DESCRIBE_GROUPS);
            return Ok(Answer::whole(Peers::new()).with_asked(asked));
        }
        // Filter by tag, not by instance id: EC2 rejects a request with the id of a removed instance.
        let filters = vec![instances::filter(&format!("tag:{}", Ec2Settings::GROUP_TAG), &group)];
        let membership = |instance: &Instance| {
            instance.instance_id().and_then(|id| states.get(id)).copied().unwrap_or(Membership::Other)
        };
        self.members.nodes(&self.name, &self.instances, filters, membership).await
    }

    /// The membership of a group's instances, by id.
    async fn states(&self, group: &str) -> Result<HashMap<String, Membership>, StrategyError> {
        let request = self.client().await?.describe_auto_scaling_groups().auto_scaling_group_names(group);
        let answer = request.send().await.map_err(|error| refusal(Self::DESCRIBE_GROUPS, error))?;
        let found = answer.auto_scaling_groups().iter().find(|found| found.auto_scaling_group_name() == Some(group));
        let found = found.ok_or_else(|| StrategyError::NotFound { what: format!("auto scaling group {group:?}") })?;
        let state = |state: Option<&LifecycleState>| match state {
            Some(LifecycleState::InService) => Membership::Member,
            Some(state) if state.as_str().starts_with("Pending") => Membership::Joining,
            Some(state) if Self::ENDING.iter().any(|ending| state.as_str().starts_with(ending)) => Membership::Leaving,
            _ => Membership::Other,
        };
        let members = found.instances().iter();
        Ok(members.filter_map(|it| Some((it.instance_id()?.to_owned(), state(it.lifecycle_state())))).collect())
    }

    async fn ask_own_group(&self) -> Result<String, StrategyError> {
        let id = self.instances.access().metadata().instance_id().await?;
        let request = self.client().await?.describe_auto_scaling_instances().instance_ids(id);
        let answer = request.send().await.map_err(|error| refusal(Self::DESCRIBE_INSTANCES, error))?;
        let own = answer.auto_scaling_instances().iter().find(|member| member.instance_id() == Some(id));
        let group = own.and_then(|member| member.auto_scaling_group_name()).map(str::to_owned);
        group.ok_or_else(|| StrategyError::NotFound { what: format!("auto scaling group of this instance ({id})") })
    }

    async fn client(&self) -> Result<&Client, StrategyError> {
        let make = async || {
            let config = aws_sdk_autoscaling::config::Builder::from(self.instances.access().config().await?);
            Ok(Client::from_conf(config.interceptor(WholeAnswer).retry_classifier(LeaveThrottled).build()))
        };
        self.client.get_or_try_init(make).await
    }
}

impl Strategy for AutoScaling {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(self.find())
    }
}

/// The settings of `asg`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoScalingSettings {
    /// The group's name; without one, or with `@mine`, that of this process's instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Further tags that an instance must have, as for `ec2`. A group that is being refreshed contains two releases.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// The region; by default that of the environment, the profile or the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The tag of a draining instance: `KEY` or `KEY=VALUE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_tag: Option<String>,
    /// The host of the node, as for `ec2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The name before the `@`, as for `ec2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basename: Option<String>,
}

impl AutoScalingSettings {
    fn members(&self) -> Result<MemberFilter, SpecError> {
        if self.group.as_deref() == Some("") {
            return Err(SpecError::settings::<Self>("`group` is empty: is a variable not set?"));
        }
        let wanted = wanted_tags::<Self>(&self.tag)?;
        let drain = drain_tag::<Self>(self.drain_tag.as_deref())?;
        Ok(MemberFilter::new(wanted, drain, naming::<Self>(self.basename.as_deref(), self.host.as_deref())?))
    }
}

impl StrategySettings for AutoScalingSettings {
    const NAME: &'static str = "asg";
    const BARE: Option<&'static str> = Some("group");

    fn check(&self) -> Result<(), SpecError> {
        self.members().map(drop)
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        Ok(Arc::new(AutoScaling::new(self, Access::from_env(self.region.as_deref()))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let spec = |text: &str| text.parse::<Spec>();
        let settings =
            |group: Option<&str>| AutoScalingSettings { group: group.map(str::to_owned), ..Default::default() };
        assert_eq!(spec("asg").unwrap(), Spec::AutoScaling(settings(None)));
        assert_eq!(spec("asg:web").unwrap(), Spec::AutoScaling(settings(Some("web"))));
        assert_eq!(spec("asg:group=web").unwrap(), spec("asg:web").unwrap());
        assert_eq!(spec("asg:web,tag=rel,host=private-ip").unwrap().to_string(), "asg:web,host=private-ip,tag=rel");
        assert!(spec("asg:group=").unwrap_err().to_string().contains("variable"));
        assert!(spec("asg:web,tag==x").unwrap_err().to_string().contains("KEY=VALUE"));
    }
}
