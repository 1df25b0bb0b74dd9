//! The steps of [`State`], one by one.

use std::sync::Arc;

use peerl_node::{Atom, Budget, NodeName, Pid, Term};

use super::groups::Groups;
use super::message::{Change, Content, PeerMessage, Version};
use super::state::{Action, Limits, NoRoom, Origin, Refusal, State, Watched};
use crate::lasting::Lasting;

const OWN: &str = "own@h.x";

fn pid(node: &'static str, id: u32) -> Pid {
    Pid { node: Atom::from_static(node), id, serial: 0, creation: 1 }
}

fn state() -> State {
    State::new(pid(OWN, 1), Limits::new(Budget::new(usize::MAX, 1)))
}

fn group() -> Term {
    Term::atom("g")
}

fn change(joined: &[Pid], left: &[Pid]) -> Change {
    Change { group: Arc::new(group()), joined: joined.to_vec(), left: left.to_vec() }
}

fn hears(state: &mut State, peer: &Pid, content: Content) -> Vec<Action> {
    state.received(&peer.node, PeerMessage { peer: peer.clone(), content })
}

/// What is sent to whom, read again.
fn sent(actions: &[Action]) -> Vec<(Vec<Pid>, Content)> {
    let read = |term: &Term| {
        let term = match term.as_tuple() {
            Some([kind, cast]) if kind.is_atom("$gen_cast") => cast,
            _ => term,
        };
        PeerMessage::read(term).unwrap().content
    };
    let sent = |action: &Action| match action {
        Action::Send(to, message) => Some((to.clone(), read(message))),
        _ => None,
    };
    actions.iter().filter_map(sent).collect()
}

fn changed(actions: &[Action]) -> Vec<(Origin, Change)> {
    let changed = |action: &Action| match action {
        Action::Changed(origin, change) => Some((*origin, change.clone())),
        _ => None,
    };
    actions.iter().filter_map(changed).collect()
}

#[test]
fn a_node_that_comes_up_is_asked_in_the_form_of_all_releases() {
    let node = NodeName::new("b@h.x").unwrap();
    let discover = Term::tuple([Term::atom("discover"), pid(OWN, 1).into()]);
    assert_eq!(state().node_up(&node), Action::SendToScope(node, discover));
}

#[test]
fn who_is_new_is_monitored_answered_and_asked_back_in_its_own_version() {
    for version in [Version::V0, Version::V1] {
        let (mut state, peer, member) = (state(), pid("b@h.x", 9), pid(OWN, 2));
        state.join(&group(), std::slice::from_ref(&member), None).unwrap();
        let actions = hears(&mut state, &peer, Content::Discover(version));
        assert_eq!(actions[0], Action::Monitor(Watched::Peer(peer.clone())));
        let to = vec![peer.clone()];
        let data = Content::Data(version, vec![(Arc::new(group()), vec![member])]);
        assert_eq!(sent(&actions), [(to.clone(), data.clone()), (to.clone(), Content::Discover(version))]);
        // Known already, it gets the groups again, and no question.
        assert_eq!(sent(&hears(&mut state, &peer, Content::Discover(version))), [(to, data)]);
    }
}

#[test]
fn a_peer_is_told_of_changes_in_the_latest_version_that_it_has_spoken() {
    let (mut state, old, new) = (state(), pid("b@h.x", 9), pid("c@h.x", 9));
    hears(&mut state, &old, Content::Discover(Version::V0));
    hears(&mut state, &new, Content::Discover(Version::V1));
    // What OTP 29 sends to a peer of which it does not know yet that it speaks the later version.
    hears(&mut state, &new, Content::Data(Version::V0, vec![]));
    let actions = state.join(&group(), &[pid(OWN, 2)], None).unwrap();
    let raw = |to: &Pid| {
        let find = |action: &Action| match action {
            Action::Send(pids, message) if pids.contains(to) => Some(message.as_tuple().unwrap()[0].clone()),
            _ => None,
        };
        actions.iter().find_map(find).unwrap()
    };
    assert_eq!((raw(&old), raw(&new)), (Term::atom("join"), Term::atom("update")));
}

