use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tokio::sync::Notify;

use super::*;
use crate::Peers;

mod removal;

fn node(name: &str) -> NodeName {
    NodeName::new(&format!("{name}@h")).unwrap()
}

fn nodes(names: &[&str]) -> Peers {
    names.iter().map(|name| node(name)).collect()
}

/// A node that connects as told, except to peers that are down.
#[derive(Clone, Default)]
struct FakeMesh(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    connected: BTreeSet<NodeName>,
    down: BTreeSet<NodeName>,
    /// The error with which leaving fails.
    cannot_leave: Option<fn() -> LeaveError>,
    leaves: usize,
    /// The duration of a connection attempt.
    slowness: Duration,
    attempts: BTreeMap<NodeName, Vec<Instant>>,
    under_way: usize,
    most_under_way: usize,
}

impl FakeMesh {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn attempts(&self, name: &str) -> usize {
        self.with(|state| state.attempts.get(&node(name)).map_or(0, Vec::len))
    }

    fn is_connected(&self, name: &str) -> bool {
        self.connected().contains(&node(name))
    }

    fn lose(&self, name: &str) {
        self.with(|state| state.connected.remove(&node(name)));
    }
}

impl Mesh for FakeMesh {
    fn name(&self) -> NodeName {
        node("me")
    }

    fn connected(&self) -> BTreeSet<NodeName> {
        self.with(|state| state.connected.clone())
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        Box::pin(async move {
            self.with(|state| {
                state.attempts.entry(peer.clone()).or_default().push(Instant::now());
                state.under_way += 1;
                state.most_under_way = state.most_under_way.max(state.under_way);
            });
            sleep(self.with(|state| state.slowness.max(Duration::from_millis(10)))).await;
            self.with(|state| {
                state.under_way -= 1;
                if state.down.contains(&peer) {
                    return Err("down".into());
                }
                state.connected.insert(peer);
                Ok(())
            })
        })
    }

    fn leave(&self) -> BoxFuture<'_, Result<Vec<NodeName>, LeaveError>> {
        Box::pin(async move {
            sleep(Duration::from_millis(10)).await;
            self.with(|state| {
                state.leaves += 1;
                match state.cannot_leave {
                    Some(error) => Err(error()),
                    None => Ok(std::mem::take(&mut state.connected).into_iter().collect()),
                }
            })
        })
    }
}

/// A strategy whose answer the test sets.
#[derive(Clone)]
struct Scripted(Arc<Mutex<Reply>>, Arc<Notify>);

enum Reply {
    Peers(Peers),
    Error,
    Never,
}

impl Scripted {
    fn new(names: &[&str]) -> Self {
        Self(Arc::new(Mutex::new(Reply::Peers(nodes(names)))), Arc::default())
    }

    fn set(&self, answer: Reply) {
        *self.0.lock().unwrap() = answer;
    }
}

impl Strategy for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(async {
            let answer = match &*self.0.lock().unwrap() {
                Reply::Peers(peers) => Some(Ok(Answer::whole(peers.clone()))),
                Reply::Error => Some(Err(StrategyError::Other("throttled".into()))),
                Reply::Never => None,
            };
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.1.notified())
    }
}

