//! Many nodes in one thread: `global` in a network that delivers in any order, and loses connections, nodes and processes.

#[path = "global_simulation/actions.rs"]
mod actions;
#[path = "global_simulation/agreement.rs"]
mod agreement;
#[path = "global_simulation/events.rs"]
mod events;
#[path = "global_simulation/faults.rs"]
mod faults;
#[path = "global_simulation/locks.rs"]
mod locks;
#[path = "global_simulation/meeting.rs"]
mod meeting;
#[path = "global_simulation/network.rs"]
mod network;
#[path = "global_simulation/node.rs"]
mod node;
#[path = "global_simulation/user.rs"]
mod user;

use meeting::Break;
use network::Network;

/// Runs 200 seeds, which takes some seconds; `PEERL_SEED=N PEERL_SEEDS=M` runs M from N on, and `PEERL_SEED=N` alone that one.
/// 10,000 of them take 10 minutes of one processor: `PEERL_SEEDS=10000 cargo test --locked --workspace --test global_simulation`.
#[test]
fn the_nodes_agree_once_the_network_is_whole() {
    let number = |variable| std::env::var(variable).ok().and_then(|value| value.parse::<u64>().ok());
    let first = number("PEERL_SEED");
    let count = number("PEERL_SEEDS").unwrap_or(if first.is_some() { 1 } else { 200 });
    let seeds = first.unwrap_or(0)..first.unwrap_or(0) + count;
    let failed: Vec<_> = seeds.filter(|seed| std::panic::catch_unwind(|| Network::new(*seed).run()).is_err()).collect();
    let Some(seed) = failed.first() else { return };
    panic!(
        "seeds {failed:?} fail; this repeats one:\nPEERL_SEED={seed} cargo test --locked --workspace --test global_simulation"
    );
}

/// More than a meeting takes.
const STEPS: u64 = 60;

/// A node with the smallest or the greatest name joins, and each of the nodes and connections ends at each step of that.
#[test]
fn a_meeting_that_is_broken_off_blocks_nobody() {
    for joining in [0, 2] {
        for broken in Break::ALL {
            let over = (0..STEPS).filter(|steps| Network::new(*steps).run_broken_meeting(joining, broken, *steps));
            let over = over.count();
            assert!(0 < over && over < STEPS as usize, "{joining} {broken:?}: {over} meetings are over");
        }
    }
}

/// Without nodes of OTP, which would have one of the two leave.
#[test]
fn names_are_changed_once_those_who_lost_each_other_have_met() {
    for seed in (0..40).step_by(2) {
        Network::new(seed).run_reunion();
    }
}

#[test]
fn nodes_that_do_not_reach_each_other_do_not_share_others() {
    Network::new(1).run_without_a_connection();
}
