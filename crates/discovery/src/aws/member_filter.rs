//! Selects members among the listed instances and names their nodes.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_ec2::types::{Filter, Instance};

use super::instances::{self, Instances};
use super::wanted::{DrainTag, Wanted};
use crate::naming::Naming;
use crate::strategy::Answer;
use crate::{Peers, StrategyError};

/// The state of an instance as a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Member,
    /// It was a member, and is being removed.
    Leaving,
    /// It is about to become a member.
    Joining,
    /// It is not a member.
    Other,
}

/// Makes nodes of the instances with all of some properties.
pub(crate) struct MemberFilter {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) drain: DrainTag,
    pub(crate) naming: Naming,
    unnamed: AtomicUsize,
}

impl MemberFilter {
    pub(crate) fn new(wanted: Vec<Wanted>, drain: DrainTag, naming: Naming) -> Self {
        Self { wanted, drain, naming, unnamed: AtomicUsize::new(0) }
    }

    /// The nodes of the running members with these properties that match the further filters. Members that stop,
    /// drain or are being removed are listed as ended.
    pub(crate) async fn nodes(
        &self,
        strategy: &str,
        instances: &Instances,
        further: Vec<Filter>,
        membership: impl Fn(&Instance) -> Membership,
    ) -> Result<Answer, StrategyError> {
        let mut resolved = Vec::with_capacity(self.wanted.len());
        for wanted in &self.wanted {
            resolved.push(wanted.resolve(instances).await?);
        }
        let filters = resolved.iter().map(|property| property.filter()).chain(further).collect();
        let (mut peers, mut ended, mut unnamed) = (Peers::new(), Peers::new(), Vec::new());
        let visit = |instance: &Instance| {
            let id = instance.instance_id().unwrap_or_default();
            let membership = membership(instance);
            if !resolved.iter().all(|property| property.is_met(instance))
                || matches!(membership, Membership::Other | Membership::Joining)
            {
                return;
            }
            let is_draining = self.drain.is_on(instance);
            let has_ended = membership == Membership::Leaving || is_draining || instances::is_ending(instance);
            match self.naming.node(|variable| instances::value(instance, variable)) {
                Ok(node) if has_ended => {
                    tracing::debug!(strategy, instance = id, "left out: it drains or stops");
                    ended.insert(node);
                }
                Ok(node) => {
                    peers.insert(node);
                }
                Err(_) if has_ended => {}
                Err(error) => unnamed.push(format!("{id}: {error}")),
            }
        };
        instances.visit(filters, visit).await?;
        // Logged on change, not at every poll.
        if self.unnamed.swap(unnamed.len(), Ordering::Relaxed) != unnamed.len()
            && let Some(first) = unnamed.first()
        {
            tracing::warn!(strategy, count = unnamed.len(), "instances whose nodes have no name are left out: {first}");
        }
        let asked: Vec<String> = resolved.iter().map(ToString::to_string).collect();
        let region = instances.access().region_name();
        let asked = format!("ec2:DescribeInstances in {region} for running instances with {}", asked.join(", "));
        Ok(Answer::whole(peers).with_ended(ended).with_asked(asked))
    }
}
