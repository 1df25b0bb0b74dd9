//! The nodes that any of several strategies finds.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, join_all, pending, select_all};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use peerl_node::ErrorChain;

use super::{Answer, Coverage, Peers, Strategy, StrategyError};
use crate::spec::{Spec, SpecError, StrategySettings};

/// The strategy `any`: the union of its members' nodes.
///
/// A member that fails, or suddenly finds no nodes, counts with its last answer, if any, and a warning is logged. The
/// whole fails only if no member answers.
pub struct AnyOf {
    name: String,
    members: Vec<Member>,
}

struct Member {
    strategy: Arc<dyn Strategy>,
    last: Mutex<Answer>,
}

impl AnyOf {
    /// Combines these strategies.
    pub fn new(members: Vec<Arc<dyn Strategy>>) -> Self {
        let names: Vec<&str> = members.iter().map(|member| member.name()).collect();
        let name = format!("any({})", names.join("; "));
        let members = members.into_iter().map(|strategy| Member { strategy, last: Mutex::default() }).collect();
        Self { name, members }
    }
}

impl Strategy for AnyOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(async move {
            let answers = join_all(self.members.iter().map(|member| member.strategy.discover())).await;
            let (mut peers, mut ended, mut errors) = (Peers::new(), Peers::new(), Vec::new());
            let (mut coverage, mut silent, mut asked) = (Coverage::Whole, Vec::new(), Vec::new());
            for (member, answer) in self.members.iter().zip(answers) {
                let mut last = member.last.lock();
                match answer {
                    Ok(found) if found.is_empty() && !last.is_empty() => {
                        tracing::warn!(strategy = member.strategy.name(), "finds no peers; those found before stay");
                    }
                    Ok(found) => *last = found,
                    Err(error) => {
                        let name = member.strategy.name();
                        tracing::warn!(strategy = name, error = %ErrorChain(&error), "failed; the others still count");
                        errors.push((name.to_owned(), error));
                        coverage = Coverage::Sample;
                    }
                }
                peers.extend(last.iter().cloned());
                ended.extend(last.ended.iter().cloned());
                silent.extend(last.silent_hosts.iter().cloned());
                asked.extend(Some(last.asked.clone()).filter(|asked| !asked.is_empty()));
                if last.coverage == Coverage::Sample {
                    coverage = Coverage::Sample;
                }
            }
            match !errors.is_empty() && errors.len() == self.members.len() {
                true => Err(StrategyError::Any { errors }),
                false => Ok(Answer::whole(peers)
                    .with_coverage(coverage)
                    .with_ended(ended)
                    .with_silent_hosts(silent)
                    .with_asked(asked.join("; "))),
            }
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        if self.members.is_empty() {
            return Box::pin(pending());
        }
        let changes = self.members.iter().map(|member| member.strategy.changed());
        Box::pin(select_all(changes).map(drop))
    }

    fn members(&self) -> Vec<Arc<dyn Strategy>> {
        self.members.iter().map(|member| member.strategy.clone()).collect()
    }
}

/// The settings of `any`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnyOfSettings {
    /// The members.
    pub of: Vec<Spec>,
}

impl StrategySettings for AnyOfSettings {
    const NAME: &'static str = "any";
    const BARE: Option<&'static str> = None;

    fn check(&self) -> Result<(), SpecError> {
        match self.of.is_empty() {
            true => Err(SpecError::settings::<Self>("needs strategies: any(STRATEGY; STRATEGY; …)")),
            false => Ok(()),
        }
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        self.check()?;
        Ok(Arc::new(AnyOf::new(self.of.iter().map(Spec::build).collect::<Result<_, _>>()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{FileList, StaticList};

    fn node(name: &str) -> peerl_proto::node_name::NodeName {
        peerl_proto::node_name::NodeName::new(&format!("{name}@h")).unwrap()
    }

    fn nodes(names: &[&str]) -> Peers {
        names.iter().map(|name| node(name)).collect()
    }

    #[tokio::test]
    async fn a_member_that_fails_counts_with_its_last_answer_and_the_others_with_theirs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nodes");
        let any = AnyOf::new(vec![Arc::new(StaticList::new([node("a")])), Arc::new(FileList::new(&path))]);
        assert_eq!(any.name(), format!("any(static:a@h; file:{})", path.display()));
        assert_eq!(any.discover().await.unwrap(), nodes(&["a"]), "the file is not there yet");
        std::fs::write(&path, "b@h").unwrap();
        any.changed().await;
        assert_eq!(any.discover().await.unwrap(), nodes(&["a", "b"]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(any.discover().await.unwrap(), nodes(&["a", "b"]), "the last answer");
        std::fs::write(&path, "# empty").unwrap();
        assert_eq!(any.discover().await.unwrap(), nodes(&["a", "b"]), "empty is taken to be wrong");
        std::fs::write(&path, "c@h").unwrap();
        assert_eq!(any.discover().await.unwrap(), nodes(&["a", "c"]));
    }

    #[tokio::test]
    async fn only_when_all_fail_does_the_whole() {
        let away = |path: &str| Arc::new(FileList::new(path)) as Arc<dyn Strategy>;
        let error = AnyOf::new(vec![away("/no/one"), away("/no/two")]).discover().await.unwrap_err().to_string();
        assert!(error.contains("/no/one") && error.contains("/no/two"), "{error}");
    }
}
