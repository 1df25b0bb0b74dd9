use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, Fuse, FuturesUnordered, StreamExt};
use peerl_proto::handshake::HandshakeError;
use peerl_proto::node_name::NodeName;
use tokio::time::Instant;

use super::workers::{WorkerPool, Workers};
use super::{CallOf, Mapped, Order, REORDER, Settings};
use crate::mfa::Mfa;
use crate::network::connect_error::ConnectError;
use crate::rpc::CallError;

/// Decides which node makes which call, and what becomes of failures.
pub(super) struct Scheduler<I, T, F, C> {
    pool: WorkerPool,
    mfa: F,
    call: C,
    items: Fuse<BoxStream<'static, I>>,
    settings: Settings,
    next_index: usize,
    /// Taken, and not under way: new ones, and those that are to be tried again.
    waiting: VecDeque<Job<I>>,
    running: FuturesUnordered<BoxFuture<'static, Finished<I, T>>>,
    /// Done, and not reported: in the order of items, if that is wanted.
    done: BTreeMap<usize, Mapped<I, T>>,
    next_reported: usize,
    exhausted: bool,
}

/// One item on its way.
struct Job<I> {
    index: usize,
    item: I,
    attempts: u32,
    began: Option<Instant>,
    last: Option<NodeName>,
}

struct Finished<I, T> {
    job: Job<I>,
    node: NodeName,
    result: Result<T, CallError>,
}