#[test]
fn groups_of_a_peer_replace_what_was_known_of_it() {
    let (mut state, peer) = (state(), pid("b@h.x", 9));
    let (a, b, c) = (pid("b@h.x", 1), pid("b@h.x", 2), pid("b@h.x", 3));
    let first = Content::Data(Version::V0, vec![(Arc::new(group()), vec![a.clone(), a.clone(), b.clone()])]);
    let actions = hears(&mut state, &peer, first.clone());
    assert_eq!(actions[0], Action::Monitor(Watched::Peer(peer.clone())));
    // It has not been told anything yet.
    assert_eq!(sent(&actions), [(vec![peer.clone()], Content::Data(Version::V0, vec![]))]);
    assert_eq!(changed(&actions), [(Origin::Remote, change(&[a.clone(), a.clone(), b.clone()], &[]))]);
    assert!(hears(&mut state, &peer, first).is_empty());
    let second = Content::Data(Version::V0, vec![(Arc::new(group()), vec![a.clone(), c.clone()])]);
    assert_eq!(
        changed(&hears(&mut state, &peer, second)),
        [(Origin::Remote, change(std::slice::from_ref(&c), &[a.clone(), b]))]
    );
    let actions = state.down(&Watched::Peer(peer.clone()));
    assert_eq!(changed(&actions), [(Origin::Remote, change(&[], &[a, c]))]);
    assert!(state.watched().is_empty() && state.down(&Watched::Peer(peer)).is_empty());
}

#[test]
fn updates_of_unknown_scope_processes_are_ignored() {
    let (mut state, peer, member) = (state(), pid("b@h.x", 9), pid("b@h.x", 1));
    let update = Content::Update(vec![change(std::slice::from_ref(&member), &[])]);
    assert!(hears(&mut state, &peer, update.clone()).is_empty());
    hears(&mut state, &peer, Content::Discover(Version::V0));
    assert_eq!(
        changed(&hears(&mut state, &peer, update)),
        [(Origin::Remote, change(std::slice::from_ref(&member), &[]))]
    );
    // Who has left is gone once, and only once.
    let leaves = Content::Update(vec![change(&[], &[member.clone(), member.clone()])]);
    assert_eq!(changed(&hears(&mut state, &peer, leaves)), [(Origin::Remote, change(&[], &[member]))]);
}

#[test]
fn a_process_leaves_as_often_as_it_has_joined() {
    let (mut state, peer, member) = (state(), pid("b@h.x", 9), pid(OWN, 2));
    hears(&mut state, &peer, Content::Discover(Version::V0));
    let actions = state.join(&group(), &[member.clone(), member.clone()], None).unwrap();
    assert_eq!(actions[0], Action::Monitor(Watched::Member(member.clone())));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Monitor(_))).count(), 1);
    let left = |actions: &[Action]| {
        sent(actions) == [(vec![peer.clone()], Content::Leave(vec![member.clone()], vec![group()]))]
    };
    let first = state.leave(&group(), std::slice::from_ref(&member)).unwrap();
    assert!(left(&first) && !first.iter().any(|action| matches!(action, Action::Demonitor(_))));
    // One that is not there is not told of.
    let second = state.leave(&group(), &[member.clone(), member.clone(), pid(OWN, 3)]).unwrap();
    assert!(left(&second) && second.contains(&Action::Demonitor(Watched::Member(member.clone()))));
    assert_eq!(state.leave(&group(), &[member]), None);
}

#[test]
fn a_member_that_ends_leaves_all_its_groups_at_once() {
    let (mut state, peer, member) = (state(), pid("b@h.x", 9), pid(OWN, 2));
    hears(&mut state, &peer, Content::Discover(Version::V0));
    for name in ["g", "g", "h"] {
        state.join(&Term::atom(name), std::slice::from_ref(&member), None).unwrap();
    }
    let actions = state.down(&Watched::Member(member.clone()));
    let leave = |name| Change { group: Arc::new(Term::atom(name)), joined: vec![], left: vec![member.clone()] };
    let expected = ["g", "g", "h"].map(leave);
    let groups = ["g", "g", "h"].map(Term::atom).to_vec();
    assert_eq!(sent(&actions), [(vec![peer], Content::Leave(vec![member.clone()], groups))]);
    assert_eq!(changed(&actions), expected.map(|change| (Origin::Local, change)));
    assert!(state.local().iter().next().is_none());
}

