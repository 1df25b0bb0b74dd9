//! Strategies whose answers outlive the reconciler that asked.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use peerl_discovery::{Answer, Coverage, Strategy, StrategyError};

/// A strategy that remembers its last good answer. A reconciler keeps that itself, but each run of an app has a
/// reconciler of its own: when discovery is out of order just as the app comes up again, the peers that were found before
/// are better than none.
pub(super) struct Remembering {
    strategy: Arc<dyn Strategy>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    last: Answer,
    /// The reconciler has not had any answer yet.
    asked_anew: bool,
}

impl Remembering {
    /// Makes them of strategies; of one that combines others, of each of those.
    pub(super) fn each(strategies: Vec<Arc<dyn Strategy>>) -> Vec<Arc<Self>> {
        let mut leaves = Vec::new();
        for strategy in strategies {
            match strategy.members() {
                members if members.is_empty() => leaves.push(Arc::new(Self { strategy, memory: Mutex::default() })),
                members => leaves.extend(Self::each(members)),
            }
        }
        leaves
    }

    /// Another reconciler begins to ask.
    pub(super) fn begin(&self) {
        self.memory().asked_anew = true;
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strategy for Remembering {
    fn name(&self) -> &str {
        self.strategy.name()
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(async move {
            let answer = self.strategy.discover().await;
            let mut memory = self.memory();
            let is_first = std::mem::take(&mut memory.asked_anew);
            match answer {
                Ok(answer) if !answer.is_empty() => {
                    memory.last.clone_from(&answer);
                    Ok(answer)
                }
                answer if !is_first || memory.last.is_empty() => answer,
                answer => {
                    let error = answer.err().map_or_else(|| "it finds no nodes".to_owned(), |error| error.to_string());
                    tracing::warn!(strategy = self.name(), error, "discovery fails; the peers found before stay");
                    // Old as it is, it says nothing of who is missing.
                    Ok(memory.last.clone().with_coverage(Coverage::Sample))
                }
            }
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.strategy.changed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// Finds somebody, nobody, or fails.
    struct Moody(AtomicU8);

    impl Strategy for Moody {
        fn name(&self) -> &str {
            "moody"
        }

        fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
            Box::pin(async {
                match self.0.load(Ordering::Relaxed) {
                    0 => Ok(Answer::whole(["a@h".parse().unwrap()].into())),
                    1 => Ok(Answer::default()),
                    _ => Err(StrategyError::Other("broken".into())),
                }
            })
        }
    }

    #[tokio::test]
    async fn only_the_first_answer_to_a_reconciler_is_made_up() {
        let moody = Arc::new(Moody(AtomicU8::new(2)));
        let strategy = &Remembering::each(vec![moody.clone()])[0];
        strategy.begin();
        assert!(strategy.discover().await.is_err(), "nothing is known yet");
        moody.0.store(0, Ordering::Relaxed);
        let found = strategy.discover().await.unwrap();
        for mood in [1, 2] {
            moody.0.store(mood, Ordering::Relaxed);
            strategy.begin();
            let made_up = strategy.discover().await.unwrap();
            assert_eq!((&made_up.peers, made_up.coverage), (&found.peers, Coverage::Sample));
            assert!(!matches!(strategy.discover().await, Ok(answer) if !answer.is_empty()));
        }
    }
}
