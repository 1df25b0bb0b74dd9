//! Reports of unlisted peers, forgetting, leaving; no disconnecting.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn leaving(mesh: &FakeMesh, strategies: &[&Scripted]) -> Reconciler<FakeMesh> {
    reconciler(mesh, strategies).removal(Removal::WhenGoneFor(10 * MINUTE))
}

/// The number of events of one kind so far.
fn count(events: &mut broadcast::Receiver<MeshEvent>, wanted: fn(&MeshEvent) -> bool) -> usize {
    let mut count = 0;
    loop {
        match events.try_recv() {
            Ok(event) => count += usize::from(wanted(&event)),
            Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return count,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_alive_is_told_of_once_and_stays_connected() {
    for removal in [Removal::Never, Removal::WhenGoneFor(MINUTE)] {
        let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b", "me"]));
        let running = reconciler(&mesh, &[&strategy]).removal(removal).start();
        let mut events = running.events();
        seconds(1).await;
        strategy.set(Reply::Peers(nodes(&["b", "me"])));
        let told = event(&mut events, |event| matches!(event, MeshEvent::Unlisted { .. })).await;
        let MeshEvent::Unlisted { peer, by, has_ended, .. } = told else { unreachable!() };
        assert_eq!((peer, by.as_str(), has_ended), (node("a"), "scripted", false));
        sleep(100 * MINUTE).await;
        assert_eq!(mesh.connected(), nodes(&["a", "b"]));
        assert_eq!(count(&mut events, |event| matches!(event, MeshEvent::Unlisted { .. })), 0);
        // A lost peer is not dialled until it is listed again.
        mesh.lose("a");
        event(&mut events, |event| matches!(event, MeshEvent::Forgotten { peer } if *peer == node("a"))).await;
        sleep(100 * MINUTE).await;
        assert_eq!(mesh.attempts("a"), 1);
        strategy.set(Reply::Peers(nodes(&["a", "b", "me"])));
        sleep(MINUTE).await;
        assert_eq!(mesh.connected(), nodes(&["a", "b"]));
        assert_eq!(mesh.with(|state| state.leaves), 0);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_disappear_at_once_all_stay() {
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&names));
    let running = leaving(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(5).await;
    strategy.set(Reply::Peers(nodes(&["n7"])));
    sleep(20 * MINUTE).await;
    assert_eq!(mesh.connected().len(), 100);
    assert_eq!(count(&mut events, |event| matches!(event, MeshEvent::Unlisted { .. })), 99);
    assert!(names.iter().all(|name| mesh.attempts(name) == 1), "nobody was reconnected");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_never_listed_is_none_of_our_business() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a"]));
    mesh.with(|state| state.connected.insert(node("operator")));
    let running = leaving(&mesh, &[&strategy]).start();
    let mut events = running.events();
    sleep(100 * MINUTE).await;
    assert!(mesh.is_connected("operator"));
    assert_eq!(count(&mut events, |event| matches!(event, MeshEvent::Unlisted { .. })), 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_listed_itself_leaves_and_joins_when_it_is_listed_again() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b", "me"]));
    let running = leaving(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    strategy.set(Reply::Peers(nodes(&["a", "b"])));
    sleep(9 * MINUTE).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]));
    let left = event(&mut events, |event| matches!(event, MeshEvent::Left { .. })).await;
    let MeshEvent::Left { unlisted_for, disconnected } = left else { unreachable!() };
    assert!((10 * MINUTE..11 * MINUTE).contains(&unlisted_for), "{unlisted_for:?}");
    assert_eq!(disconnected, [node("a"), node("b")]);
    sleep(100 * MINUTE).await;
    assert_eq!((mesh.connected(), mesh.attempts("a"), mesh.attempts("b")), (nodes(&[]), 1, 1));
    let mut events = running.events();
    strategy.set(Reply::Peers(nodes(&["a", "b", "me"])));
    event(&mut events, |event| matches!(event, MeshEvent::Rejoining)).await;
    seconds(2).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]), "at once");
    assert_eq!(mesh.with(|state| state.leaves), 1);
    assert_eq!(running.stop().await, Standing::Member);
}