/// It would be of 72 million processes that leave, were it not of two members of one group.
#[test]
fn a_short_message_takes_no_more_than_its_members() {
    let (mut state, peer) = (state(), pid("b@h.x", 9));
    hears(&mut state, &peer, Content::Discover(Version::V0));
    let members = [pid("b@h.x", 10), pid("b@h.x", 11)];
    hears(&mut state, &peer, Content::Update(vec![change(&[members[0].clone(), members[1].clone()], &[])]));
    let pids = Term::list((0..2400).map(|id| Term::from(pid("b@h.x", 10 + id))));
    let groups = Term::list((0..30_000).map(|number| if number % 2 == 0 { group() } else { number.into() }));
    let message = PeerMessage::read(&Term::tuple([Term::atom("leave"), peer.clone().into(), pids, groups])).unwrap();
    let actions = state.received(&peer.node, message);
    assert_eq!(changed(&actions), [(Origin::Remote, change(&[], &members))]);
}

#[test]
fn nobody_of_this_node_is_a_peer() {
    let mut state = state();
    assert!(hears(&mut state, &pid(OWN, 5), Content::Discover(Version::V0)).is_empty());
}

#[test]
fn tables_have_bounds() {
    // Room for three members of one group. An eighth stays free.
    let peer_and_three = Limits::PEER + Groups::GROUP + 3 * Groups::MEMBER;
    let memory = Budget::with_factor(peer_and_three / 7 * 8 + 100, 1, usize::MAX);
    let mut state = State::new(pid(OWN, 1), Limits { peers: 1, memory: memory.clone() });
    let (peer, member) = (pid("b@h.x", 9), |id| pid("b@h.x", id));
    let four = Content::Data(Version::V0, vec![(Arc::new(group()), (1..5).map(member).collect())]);
    let actions = hears(&mut state, &peer, four);
    assert_eq!(changed(&actions), [(Origin::Remote, change(&[member(1), member(2), member(3)], &[]))]);
    assert_eq!(actions.last(), Some(&Action::Refused(Refusal::Groups, peer.clone())));
    let fifth = Content::Update(vec![change(&[member(5)], &[])]);
    assert_eq!(hears(&mut state, &peer, fifth.clone()), [Action::Refused(Refusal::Groups, peer.clone())]);
    // There is room again for who comes when another one has left.
    hears(&mut state, &peer, Content::Update(vec![change(&[], &[member(1)])]));
    assert_eq!(changed(&hears(&mut state, &peer, fifth)), [(Origin::Remote, change(&[member(5)], &[]))]);
    // Nor is there memory for the scope process of another node.
    let second = pid("c@h.x", 9);
    let is_refused = [Action::Refused(Refusal::Peer, second.clone())];
    assert_eq!(hears(&mut state, &second, Content::Discover(Version::V0)), is_refused);
    state.down(&Watched::Peer(peer));
    assert_eq!(memory.lent(), 0);
    assert!(!sent(&hears(&mut state, &second, Content::Discover(Version::V0))).is_empty());
}

/// A node that says that it has very many scope processes has a few places, and other nodes have theirs.
#[test]
fn the_scope_processes_of_a_node_leave_places_for_other_nodes() {
    let memory = Budget::with_factor(1 << 20, 64, 4);
    let mut state = State::new(pid(OWN, 1), Limits::new(memory.clone()));
    let many = |id| pid("b@h.x", id);
    let mut refused = 0;
    for id in 0..20_000 {
        // Either message introduces one.
        let content = if id % 2 == 0 { Content::Discover(Version::V1) } else { Content::Data(Version::V1, vec![]) };
        let actions = hears(&mut state, &many(id), content);
        refused += usize::from(actions == [Action::Refused(Refusal::Peer, many(id))]);
    }
    assert_eq!((state.peers().count(), refused), (Limits::PEERS, 20_000 - Limits::PEERS));
    for node in ["c@h.x", "d@h.x"] {
        assert!(!sent(&hears(&mut state, &pid(node, 1), Content::Discover(Version::V0))).is_empty());
    }
    // One that starts anew has the place of the one that has ended. One that is known needs no other.
    assert!(!sent(&hears(&mut state, &many(0), Content::Discover(Version::V1))).is_empty());
    state.down(&Watched::Peer(many(0)));
    assert!(!sent(&hears(&mut state, &many(20_000), Content::Discover(Version::V1))).is_empty());
    let refusal = Action::Refused(Refusal::Peer, many(0));
    assert_eq!(hears(&mut state, &many(0), Content::Discover(Version::V1)), [refusal]);
    let known: Vec<Pid> = state.peers().cloned().collect();
    known.into_iter().for_each(|peer| drop(state.down(&Watched::Peer(peer))));
    assert_eq!(memory.lent(), 0);
    assert!(!sent(&hears(&mut state, &many(0), Content::Discover(Version::V1))).is_empty());
}

