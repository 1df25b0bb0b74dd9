use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn node(name: &str) -> NodeName {
    NodeName::new(&format!("{name}@h")).unwrap()
}

fn nodes<'a>(names: impl IntoIterator<Item = &'a str>) -> Peers {
    names.into_iter().map(node).collect()
}

/// A policy, its clock, and the known peers.
struct Fixture {
    policy: RemovalPolicy,
    now: Instant,
    known: Peers,
    connected: Peers,
}

impl Fixture {
    /// A fixture for the node `me`, with this number of strategies and these connected peers.
    fn new(removal: Removal, sources: usize, known: &[&str]) -> Self {
        let policy = RemovalPolicy::new(removal, node("me"), sources, Standing::default());
        let known = nodes(known.iter().copied());
        Self { policy, now: Instant::now(), connected: known.clone(), known }
    }

    fn leaving_after(limit: Duration, known: &[&str]) -> Self {
        Self::new(Removal::WhenGoneFor(limit), 1, known)
    }

    fn lose(&mut self, name: &str) {
        self.connected.remove(&node(name));
    }

    /// Five seconds later, a strategy answers.
    fn poll(&mut self, source: usize, answer: Answer) -> Vec<Verdict> {
        self.now += 5 * SECOND;
        self.policy.answered(source, answer, self.now);
        self.verdicts()
    }

    fn whole(&mut self, names: &[&str]) -> Vec<Verdict> {
        self.poll(0, Answer::whole(nodes(names.iter().copied())))
    }

    /// Five seconds later, a strategy does not answer.
    fn fail(&mut self, source: usize) -> Vec<Verdict> {
        self.now += 5 * SECOND;
        self.policy.unanswered(source);
        self.verdicts()
    }

    fn verdicts(&mut self) -> Vec<Verdict> {
        let verdicts = self.policy.verdicts(&self.known, &self.connected);
        for verdict in &verdicts {
            if let Verdict::Forget { peer, .. } = verdict {
                assert!(!self.connected.contains(peer), "{peer} is alive");
                self.known.remove(peer);
            }
        }
        verdicts
    }

    /// The verdicts of this number of equal polls.
    fn whole_times(&mut self, times: usize, names: &[&str]) -> Vec<Verdict> {
        (0..times).flat_map(|_| self.whole(names)).collect()
    }
}

fn unlisted(verdicts: &[Verdict]) -> Vec<&str> {
    let name = |verdict: &'_ Verdict| matches!(verdict, Verdict::Unlisted { .. });
    assert!(verdicts.iter().all(name), "{verdicts:?}");
    verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Unlisted { peer, .. } => Some(peer.name()),
            _ => None,
        })
        .collect()
}

fn leaves(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Leave { .. })).count()
}

#[test]
fn text() {
    for (text, removal) in [
        ("never", Removal::Never),
        ("when-gone-for=10m", Removal::WhenGoneFor(Duration::from_secs(600))),
        ("when-gone-for=1h30m", Removal::WhenGoneFor(Duration::from_secs(5400))),
    ] {
        assert_eq!(text.parse(), Ok(removal));
        assert_eq!(removal.to_string(), text);
        assert_eq!(serde_json::from_str::<Removal>(&format!("{text:?}")).unwrap(), removal);
    }
    assert_eq!("when-gone-for 10m".parse(), Ok(Removal::WhenGoneFor(Duration::from_secs(600))));
    for wrong in ["", "always", "when-gone-for", "when-gone-for=", "when-gone-for=0s", "when-gone-for=soon"] {
        assert!(wrong.parse::<Removal>().is_err(), "{wrong}");
    }
}

#[test]
fn a_peer_that_whole_answers_miss_is_told_once_and_stays() {
    let mut fixture = Fixture::leaving_after(MINUTE, &["a", "b"]);
    assert_eq!(fixture.whole(&["a", "b"]), []);
    assert_eq!(fixture.whole_times(2, &["b"]), [], "an API may miss it once or twice");
    let told = fixture.whole(&["b"]);
    assert_eq!(unlisted(&told), ["a"]);
    let Verdict::Unlisted { gone, .. } = &told[0] else { unreachable!() };
    assert_eq!((gone.time, gone.ended), (10 * SECOND, false));
    assert_eq!(fixture.whole_times(1000, &["b"]), [], "once, and nothing follows as long as it is alive");
    assert!(!fixture.policy.wants(&node("a")));
    assert_eq!(fixture.whole(&["a", "b"]), [Verdict::Relisted { peer: node("a") }]);
    assert_eq!(fixture.whole_times(10, &["a", "b"]), []);
    assert_eq!(unlisted(&fixture.whole_times(10, &["b"])), ["a"], "another change is told again");
}

