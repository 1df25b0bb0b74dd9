//! EC2 instances, from DescribeInstances.

use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName};
use tokio::sync::OnceCell;

use super::{Access, LeaveThrottled, WholeAnswer, refusal};
use crate::StrategyError;

/// The instances of a region.
pub(crate) struct Instances {
    access: Arc<Access>,
    client: OnceCell<Client>,
}

impl Instances {
    /// The attributes of an instance that node names can use.
    pub(crate) const VARIABLES: &[&str] = &[
        "private_dns",
        "private_ip",
        "public_dns",
        "public_ip",
        "ipv6",
        "instance_id",
        "availability_zone",
        "vpc",
        "tag:*",
    ];

    /// The largest page of EC2.
    const PAGE: i32 = 1000;

    /// More pages than any region needs: a circular listing must end.
    const PAGES: usize = 1000;

    pub(crate) fn new(access: Arc<Access>) -> Self {
        Self { access, client: OnceCell::new() }
    }

    pub(crate) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Passes all running or stopping instances that match the filters to `visit`, page by page.
    pub(crate) async fn visit(
        &self,
        filters: Vec<Filter>,
        mut visit: impl FnMut(&Instance),
    ) -> Result<(), StrategyError> {
        let states = Filter::builder().name("instance-state-name");
        let states =
            ["running", "stopping", "shutting-down"].into_iter().fold(states, |states, state| states.values(state));
        let states = states.build();
        let request = self.client().await?.describe_instances().filters(states).max_results(Self::PAGE);
        let request = filters.into_iter().fold(request, |request, filter| request.filters(filter));
        let mut token = None;
        for _ in 0..Self::PAGES {
            let page = request.clone().set_next_token(token).send().await;
            let page = page.map_err(|error| refusal("ec2:DescribeInstances", error))?;
            let instances = page.reservations().iter().flat_map(|reservation| reservation.instances());
            instances.filter(|instance| is_running(instance) || is_ending(instance)).for_each(&mut visit);
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(());
            }
        }
        let message = format!("the list has no end after {} pages", Self::PAGES);
        Err(StrategyError::Malformed { action: "ec2:DescribeInstances", message })
    }

    /// This process's instance, in any state, if EC2 lists it.
    pub(crate) async fn own(&self) -> Result<Option<Instance>, StrategyError> {
        let id = self.access.metadata().instance_id().await?;
        let request = self.client().await?.describe_instances().filters(filter("instance-id", id));
        let answer = request.send().await.map_err(|error| refusal("ec2:DescribeInstances", error))?;
        let mut listed = answer.reservations().iter().flat_map(|reservation| reservation.instances());
        Ok(listed.find(|instance| instance.instance_id() == Some(id)).cloned())
    }

    /// The value of a tag of this process's instance, from its metadata, else from DescribeTags.
    pub(crate) async fn own_tag(&self, key: &str) -> Result<String, StrategyError> {
        // The metadata exclude tags whose keys have other characters.
        let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "+-=.,_:@".contains(symbol);
        if key.chars().all(is_plain)
            && let Some(value) = self.access.metadata().tag(key).await?
        {
            return Ok(value);
        }
        let id = self.access.metadata().instance_id().await?;
        let request = self.client().await?.describe_tags();
        let request = request.filters(filter("resource-id", id)).filters(filter("key", key));
        let answer = request.send().await.map_err(|error| refusal("ec2:DescribeTags", error))?;
        let tag = answer.tags().iter().find(|tag| tag.key() == Some(key) && tag.resource_id() == Some(id));
        let value = tag.and_then(|tag| tag.value()).filter(|value| !value.is_empty());
        let missing = || StrategyError::NotFound { what: format!("tag {key} of this instance ({id})") };
        value.map(str::to_owned).ok_or_else(missing)
    }

    /// The VPC of this process's instance.
    pub(crate) async fn own_vpc(&self) -> Result<String, StrategyError> {
        let metadata = self.access.metadata();
        let mac = metadata.get("mac").await?.unwrap_or_default();
        let vpc = metadata.get(&format!("network/interfaces/macs/{mac}/vpc-id")).await?;
        vpc.ok_or_else(|| StrategyError::NotFound { what: "VPC of this instance".to_owned() })
    }

    async fn client(&self) -> Result<&Client, StrategyError> {
        let make = async || {
            let config = aws_sdk_ec2::config::Builder::from(self.access.config().await?);
            Ok(Client::from_conf(config.interceptor(WholeAnswer).retry_classifier(LeaveThrottled).build()))
        };
        self.client.get_or_try_init(make).await
    }
}

/// A filter for exactly this value: `*`, `?` and `\` are literal.
pub(crate) fn filter(name: &str, value: &str) -> Filter {
    let mut literal = String::with_capacity(value.len());
    for symbol in value.chars() {
        if matches!(symbol, '*' | '?' | '\\') {
            literal.push('\\');
        }
        literal.push(symbol);
    }
    Filter::builder().name(name).values(literal).build()
}

/// The value of one of [`Instances::VARIABLES`].
pub(crate) fn value(instance: &Instance, variable: &str) -> Option<String> {
    let value = match variable {
        "private_dns" => instance.private_dns_name(),
        "private_ip" => instance.private_ip_address(),
        "public_dns" => instance.public_dns_name(),
        "public_ip" => instance.public_ip_address(),
        "ipv6" => instance.ipv6_address(),
        "instance_id" => instance.instance_id(),
        "availability_zone" => instance.placement().and_then(|placement| placement.availability_zone()),
        "vpc" => instance.vpc_id(),
        other => other.strip_prefix("tag:").and_then(|key| tag(instance, key)),
    };
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The value of a tag.
pub(crate) fn tag<'a>(instance: &'a Instance, key: &str) -> Option<&'a str> {
    instance.tags().iter().find(|tag| tag.key() == Some(key)).map(|tag| tag.value().unwrap_or_default())
}

fn is_running(instance: &Instance) -> bool {
    state(instance) == Some(&InstanceStateName::Running)
}

/// Whether the instance is stopping or stopped.
pub(crate) fn is_ending(instance: &Instance) -> bool {
    use InstanceStateName::{ShuttingDown, Stopped, Stopping, Terminated};
    matches!(state(instance), Some(Stopping | ShuttingDown | Stopped | Terminated))
}

fn state(instance: &Instance) -> Option<&InstanceStateName> {
    instance.state().and_then(|state| state.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_filters_are_literal() {
        assert_eq!(filter("tag:a", r"1.0*?\x").values(), [r"1.0\*\?\\x"]);
    }
}