/// A peer, however many scope processes it has, takes its share of the memory and leaves the rest for others.
#[test]
fn the_groups_of_a_peer_take_its_share() {
    const MEMORY: usize = 1 << 20;
    let memory = Budget::with_factor(MEMORY, 64, 4);
    let mut state = State::new(pid(OWN, 1), Limits::new(memory.clone()));
    let joined = |group: Term, member: Pid| Change { group: Arc::new(group), joined: vec![member], left: vec![] };
    for scope in 0..100 {
        let peer = pid("b@h.x", scope);
        hears(&mut state, &peer, Content::Discover(Version::V1));
        for number in 0..10 {
            let name = format!("{:10000}", 100 * scope + number);
            hears(&mut state, &peer, Content::Update(vec![joined(Term::from(name.as_str()), peer.clone())]));
        }
    }
    assert!((MEMORY / 2..=MEMORY / 5 * 4).contains(&memory.lent()), "{}", memory.lent());
    let other = pid("c@h.x", 1);
    hears(&mut state, &other, Content::Discover(Version::V1));
    for number in 0..50 {
        let update = Content::Update(vec![joined(Term::from(number), other.clone())]);
        assert_eq!(changed(&hears(&mut state, &other, update)).len(), 1);
    }
    let before = memory.lent();
    (0..100).for_each(|scope| drop(state.down(&Watched::Peer(pid("b@h.x", scope)))));
    assert!(memory.lent() < before / 4, "{}", memory.lent());
    state.down(&Watched::Peer(other));
    assert_eq!(memory.lent(), 0);
}

/// What a peer has processes of this node join takes of its share, each time that one has joined, until it leaves or ends.
#[test]
fn what_a_peer_has_others_join_takes_its_share() {
    const MEMORY: usize = 64 << 20;
    let memory = Budget::with_factor(MEMORY, 64, 4);
    let mut state = State::new(pid(OWN, 1), Limits::new(memory.clone()));
    let (peer, other) = (Atom::from_static("b@h.x"), Atom::from_static("c@h.x"));
    let name = |number: u32| Term::from(format!("{number:10000}").as_str());
    let members = [pid(OWN, 2), pid(OWN, 3)];
    let mut joined = 0;
    while state.join(&name(joined), &members, Some(&peer)).is_ok() {
        joined += 1;
        assert!(joined < 100, "what a peer joins has no bound");
    }
    let lent = memory.lent();
    assert!(lent <= MEMORY / Lasting::PART && lent > 4 * 10_000 * joined as usize, "{lent}");
    // It is refused as a whole, and others are not.
    assert_eq!(state.local().iter().count(), joined as usize);
    assert_eq!(state.join(&name(joined), &members, Some(&peer)), Err(NoRoom));
    assert!(state.join(&name(joined), &members, None).is_ok());
    assert!(state.join(&group(), &members, Some(&other)).is_ok());
    assert!(state.leave(&group(), &members).is_some());
    // The name of a group stays with the last member, and is paid for as long.
    let before = memory.lent();
    assert!(state.leave(&name(0), &members[..1]).is_some());
    let after_one = memory.lent();
    assert!(before - after_one > 10_000 && state.join(&name(0), &members[..1], Some(&peer)).is_ok());
    members.iter().for_each(|member| drop(state.down(&Watched::Member(member.clone()))));
    assert_eq!(memory.lent(), 0);
}

/// A name of a group is there once, however many tables have it and however many have joined.
#[test]
fn the_name_of_a_group_is_shared() {
    let mut state = state();
    let members: Vec<Pid> = (2..100).map(|id| pid(OWN, id)).collect();
    state.join(&group(), &members[..50], None).unwrap();
    let actions = state.join(&group(), &members[50..], None).unwrap();
    let (name, _) = state.local().iter().next().unwrap();
    let Some(Action::Changed(_, change)) = actions.last() else { panic!("{actions:?}") };
    assert!(Arc::ptr_eq(name, &change.group));
}

/// Nobody is told of all groups because another one says that it is there.
#[test]
fn a_scope_process_speaks_for_itself_alone() {
    let (mut state, third) = (state(), pid("c@h.x", 9));
    let mut hears = |content| state.received(&Atom::from_static("b@h.x"), PeerMessage { peer: third.clone(), content });
    assert_eq!(hears(Content::Discover(Version::V0)), []);
    assert_eq!(hears(Content::Data(Version::V0, vec![])), []);
    assert_eq!(state.peers().count(), 0);
}
