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

/// Runs the seeds; `PEERL_SEED=N` runs one, `PEERL_SEEDS=N` that many. Of the first 3,000, seed 502 fails: two nodes that have lost
/// each other and are connected again do not meet within the time for which changes of names are held back, and one of them
/// removes a name that the other keeps.
#[test]
fn the_nodes_agree_once_the_network_is_whole() {
    let number = |variable| std::env::var(variable).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("PEERL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PEERL_SEEDS").unwrap_or(200),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| Network::new(seed).run());
        assert!(
            run.is_ok(),
            "this repeats it:\nPEERL_SEED={seed} cargo test --locked --workspace --test global_simulation"
        );
    }
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

#[test]
fn nodes_that_do_not_reach_each_other_do_not_share_others() {
    Network::new(1).run_without_a_connection();
}
