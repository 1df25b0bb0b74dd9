//! The readiness of a member of the mesh.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use peerl_discovery::{Mesh, MeshEvent, Reconciler};
use peerl_node::NodeName;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// A member is ready from when it has joined the mesh until it drains. It has joined when any connection has been up;
/// or when every strategy lists this node and no other, because the first node of a fleet has no peer to wait for. A
/// strategy that lists no nodes is most likely misconfigured; it counts as one that lists this node only with
/// [`PeerRequirement::Optional`]. A member that later loses all peers stays ready: it can still do work.
#[derive(Debug)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// Whether a member needs peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerRequirement {
    /// It is not ready while discovery finds no nodes.
    #[default]
    Required,
    /// It may be alone.
    Optional,
}

/// The nodes that a strategy lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// It has not answered yet.
    Unknown,
    Nobody,
    OnlyOwn,
    Others,
}

#[derive(Debug)]
struct State {
    listed: BTreeMap<String, Listed>,
    peer_requirement: PeerRequirement,
    joined: bool,
    draining: bool,
}

impl Readiness {
    /// Follows a reconciler that is about to start, for the node with this name.
    pub fn follow<M: Mesh>(reconciler: &Reconciler<M>, own: &NodeName, peer_requirement: PeerRequirement) -> Self {
        let strategies = reconciler.strategies();
        let listed = strategies.into_iter().map(|strategy| (strategy, Listed::Unknown)).collect();
        let mut state = State { listed, peer_requirement, joined: false, draining: false };
        state.settle();
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(follow(reconciler.events(), own.clone(), state.clone()));
        Self { state, task }
    }

    /// Records that a connection is up, whichever side opened it.
    pub fn joined(&self) {
        self.with(|state| state.joined = true);
    }

    /// Records that the node accepts no more work.
    pub fn draining(&self) {
        self.with(|state| state.draining = true);
    }

    /// Whether the node should get work.
    ///
    /// # Errors
    /// The reason, if not.
    pub fn get(&self) -> Result<(), String> {
        self.with(|state| match (state.draining, state.joined) {
            (true, _) => Err("it is draining".to_owned()),
            (_, false) if state.lists(Listed::Nobody) => {
                Err("it has not joined any node yet: discovery finds no nodes; the log says what was asked".to_owned())
            }
            (_, false) => Err("it has not joined any node yet".to_owned()),
            _ => Ok(()),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn settle(&mut self) {
        self.joined |= self.listed.values().all(|listed| match listed {
            Listed::OnlyOwn => true,
            Listed::Nobody => self.peer_requirement == PeerRequirement::Optional,
            Listed::Unknown | Listed::Others => false,
        });
    }

    fn lists(&self, whom: Listed) -> bool {
        self.listed.values().any(|listed| *listed == whom)
    }
}

async fn follow(mut events: broadcast::Receiver<MeshEvent>, own: NodeName, state: Arc<Mutex<State>>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            MeshEvent::Connected { .. } => state.joined = true,
            MeshEvent::Polled { strategy, peers } => {
                let others = peers.iter().any(|peer| *peer != own);
                state.listed.insert(strategy, if others { Listed::Others } else { Listed::OnlyOwn });
                state.settle();
            }
            // The last list stays in force.
            MeshEvent::PollEmpty { strategy, kept: 0, .. } => {
                state.listed.insert(strategy, Listed::Nobody);
                state.settle();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerl_discovery::Spec;
    use peerl_node::{Epmd, Node, NodeBuilder};

    use super::*;

    async fn readiness(specs: &[&str]) -> (Node, Readiness, peerl_discovery::Running) {
        readiness_in(PeerRequirement::Required, specs).await
    }

    async fn readiness_in(
        peer_requirement: PeerRequirement,
        specs: &[&str],
    ) -> (Node, Readiness, peerl_discovery::Running) {
        let node = NodeBuilder::new("me@127.0.0.1").cookie("c").epmd(Epmd::Unregistered).start().await.unwrap();
        let strategies = specs.iter().map(|spec| spec.parse::<Spec>().unwrap().build().unwrap()).collect();
        let reconciler = Reconciler::new(node.clone(), strategies).interval(Duration::from_millis(100));
        let readiness = Readiness::follow(&reconciler, node.name(), peer_requirement);
        (node, readiness, reconciler.start())
    }

    async fn becomes_ready(readiness: &Readiness) {
        for _ in 0..1000 {
            if readiness.get().is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", readiness.get());
    }

    #[tokio::test]
    async fn who_waits_for_nobody_is_ready() {
        let (_node, readiness, _running) = readiness(&[]).await;
        readiness.get().unwrap();
        readiness.draining();
        assert!(readiness.get().unwrap_err().contains("draining"));
    }

    #[tokio::test]
    async fn the_first_of_a_fleet_is_ready_when_all_strategies_have_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nodes");
        let spec = format!("any(static:me@127.0.0.1; file:{})", file.display());
        let (_node, readiness, _running) = readiness(&[&spec]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(readiness.get().unwrap_err().contains("not joined"), "the file is not there");
        std::fs::write(&file, "me@127.0.0.1").unwrap();
        becomes_ready(&readiness).await;
    }

    #[tokio::test]
    async fn nothing_found_is_not_ready_unless_it_may_be_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nodes");
        std::fs::write(&file, "# nobody\n").unwrap();
        let spec = format!("file:{}", file.display());
        for specs in [&["static:me@127.0.0.1", spec.as_str()][..], &[spec.as_str()]] {
            let (_node, lonely, running) = readiness(specs).await;
            let mut events = running.events();
            while !matches!(events.recv().await.unwrap(), MeshEvent::PollEmpty { .. }) {}
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(lonely.get().unwrap_err().contains("finds no nodes"));
            let (_node, content, _running) = readiness_in(PeerRequirement::Optional, specs).await;
            becomes_ready(&content).await;
        }
    }

    #[tokio::test]
    async fn who_has_peers_is_ready_once_connected_and_stays_so() {
        let (_node, readiness, running) = readiness(&["static:nobody@127.0.0.1"]).await;
        let mut events = running.events();
        while !matches!(events.recv().await.unwrap(), MeshEvent::ConnectFailed { .. }) {}
        assert!(readiness.get().is_err());
        readiness.joined();
        readiness.get().unwrap();
    }
}