#[test]
fn a_peer_that_whole_answers_miss_and_that_is_silent_is_forgotten() {
    let mut fixture = Fixture::new(Removal::Never, 1, &["a", "b"]);
    fixture.whole(&["a", "b"]);
    fixture.whole_times(10, &["b"]);
    fixture.lose("a");
    assert!(matches!(&fixture.verdicts()[..], [Verdict::Forget { peer, .. }] if *peer == node("a")));
    // The same for a peer that was never connected.
    let mut fixture = Fixture::new(Removal::Never, 1, &["a", "b"]);
    fixture.lose("a");
    fixture.whole(&["a", "b"]);
    assert!(fixture.policy.wants(&node("a")));
    assert_eq!(fixture.whole_times(2, &["b"]), []);
    assert!(!fixture.policy.wants(&node("a")), "it is not dialled while it is not listed");
    assert!(matches!(&fixture.whole(&["b"])[..], [Verdict::Forget { .. }]));
}

#[test]
fn a_list_that_flaps_says_nothing() {
    let mut fixture = Fixture::leaving_after(10 * SECOND, &["a", "b"]);
    for _ in 0..1000 {
        assert_eq!(fixture.whole(&["a", "b", "me"]), []);
        assert_eq!(fixture.whole_times(2, &["b"]), []);
    }
}

/// DNS that returns a rotating part of fifteen nodes.
#[test]
fn rotating_answers_say_nothing() {
    let names: Vec<String> = (0..15).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for width in [1, 5, 8, 14] {
        let mut fixture = Fixture::leaving_after(MINUTE, &names);
        fixture.lose("n3");
        for turn in 0..2000 {
            let part = (0..width).map(|index| names[(turn * width + index) % names.len()]);
            assert_eq!(fixture.poll(0, Answer::sample(nodes(part).into_iter().collect())), [], "{width} of 15");
            assert!(turn < names.len() || fixture.policy.wants(&node("n3")), "one that is lost is dialled");
        }
    }
}

#[test]
fn random_answers_remove_nobody() {
    let names: Vec<String> = (0..15).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for width in [5, 8] {
        let mut fixture = Fixture::leaving_after(MINUTE, &names);
        for _ in 0..5000 {
            let part = random.choose_multiple(names.iter().copied().chain(["me"]), width);
            let verdicts = fixture.poll(0, Answer::sample(nodes(part)));
            let is_told = |verdict: &Verdict| matches!(verdict, Verdict::Unlisted { .. } | Verdict::Relisted { .. });
            assert!(verdicts.iter().all(is_told), "{width} of 15: {verdicts:?}");
        }
    }
}

#[test]
fn a_peer_that_no_sample_names_for_long_is_told_or_forgotten() {
    for (removal, polls) in [(Removal::WhenGoneFor(20 * MINUTE), 241), (Removal::Never, 121)] {
        let mut fixture = Fixture::new(removal, 1, &["a", "b", "c"]);
        fixture.poll(0, Answer::sample(nodes(["a", "b", "c"])));
        fixture.lose("b");
        for _ in 1..polls {
            assert_eq!(fixture.poll(0, Answer::sample(nodes(["c"]))), []);
            assert!(fixture.policy.wants(&node("b")));
        }
        let verdicts = fixture.poll(0, Answer::sample(nodes(["c"])));
        assert!(
            matches!(&verdicts[..], [Verdict::Unlisted { peer: a, .. }, Verdict::Forget { peer: b, .. }]
                if a.name() == "a" && b.name() == "b"),
            "{verdicts:?}"
        );
    }
}

#[test]
fn polls_without_an_answer_do_not_count() {
    let mut fixture = Fixture::leaving_after(MINUTE, &["a", "b"]);
    fixture.whole(&["a", "b", "me"]);
    fixture.whole_times(2, &["b"]);
    for _ in 0..1000 {
        assert_eq!(fixture.fail(0), []);
    }
    assert_eq!(unlisted(&fixture.whole(&["b"])), ["a"]);
    // The same for the node itself: 5 s before the failure, and then from the next answer on.
    assert_eq!(leaves(&fixture.whole_times(10, &["b"])), 0);
    assert_eq!(leaves(&fixture.whole_times(1, &["b"])), 1);
}

#[test]
fn the_nodes_of_a_host_that_was_not_asked_are_not_missing() {
    let mut fixture = Fixture::leaving_after(MINUTE, &["a", "b"]);
    fixture.whole(&["a", "b", "me"]);
    let partly = || Answer::whole(nodes(["b"])).with_silent_hosts(["h".to_owned()]);
    for _ in 0..29 {
        assert_eq!(fixture.poll(0, partly()), []);
    }
    fixture.lose("a");
    assert!(fixture.policy.wants(&node("a")));
    for _ in 0..1000 {
        assert_eq!(leaves(&fixture.poll(0, partly())), 0);
    }
    assert!(!fixture.known.contains(&node("a")), "it is not dialled for ever");
}