impl<I, T, F, C, Fut> Scheduler<I, T, F, C>
where
    I: Send + 'static,
    T: Send + 'static,
    F: CallOf<I>,
    C: Fn(&NodeName, Mfa) -> Fut,
    Fut: Future<Output = Result<T, CallError>> + Send + 'static,
{
    pub(super) fn new(workers: Workers, mfa: F, call: C, items: BoxStream<'static, I>, settings: Settings) -> Self {
        Self {
            pool: WorkerPool::new(workers, settings.window),
            mfa,
            call,
            items: items.fuse(),
            settings,
            next_index: 0,
            waiting: VecDeque::new(),
            running: FuturesUnordered::new(),
            done: BTreeMap::new(),
            next_reported: 0,
            exhausted: false,
        }
    }

    /// What came of the next item; `None` when all have been reported.
    pub(super) async fn next(&mut self) -> Option<Mapped<I, T>> {
        loop {
            let now = Instant::now();
            self.pool.refresh();
            self.assign(now);
            if let Some(mapped) = self.report() {
                return Some(mapped);
            }
            if self.exhausted && self.waiting.is_empty() && self.running.is_empty() {
                return None;
            }
            let give_up_at = self.pool.idle_since(now).map(|since| since + self.settings.patience);
            let is_hopeless = self.pool.unfit().is_some() || give_up_at.is_some_and(|at| at <= now);
            let given_up = is_hopeless && self.running.is_empty();
            if given_up && !self.waiting.is_empty() {
                self.give_up();
                continue;
            }
            let wants_item = self.waiting.is_empty()
                && !self.exhausted
                && (given_up || self.pool.choose(None, now).is_some())
                && self.done.len() < REORDER;
            let wake_at = [give_up_at, self.pool.next_rested(now)].into_iter().flatten().filter(|at| *at > now).min();
            tokio::select! {
                biased;
                Some(finished) = self.running.next(), if !self.running.is_empty() => self.finish(finished),
                item = self.items.next(), if wants_item => match item {
                    Some(item) => {
                        let index = self.next_index;
                        self.next_index += 1;
                        self.waiting.push_back(Job { index, item, attempts: 0, began: None, last: None });
                    }
                    None => self.exhausted = true,
                },
                () = self.pool.changed() => {}
                () = tokio::time::sleep_until(wake_at.unwrap_or(now)), if wake_at.is_some() => {}
            }
        }
    }

    /// Gives waiting items to nodes that may take them.
    fn assign(&mut self, now: Instant) {
        while let Some(job) = self.waiting.front()
            && let Some(node) = self.pool.choose(job.last.as_ref(), now)
            && let Some(mut job) = self.waiting.pop_front()
        {
            self.pool.started(&node);
            job.began.get_or_insert(now);
            job.attempts += 1;
            let call = (self.call)(&node, self.mfa.call_of(&node, &job.item));
            self.running.push(Box::pin(async move { Finished { result: call.await, job, node } }));
        }
    }

    fn finish(&mut self, finished: Finished<I, T>) {
        let Finished { mut job, node, result } = finished;
        let now = Instant::now();
        match result {
            Err(error) => match fate(&error) {
                Fate::Final => {
                    self.pool.answered(&node);
                    self.complete(job, Some(node), Err(error));
                }
                Fate::NotMade => {
                    self.pool.failed(&node, now);
                    job.attempts -= 1;
                    job.last = Some(node);
                    self.waiting.push_front(job);
                }
                Fate::Never => {
                    job.attempts -= 1;
                    job.last = Some(node.clone());
                    self.pool.refused(&node, error);
                    self.waiting.push_front(job);
                }
                Fate::Unknown => {
                    self.pool.failed(&node, now);
                    if job.attempts > self.settings.retries {
                        self.complete(job, Some(node), Err(error));
                    } else {
                        job.last = Some(node);
                        self.waiting.push_front(job);
                    }
                }
            },
            Ok(value) => {
                self.pool.answered(&node);
                self.complete(job, Some(node), Ok(value));
            }
        }
    }

    fn complete(&mut self, job: Job<I>, node: Option<NodeName>, result: Result<T, CallError>) {
        let elapsed = job.began.map_or(Duration::ZERO, |began| began.elapsed());
        let mapped = Mapped { index: job.index, item: job.item, node, elapsed, attempts: job.attempts, result };
        self.done.insert(mapped.index, mapped);
    }

    /// Takes a result that may be reported now.
    fn report(&mut self) -> Option<Mapped<I, T>> {
        match self.settings.order {
            Order::AsCompleted => self.done.pop_first().map(|(_, mapped)| mapped),
            Order::OfItems => {
                let mapped = self.done.remove(&self.next_reported)?;
                self.next_reported += 1;
                Some(mapped)
            }
        }
    }

    /// Reports the items that wait as failed.
    fn give_up(&mut self) {
        for job in std::mem::take(&mut self.waiting) {
            let node = job.last.clone();
            let why = match self.pool.unfit() {
                Some(CallError::Connect(error)) => CallError::Connect(error.clone()),
                Some(CallError::NotSpawned(reason)) => CallError::NotSpawned(reason.clone()),
                Some(CallError::NoRex) => CallError::NoRex,
                _ => CallError::NobodyToAsk,
            };
            self.complete(job, node, Err(why));
        }
    }
}

/// What an error means for the item.
enum Fate {
    /// The function has failed, or would fail anywhere.
    Final,
    /// The call was not made; another node may make it.
    NotMade,
    /// The call was not made, and the node will make none; another node may make it.
    Never,
    /// Nobody knows whether the call was made.
    Unknown,
}

fn fate(error: &CallError) -> Fate {
    match error {
        CallError::NoRex => Fate::Never,
        CallError::NotSpawned(reason) if *reason == "notsup" => Fate::Never,
        CallError::Connect(error) if is_lasting(error) => Fate::Never,
        CallError::Connect(_) | CallError::NotSpawned(_) => Fate::NotMade,
        CallError::NodeDown | CallError::Disconnected(_) | CallError::Timeout(_) | CallError::Signal(_) => {
            Fate::Unknown
        }
        _ => Fate::Final,
    }
}

