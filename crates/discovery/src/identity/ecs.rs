//! The name of the node in a task of ECS.

use peerl_proto::node_name::NodeName;
use serde::Deserialize;

use super::{IdentityError, named};
use crate::aws::{OwnTask, TaskMetadata};
use crate::naming::Naming;

/// The settings of `auto:ecs`. They are those of the strategy `ecs`, so that it finds the node; with the defaults,
/// `cloudmap` finds it too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EcsIdentity {
    /// The host: `private-ip` (the default), `private-dns`, `ipv6`, `tag:KEY`, or a template such as
    /// `{task_id}.example.org`.
    #[serde(default)]
    pub host: Option<String>,
    /// The name before the `@`: `node` by default, a template, or `tag:KEY`.
    #[serde(default)]
    pub basename: Option<String>,
}

impl EcsIdentity {
    const KIND: &str = "ecs";

    pub(super) fn check(&self) -> Result<Naming, String> {
        let basename = self.basename.as_deref().unwrap_or(Naming::BASENAME);
        Naming::new(basename, self.host.as_deref().unwrap_or(OwnTask::HOST), OwnTask::VARIABLES)
    }

    /// Determines the name.
    ///
    /// # Errors
    /// If the task's metadata service does not answer, or the result is not a node name.
    pub async fn name(&self, metadata: &TaskMetadata) -> Result<NodeName, IdentityError> {
        let naming = self.check();
        let unknown = |source| IdentityError::Unknown { kind: Self::KIND, source };
        let task = metadata.task().await.map_err(unknown)?;
        let needs_tags = naming.iter().flat_map(Naming::variables).any(|variable| variable.starts_with("tag:"));
        let tags = if needs_tags { metadata.tags().await.map_err(unknown)? } else { Default::default() };
        named(Self::KIND, &naming, |variable| match variable.strip_prefix("tag:") {
            Some(key) => tags.get(key).cloned(),
            None => task.value(variable),
        })
    }
}