#[test]
fn every_strategy_must_miss_a_node() {
    let mut fixture = Fixture::new(Removal::WhenGoneFor(MINUTE), 2, &["a", "b", "c"]);
    fixture.poll(0, Answer::whole(nodes(["a", "b", "me"])));
    for _ in 0..100 {
        assert_eq!(fixture.fail(1), [], "one that has not answered yet might list it");
        assert_eq!(fixture.poll(0, Answer::whole(nodes(["b", "c"]))), []);
    }
    fixture.poll(1, Answer::whole(nodes(["a", "c", "me"])));
    for _ in 0..100 {
        assert_eq!(fixture.poll(0, Answer::whole(nodes(["b", "c"]))), [], "the other lists it");
    }
    let both = |fixture: &mut Fixture| {
        let one = fixture.poll(0, Answer::whole(nodes(["b", "c"])));
        [one, fixture.poll(1, Answer::whole(nodes(["c"])))].concat()
    };
    let told: Vec<Verdict> = (0..4).flat_map(|_| both(&mut fixture)).collect();
    assert_eq!(unlisted(&told), ["a"]);
    assert_eq!(leaves(&(0..10).flat_map(|_| both(&mut fixture)).collect::<Vec<_>>()), 1);
}

#[test]
fn a_node_that_is_said_to_be_at_its_end_is_told_or_forgotten_at_once() {
    let mut fixture = Fixture::new(Removal::Never, 1, &["a", "b", "c"]);
    fixture.whole(&["a", "b", "c"]);
    fixture.lose("b");
    let verdicts = fixture.poll(0, Answer::whole(nodes(["c"])).with_ended(nodes(["a", "b", "c"])));
    let [Verdict::Unlisted { peer: a, gone }, Verdict::Forget { peer: b, .. }] = &verdicts[..] else {
        panic!("{verdicts:?}")
    };
    assert_eq!((a.name(), b.name(), gone.ended), ("a", "b", true));
}

#[test]
fn the_node_itself_leaves_once_and_joins_again() {
    let mut fixture = Fixture::leaving_after(MINUTE, &["a"]);
    fixture.whole(&["a", "me"]);
    // The first poll without it starts the clock.
    assert_eq!(fixture.whole_times(12, &["a"]), []);
    let verdicts = fixture.whole(&["a"]);
    assert!(matches!(&verdicts[..], [Verdict::Leave { gone }] if gone.time == MINUTE), "{verdicts:?}");
    assert_eq!(fixture.policy.standing(), Standing::Out);
    assert_eq!(fixture.whole_times(100, &["a"]), []);
    assert!(!fixture.policy.wants(&node("a")), "it dials nobody");
    assert_eq!(fixture.whole(&["a", "me"]), [Verdict::Rejoin]);
    assert!(fixture.policy.wants(&node("a")));
    assert_eq!(leaves(&fixture.whole_times(13, &["a"])), 1, "and so on");
}

#[test]
fn the_node_itself_does_not_leave() {
    // It was never listed: the lists contain only other nodes.
    let mut fixture = Fixture::leaving_after(MINUTE, &["a"]);
    assert_eq!(fixture.whole_times(1000, &["a"]), []);
    // It has no policy.
    let mut fixture = Fixture::new(Removal::Never, 1, &["a"]);
    fixture.whole(&["a", "me"]);
    assert_eq!(fixture.whole_times(1000, &["a"]), []);
    // The lists are samples.
    let mut fixture = Fixture::leaving_after(MINUTE, &["a"]);
    fixture.poll(0, Answer::sample(nodes(["a", "me"])));
    for _ in 0..1000 {
        assert_eq!(fixture.poll(0, Answer::sample(nodes(["a"]))), []);
    }
    // A short time is not enough: several polls are required.
    let mut fixture = Fixture::leaving_after(Duration::from_millis(1), &["a"]);
    fixture.whole(&["a", "me"]);
    assert_eq!(fixture.whole_times(2, &["a"]), []);
    assert_eq!(leaves(&fixture.whole(&["a"])), 1);
}

#[test]
fn the_node_itself_leaves_if_it_is_said_to_be_at_its_end() {
    for answer in [Answer::sample, Answer::whole] {
        let mut fixture = Fixture::leaving_after(MINUTE, &["a"]);
        let draining = || answer(nodes(["a"])).with_ended(nodes(["me"]));
        let verdicts: Vec<Verdict> = (0..13).flat_map(|_| fixture.poll(0, draining())).collect();
        assert_eq!(leaves(&verdicts), 1, "also if it was never listed");
    }
}

#[test]
fn what_a_node_is_to_the_lists_outlives_a_policy() {
    let mut fixture = Fixture::leaving_after(MINUTE, &["a"]);
    fixture.policy = RemovalPolicy::new(Removal::WhenGoneFor(MINUTE), node("me"), 1, Standing::Out);
    assert_eq!(fixture.whole_times(100, &["a"]), []);
    assert!(!fixture.policy.wants(&node("a")));
    assert_eq!(fixture.whole(&["a", "me"]), [Verdict::Rejoin]);
    fixture.policy = RemovalPolicy::new(Removal::WhenGoneFor(MINUTE), node("me"), 1, Standing::Member);
    assert_eq!(leaves(&fixture.whole_times(13, &["a"])), 1);
}
