//! Who is disconnected, and who never is.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn removing(mesh: &FakeMesh, strategies: &[&Scripted]) -> Reconciler<FakeMesh> {
    reconciler(mesh, strategies).removal(Removal::WhenGoneFor(10 * MINUTE))
}

fn removed(events: &mut broadcast::Receiver<MeshEvent>) -> Vec<(NodeName, Duration)> {
    let mut removed = Vec::new();
    loop {
        match events.try_recv() {
            Ok(MeshEvent::Removed { peer, gone_for }) => removed.push((peer, gone_for)),
            Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return removed,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_nobody_is() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = reconciler(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    strategy.set(Answer::Peers(nodes(&["b"])));
    event(&mut events, |event| matches!(event, MeshEvent::Unlisted { peer } if *peer == node("a"))).await;
    sleep(100 * MINUTE).await;
    assert!(mesh.is_connected("a"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_for_long_enough_is_disconnected_and_not_dialled_again() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = removing(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    strategy.set(Answer::Peers(nodes(&["b"])));
    sleep(9 * MINUTE).await;
    assert!(mesh.is_connected("a"));
    sleep(2 * MINUTE).await;
    assert_eq!(mesh.connected(), nodes(&["b"]));
    let removed = removed(&mut events);
    assert!(removed.len() == 1 && removed[0].0 == node("a"), "{removed:?}");
    assert!((10 * MINUTE..11 * MINUTE).contains(&removed[0].1), "{removed:?}");
    sleep(100 * MINUTE).await;
    assert_eq!(mesh.attempts("a"), 1);
    // Back in the list, it is a peer as any other.
    strategy.set(Answer::Peers(nodes(&["a", "b"])));
    sleep(MINUTE).await;
    assert_eq!(mesh.connected(), nodes(&["a", "b"]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_and_empty_polls_are_no_evidence_however_long_they_last() {
    for answer in [|| Answer::Error, || Answer::Peers(Peers::new()), || Answer::Never] {
        let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
        let running = removing(&mesh, &[&strategy]).start();
        seconds(1).await;
        strategy.set(answer());
        sleep(100 * MINUTE).await;
        assert_eq!(mesh.connected(), nodes(&["a", "b"]));
        // Nor do they count when a good one follows: the time starts there.
        strategy.set(Answer::Peers(nodes(&["b"])));
        sleep(9 * MINUTE).await;
        assert_eq!(mesh.connected(), nodes(&["a", "b"]));
        sleep(2 * MINUTE).await;
        assert_eq!(mesh.connected(), nodes(&["b"]));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_api_flaps_counts_only_where_it_answers() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = removing(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    // A minute of answers, a minute of errors, and so on.
    for minute in 0..18 {
        strategy.set(if minute % 2 == 0 { Answer::Peers(nodes(&["b"])) } else { Answer::Error });
        sleep(MINUTE).await;
        assert!(mesh.is_connected("a"), "after {minute} minutes");
    }
    strategy.set(Answer::Peers(nodes(&["b"])));
    sleep(4 * MINUTE).await;
    assert!(!mesh.is_connected("a"));
    assert_eq!(removed(&mut events).len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn being_listed_once_starts_the_time_anew() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = removing(&mesh, &[&strategy]).start();
    seconds(1).await;
    for _ in 0..10 {
        strategy.set(Answer::Peers(nodes(&["b"])));
        sleep(9 * MINUTE).await;
        strategy.set(Answer::Peers(nodes(&["a", "b"])));
        sleep(MINUTE / 2).await;
        assert!(mesh.is_connected("a"));
    }
    assert_eq!(mesh.attempts("a"), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_all_disappear_at_once_the_mesh_stays_for_the_time_and_an_empty_answer_keeps_it_forever() {
    let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&names));
    let running = removing(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(5).await;
    assert_eq!(mesh.connected().len(), 100);
    // Somebody has changed the tags for a while.
    strategy.set(Answer::Peers(nodes(&["n7"])));
    sleep(9 * MINUTE).await;
    strategy.set(Answer::Peers(Peers::new()));
    sleep(100 * MINUTE).await;
    strategy.set(Answer::Peers(nodes(&names)));
    sleep(MINUTE).await;
    assert_eq!(mesh.connected().len(), 100);
    assert_eq!(removed(&mut events), []);
    assert!(names.iter().all(|name| mesh.attempts(name) == 1), "nobody was reconnected");
    // The fleet really shrinks.
    strategy.set(Answer::Peers(nodes(&["n7"])));
    sleep(11 * MINUTE).await;
    assert_eq!(mesh.connected(), nodes(&["n7"]));
    assert_eq!(removed(&mut events).len(), 99);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_strategy_must_miss_a_peer_and_one_that_fails_misses_nobody() {
    let (mesh, one, other) = (FakeMesh::default(), Scripted::new(&["a", "b"]), Scripted::new(&["c"]));
    other.set(Answer::Error);
    let running = removing(&mesh, &[&one, &other]).start();
    seconds(1).await;
    one.set(Answer::Peers(nodes(&["b"])));
    sleep(100 * MINUTE).await;
    assert!(mesh.is_connected("a"), "the other might list it");
    other.set(Answer::Peers(nodes(&["a", "c"])));
    sleep(100 * MINUTE).await;
    assert!(mesh.is_connected("a"), "the other does");
    other.set(Answer::Peers(nodes(&["c"])));
    sleep(11 * MINUTE).await;
    assert_eq!(mesh.connected(), nodes(&["b", "c"]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_never_listed_is_none_of_our_business() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a"]));
    mesh.with(|state| state.connected.insert(node("operator")));
    let running = removing(&mesh, &[&strategy]).start();
    sleep(100 * MINUTE).await;
    assert!(mesh.is_connected("operator"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_by_itself_while_it_is_unlisted_is_forgotten() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    let running = removing(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    strategy.set(Answer::Peers(nodes(&["b"])));
    sleep(MINUTE).await;
    mesh.lose("a");
    event(&mut events, |event| matches!(event, MeshEvent::Forgotten { peer } if *peer == node("a"))).await;
    sleep(100 * MINUTE).await;
    assert_eq!(removed(&mut events), []);
    assert_eq!(mesh.attempts("a"), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_disconnected_is_tried_again() {
    let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b"]));
    mesh.with(|state| state.stubborn.insert(node("a")));
    let running = removing(&mesh, &[&strategy]).start();
    let mut events = running.events();
    seconds(1).await;
    strategy.set(Answer::Peers(nodes(&["b"])));
    sleep(11 * MINUTE).await;
    assert!(mesh.is_connected("a") && removed(&mut events).is_empty());
    mesh.with(|state| state.stubborn.clear());
    sleep(MINUTE).await;
    assert!(!mesh.is_connected("a") && removed(&mut events).len() == 1);
    running.stop().await;
}

#[test]
fn every_decision_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (mesh, strategy) = (FakeMesh::default(), Scripted::new(&["a", "b", "c"]));
            mesh.with(|state| state.down.insert(node("c")));
            let running = removing(&mesh, &[&strategy]).start();
            seconds(1).await;
            strategy.set(Answer::Error);
            seconds(10).await;
            strategy.set(Answer::Peers(Peers::new()));
            seconds(10).await;
            mesh.lose("b");
            seconds(10).await;
            strategy.set(Answer::Peers(nodes(&["b"])));
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
    assert_eq!(figures["peerl_mesh_peers_connected{}"], 1.0);
    assert_eq!(figures["peerl_mesh_connects_total{}"], 3.0, "a, b, and b again");
    assert_eq!(figures["peerl_mesh_losses_total{}"], 1.0);
    assert!(figures["peerl_mesh_connect_failures_total{}"] >= 2.0);
    assert_eq!(figures["peerl_mesh_unlisted_total{}"], 1.0);
    assert_eq!(figures["peerl_mesh_removals_total{}"], 1.0);
    assert_eq!(figures["peerl_mesh_forgotten_total{}"], 1.0, "c");
}