/// Whether the settings of the nodes keep them apart, which no wait changes.
fn is_lasting(error: &ConnectError) -> bool {
    use HandshakeError::{CookieMismatch, WrongName};
    matches!(
        error,
        ConnectError::NameKind { .. }
            | ConnectError::Handshake { source: CookieMismatch { .. } | WrongName { .. }, .. }
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use futures::stream;
    use peerl_term::Atom;
    use tokio::sync::watch;

    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(&format!("{name}@h")).unwrap()
    }

    fn settings() -> Settings {
        Settings { window: 4, retries: 3, timeout: None, patience: Duration::from_secs(10), order: Order::AsCompleted }
    }

    fn mfa(item: &usize) -> Mfa {
        Mfa::new("m", "f", (*item as u64,)).unwrap()
    }

    /// Runs items over fake nodes; `behaviour` is what a node does with its nth call.
    async fn run<B, Fut>(
        workers: impl Into<Workers>,
        items: usize,
        settings: Settings,
        behaviour: B,
    ) -> Vec<Mapped<usize, ()>>
    where
        B: Fn(NodeName, usize) -> Fut,
        Fut: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let counts: Mutex<HashMap<NodeName, usize>> = Mutex::default();
        let call = |node: &NodeName, _: Mfa| {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(node.clone()).or_default();
            *count += 1;
            behaviour(node.clone(), *count)
        };
        let mut scheduler = Scheduler::new(workers.into(), mfa, call, stream::iter(0..items).boxed(), settings);
        let mut all = Vec::new();
        while let Some(mapped) = scheduler.next().await {
            all.push(mapped);
        }
        all
    }

    fn indices(all: &[Mapped<usize, ()>]) -> Vec<usize> {
        all.iter().map(|mapped| mapped.index).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn results_come_in_order_if_asked_and_each_once() {
        let ordered = Settings { order: Order::OfItems, ..settings() };
        let all = run(vec![node("a"), node("b")], 100, ordered, |_, n| async move {
            tokio::time::sleep(Duration::from_millis(n as u64 * 7919 % 50)).await;
            Ok(())
        })
        .await;
        assert_eq!(indices(&all), (0..100).collect::<Vec<_>>());
        assert!(all.iter().all(|mapped| mapped.result.is_ok() && mapped.attempts == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_dead_node_has_not_done_goes_to_the_others() {
        let all = run(vec![node("a"), node("b")], 100, settings(), |node, n| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            match (node.name(), n) {
                ("a", 10..) => Err(CallError::NodeDown),
                _ => Ok(()),
            }
        })
        .await;
        let mut seen = indices(&all);
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(all.iter().all(|mapped| mapped.result.is_ok()));
        assert!(all.iter().filter(|mapped| *mapped.node.as_ref().unwrap() == node("b")).count() > 80);
    }

    /// So many nodes, of which some die when half of the work is done: the time of all, against that without a death.
    async fn loss(nodes: usize, dying: usize) -> f64 {
        let workers: Vec<NodeName> = (0..nodes).map(|number| node(&format!("n{number}"))).collect();
        let took = async |dying: usize| {
            let began = Instant::now();
            let all = run(workers.clone(), 80 * nodes, settings(), |node, _| async move {
                let left = Duration::from_millis(500).saturating_sub(began.elapsed());
                let dies = node.name()[1..].parse::<usize>().unwrap() < dying;
                let page = Duration::from_millis(50);
                tokio::time::sleep(if dies { page.min(left) } else { page }).await;
                match dies {
                    true if left.is_zero() => Err(ConnectError::UnknownNode(node).into()),
                    true if left < page => Err(CallError::NodeDown),
                    _ => Ok(()),
                }
            })
            .await;
            assert!(all.len() == 80 * nodes && all.iter().all(|mapped| mapped.result.is_ok()));
            began.elapsed().as_secs_f64()
        };
        took(dying).await / took(0).await - 1.0
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_of_a_dead_node_goes_to_the_others() {
        for (nodes, dying) in [(4, 1), (2, 1), (7, 3), (4, 3)] {
            let loss = loss(nodes, dying).await;
            assert!(loss < 0.11, "{dying} of {nodes}: {loss}");
        }
        // The last of ten does not get the work of all: it is no reason to end it too.
        assert!(loss(10, 9).await > 0.5);
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_that_take_no_such_calls_are_not_waited_for() {
        let began = Instant::now();
        let notsup = || CallError::NotSpawned(Atom::from_static("notsup"));
        let all = run(vec![node("a"), node("b")], 300, settings(), |_, _| async move { Err(notsup()) }).await;
        assert_eq!((all.len(), began.elapsed()), (300, Duration::ZERO));
        assert!(all.iter().all(|mapped| matches!(&mapped.result, Err(CallError::NotSpawned(why)) if *why == "notsup")));
        // Beside one that takes them, it is left out.
        let all = run(vec![node("a"), node("b")], 300, settings(), |node, n| async move {
            match (node.name(), n) {
                ("a", ..=4) => Err(notsup()),
                ("a", n) => panic!("{n} calls"),
                _ => Ok(()),
            }
        })
        .await;
        assert!(all.iter().all(|mapped| mapped.result.is_ok() && *mapped.node.as_ref().unwrap() == node("b")));
        let lasting = || ConnectError::NameKind { ours: node("x"), peer: node("a") };
        let all = run(vec![node("a")], 3, settings(), |_, _| async move { Err(lasting().into()) }).await;
        assert!(
            all.iter().all(|mapped| matches!(mapped.result, Err(CallError::Connect(ConnectError::NameKind { .. }))))
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_that_ends_every_node_is_given_up() {
        let all = run(vec![node("a"), node("b")], 1, settings(), |_, _| async { Err(CallError::NodeDown) }).await;
        assert!(matches!(&all[..], [Mapped { attempts: 4, result: Err(CallError::NodeDown), .. }]));
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_node_the_wait_ends() {
        let began = Instant::now();
        let all = run(vec![node("a")], 500, settings(), |node, _| async {
            Err(CallError::Connect(ConnectError::UnknownNode(node)))
        })
        .await;
        assert_eq!(all.len(), 500);
        assert!(all.iter().all(|mapped| matches!(mapped.result, Err(CallError::NobodyToAsk))));
        assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&began.elapsed()));
        assert_eq!(run(Vec::new(), 3, settings(), |_, _| async { Ok(()) }).await.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_exception_is_a_result() {
        let all = run(vec![node("a")], 3, settings(), |_, _| async { Err(crate::Exception::badarg().into()) }).await;
        assert!(all.iter().all(|mapped| mapped.attempts == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_refuses_gets_its_items_taken_away() {
        let all = run(vec![node("a"), node("b")], 50, settings(), |node, _| async move {
            match node.name() {
                "a" => Err(CallError::NotSpawned(Atom::from_static("system_limit"))),
                _ => Ok(()),
            }
        })
        .await;
        assert!(all.iter().all(|mapped| mapped.result.is_ok() && *mapped.node.as_ref().unwrap() == node("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_holds_and_nodes_may_join() {
        let (sender, receiver) = watch::channel(vec![node("a")]);
        let busy: Arc<Mutex<HashMap<NodeName, usize>>> = Arc::default();
        let shared = busy.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = sender.send(vec![node("a"), node("b")]);
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
        let all = run(receiver, 200, settings(), move |node, _| {
            let busy = shared.clone();
            async move {
                let now = {
                    let mut busy = busy.lock().unwrap();
                    let now = busy.entry(node.clone()).or_default();
                    *now += 1;
                    *now
                };
                assert!(now <= 4);
                tokio::time::sleep(Duration::from_millis(10)).await;
                *busy.lock().unwrap().get_mut(&node).unwrap() -= 1;
                Ok(())
            }
        })
        .await;
        assert_eq!(all.len(), 200);
        assert!(all.iter().any(|mapped| *mapped.node.as_ref().unwrap() == node("b")));
    }
}
