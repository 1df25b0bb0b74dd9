//! Strategies whose answers outlive the reconciler that polled them.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use peerl_discovery::{Answer, Coverage, Strategy, StrategyError};

/// A strategy that keeps its last good answer. A reconciler does that too, but each run of an app has its own
/// reconciler: if discovery fails while the app restarts, the peers found before are better than none.
pub(super) struct CachedStrategy {
    strategy: Arc<dyn Strategy>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    last: Answer,
    /// Whether the current reconciler has not had an answer yet.
    asked_anew: bool,
}

impl CachedStrategy {
    /// Wraps strategies; for one that combines others, wraps each of those.
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

    /// A new reconciler starts.
    pub(super) fn begin(&self) {
        self.memory().asked_anew = true;
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strategy for CachedStrategy {
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
                    // An old answer proves no absence.
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

    /// A strategy that finds nodes, finds none, or fails, as set.
    struct Unreliable(AtomicU8);

    impl Strategy for Unreliable {
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
        let moody = Arc::new(Unreliable(AtomicU8::new(2)));
        let strategy = &CachedStrategy::each(vec![moody.clone()])[0];
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