#[tokio::test(start_paused = true)]
async fn a_reconciler_goes_on_where_another_one_has_stopped() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "me"]));
    let running = leaving(&mesh, &[&strategy]).start();
    seconds(1).await;
    strategy.set(Reply::Peers(nodes(&["a"])));
    sleep(11 * MINUTE).await;
    let standing = running.stop().await;
    assert_eq!(standing, Standing::Out);
    let running = leaving(&mesh, &[&strategy]).standing(standing).start();
    sleep(11 * MINUTE).await;
    assert_eq!(mesh.attempts("a"), 1);
    strategy.set(Reply::Peers(nodes(&["a", "me"])));
    sleep(MINUTE).await;
    assert!(mesh.is_connected("a"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_and_empty_polls_are_no_evidence_however_long_they_last() {
    for reply in [|| Reply::Error, || Reply::Peers(Peers::new()), || Reply::Never] {
        let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "me"]));
        let running = leaving(&mesh, &[&strategy]).start();
        seconds(1).await;
        strategy.set(reply());
        sleep(100 * MINUTE).await;
        // They do not count before a good one either: the time starts there.
        strategy.set(Reply::Peers(nodes(&["a"])));
        sleep(9 * MINUTE).await;
        assert!(mesh.is_connected("a"));
        sleep(2 * MINUTE).await;
        assert!(!mesh.is_connected("a"));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_under_way_does_not_take_a_node_in_again() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "me"]));
    let running = reconciler(&mesh, &[&strategy]).removal(Removal::WhenGoneFor(Duration::from_secs(20))).start();
    seconds(1).await;
    mesh.with(|state| state.slowness = Duration::from_secs(15));
    strategy.set(Reply::Peers(nodes(&["a", "b", "c"])));
    let mut events = running.events();
    for _ in 0..30 {
        // A dial is always pending.
        seconds(1).await;
        mesh.lose("b");
    }
    event(&mut events, |event| matches!(event, MeshEvent::Left { .. })).await;
    sleep(MINUTE).await;
    assert_eq!(mesh.connected(), nodes(&[]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_to_leave_that_fails_is_made_again_unless_it_is_in_vain() {
    for (error, again) in
        [((|| LeaveError::Failed("no answer".into())) as fn() -> LeaveError, true), (|| LeaveError::Unsupported, false)]
    {
        let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "me"]));
        mesh.with(|state| state.cannot_leave = Some(error));
        let running = leaving(&mesh, &[&strategy]).start();
        let mut events = running.events();
        seconds(1).await;
        strategy.set(Reply::Peers(nodes(&["a"])));
        event(&mut events, |event| matches!(event, MeshEvent::CannotLeave { .. })).await;
        sleep(MINUTE).await;
        assert!(mesh.is_connected("a"));
        assert_eq!(mesh.with(|state| state.leaves) > 1, again);
        mesh.with(|state| state.cannot_leave = None);
        sleep(MINUTE).await;
        assert_eq!(!mesh.is_connected("a"), again);
        running.stop().await;
    }
}

#[test]
fn every_decision_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b", "c", "me"]));
            mesh.with(|state| state.down.insert(node("c")));
            let running = leaving(&mesh, &[&strategy]).start();
            seconds(1).await;
            strategy.set(Reply::Error);
            seconds(10).await;
            strategy.set(Reply::Peers(Peers::new()));
            seconds(10).await;
            mesh.lose("b");
            seconds(10).await;
            strategy.set(Reply::Peers(nodes(&["b"])));
            sleep(11 * MINUTE).await;
            running.stop().await;
        });
    });
    let figures: BTreeMap<String, f64> = snapshots
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            (format!("{}{{{}}}", key.key().name(), labels.join(",")), value)
        })
        .collect();
    let polls = |outcome: &str| figures[&format!("peerl_discovery_polls_total{{strategy=scripted,outcome={outcome}}}")];
    assert!(polls("failed") >= 1.0 && polls("empty") >= 1.0 && polls("found") >= 100.0, "{figures:?}");
    let all = polls("failed") + polls("empty") + polls("found");
    assert!(figures["peerl_discovery_poll_seconds{strategy=scripted}"] >= all);
    assert_eq!(figures["peerl_discovery_listed{strategy=scripted}"], 1.0);
    assert_eq!(figures["peerl_mesh_peers_listed{}"], 1.0);
    assert_eq!(figures["peerl_mesh_peers_connected{}"], 0.0, "it has left");
    assert_eq!(figures["peerl_mesh_connects_total{}"], 3.0, "a, b, and b again");
    assert_eq!(figures["peerl_mesh_losses_total{}"], 3.0, "b, and both when it left");
    assert!(figures["peerl_mesh_connect_failures_total{}"] >= 2.0);
    assert_eq!(figures["peerl_mesh_unlisted_total{}"], 1.0, "a");
    assert_eq!(figures["peerl_mesh_leaves_total{}"], 1.0);
    assert_eq!(figures["peerl_mesh_forgotten_total{}"], 2.0, "c, and a when it left");
}