fn reconciler(mesh: &FakeMesh, strategies: &[&Scripted]) -> Reconciler<FakeMesh> {
    let boxed = |strategy: &&Scripted| Arc::new((*strategy).clone()) as Arc<dyn Strategy>;
    Reconciler::new(mesh.clone(), strategies.iter().map(boxed).collect())
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

async fn event(events: &mut broadcast::Receiver<MeshEvent>, wanted: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
    loop {
        let event = timeout(Duration::from_secs(3600), events.recv()).await.expect("the event comes").unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connects_all_but_itself_and_those_that_appear() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b", "me"]));
    let running = reconciler(&mesh, &[&strategy]).start();
    seconds(1).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]));
    strategy.set(Reply::Peers(nodes(&["a", "b", "c"])));
    seconds(6).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b", "c"]));
    assert_eq!([mesh.attempts("a"), mesh.attempts("me")], [1, 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_found_by_two_strategies_is_their_union() {
    let (mesh, one, other) = (FakeMesh::default(), Scripted::new(&["a", "b"]), Scripted::new(&["b", "c"]));
    other.set(Reply::Never);
    let running = reconciler(&mesh, &[&one, &other]).start();
    seconds(20).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]), "one that hangs does not keep the other from its work");
    other.set(Reply::Peers(nodes(&["b", "c"])));
    seconds(20).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b", "c"]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_strategy_sees_does_not_wait_for_the_interval() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a"]));
    let running = reconciler(&mesh, &[&strategy]).interval(Duration::from_secs(3600)).start();
    seconds(1).await;
    strategy.set(Reply::Peers(nodes(&["a", "b"])));
    strategy.1.notify_one();
    seconds(1).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_members_of_any_are_asked_each_for_itself() {
    let (mesh, one, other) = (FakeMesh::default(), Scripted::new(&["a"]), Scripted::new(&["b"]));
    other.set(Reply::Never);
    let boxed = |strategy: &Scripted| Arc::new(strategy.clone()) as Arc<dyn Strategy>;
    let inner = Arc::new(crate::strategy::AnyOf::new(vec![boxed(&other)]));
    let any = Arc::new(crate::strategy::AnyOf::new(vec![boxed(&one), inner]));
    let running = Reconciler::new(mesh.clone(), vec![any]).start();
    seconds(1).await;
    assert_eq!(mesh.connected(), nodes(&["a"]), "one that hangs does not keep the other from its work");
    other.set(Reply::Peers(nodes(&["b"])));
    seconds(60).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_empty_or_hanging_poll_changes_nothing() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = reconciler(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    for (answer, told) in [
        (Reply::Error, (|event| matches!(event, MeshEvent::PollFailed { .. })) as fn(&MeshEvent) -> bool),
        (Reply::Peers(Peers::new()), |event| matches!(event, MeshEvent::PollEmpty { .. })),
        (Reply::Never, |event| matches!(event, MeshEvent::PollFailed { .. })),
    ] {
        strategy.set(answer);
        event(&mut events, told).await;
        assert_eq!(mesh.connected(), nodes(&["a", "b"]));
        // The known peers stay in force: a lost connection is restored.
        mesh.lose("a");
        seconds(10).await;
        assert!(mesh.is_connected("a"));
    }
    strategy.set(Reply::Peers(nodes(&["a", "b", "c"])));
    seconds(60).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b", "c"]), "and then discovery goes on");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_no_longer_listed_stays_connected_but_is_not_dialled_again() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = reconciler(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    strategy.set(Reply::Peers(nodes(&["b"])));
    seconds(60).await;
    assert!(mesh.is_connected("a"));
    mesh.lose("a");
    event(&mut events, |event| matches!(event, MeshEvent::Forgotten { peer } if *peer == node("a"))).await;
    seconds(600).await;
    assert_eq!(mesh.attempts("a"), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_down_is_tried_less_and_less_and_joins_when_it_is_back() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    mesh.with(|state| state.down.insert(node("a")));
    let running = reconciler(&mesh, &[&strategy]).start();
    seconds(600).await;
    assert!(mesh.is_connected("b"));
    let gaps: Vec<Duration> =
        mesh.with(|state| state.attempts[&node("a")].windows(2).map(|pair| pair[1] - pair[0]).collect());
    assert!(gaps[0] < Duration::from_secs(1), "{gaps:?}");
    assert!((25..60).contains(&gaps.len()), "{gaps:?}");
    let late = &gaps[10..];
    assert!(late.iter().all(|gap| (15..=31).contains(&gap.as_secs())), "{gaps:?}");
    assert!(late.iter().any(|gap| gap.abs_diff(late[0]) > Duration::from_millis(100)), "jitter: {gaps:?}");
    mesh.with(|state| state.down.clear());
    seconds(31).await;
    assert!(mesh.is_connected("a"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_drops_every_connection_is_backed_off_from() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a"]));
    let running = reconciler(&mesh, &[&strategy]).start();
    for _ in 0..3000 {
        sleep(Duration::from_millis(100)).await;
        mesh.with(|state| state.connected.clear());
    }
    assert!((5..40).contains(&mesh.attempts("a")), "{}", mesh.attempts("a"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_connects_by_itself_is_not_dialled() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a"]));
    mesh.with(|state| state.connected.insert(node("a")));
    let running = reconciler(&mesh, &[&strategy]).start();
    let mut events = running.events();
    event(&mut events, |event| matches!(event, MeshEvent::Connected { peer } if *peer == node("a"))).await;
    seconds(60).await;
    assert_eq!(mesh.attempts("a"), 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_peers_are_dialled_a_few_at_a_time() {
    let names: Vec<String> = (0..1000).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&names));
    let running = reconciler(&mesh, &[&strategy]).dials(8).start();
    seconds(5).await;
    assert_eq!(mesh.connected().len(), 1000);
    assert_eq!(mesh.with(|state| state.most_under_way), 8);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_or_dropping_ends_all_work_and_no_connection() {
    for drop_it in [false, true] {
        let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
        mesh.with(|state| state.down.insert(node("b")));
        let running = reconciler(&mesh, &[&strategy]).start();
        seconds(3).await;
        match drop_it {
            true => drop(running),
            false => drop(running.stop().await),
        }
        seconds(1).await;
        let attempts = mesh.attempts("b");
        seconds(600).await;
        assert_eq!(mesh.attempts("b"), attempts);
        assert!(mesh.is_connected("a"));
        assert_eq!(Arc::strong_count(&mesh.0), 1, "nothing holds the node any more");
    }
}
