//! What peers do to servers with system messages.

use std::time::Duration;

use peerl_node::testing::Network;
use peerl_node::{Caller, Node, Term};
use tokio::time::timeout;

use super::{Context, Outcome, Server, Stop, reply};
use crate::client::ServerRef;

const LIMIT: Duration = Duration::from_secs(20);

/// Keeps the numbers that are cast to it.
#[derive(Default)]
struct Numbers(Vec<i64>);

impl Server for Numbers {
    type Call = Term;
    type Reply = Vec<i64>;
    type Cast = i64;

    async fn handle_call(&mut self, _: Term, _: Caller, _: &mut Context) -> Outcome<Vec<i64>> {
        reply(self.0.clone())
    }

    async fn handle_cast(&mut self, number: i64, _: &mut Context) -> Result<(), Stop> {
        self.0.push(number);
        Ok(())
    }

    fn state(&self) -> Term {
        Term::list(self.0.iter().copied().map(Term::from))
    }
}

async fn pair(network: &Network) -> (Node, Node) {
    let node = network.node("a@one").memory(1 << 20).start().await.unwrap();
    (node, network.node("b@two").start().await.unwrap())
}

async fn all(numbers: &ServerRef) -> Vec<i64> {
    timeout(LIMIT, numbers.call(&Term::atom("all"))).await.unwrap().unwrap()
}

fn is(term: &Term, text: &str) -> bool {
    peerl_term::text::Syntax::Erlang.display(term).to_string() == text
}

#[tokio::test]
async fn messages_to_a_suspended_server_stay_in_its_mailbox() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let server = Numbers::default().start(&node).name("numbers").await.unwrap();
    let numbers = ServerRef::new(&peer, ("numbers", node.name()));
    numbers.suspend().await.unwrap();
    for number in 1..=3 {
        numbers.cast(&number).await.unwrap();
        assert!(is(&numbers.state().await.unwrap(), "[]"));
    }
    let waiting = node.process_info(server.pid()).unwrap().messages;
    assert_eq!(waiting, 3, "they are not taken out");
    numbers.resume().await.unwrap();
    numbers.cast(&4).await.unwrap();
    assert_eq!(all(&numbers).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_server_that_a_peer_has_suspended_is_resumed_when_the_peer_has_gone() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let server = Numbers::default().start(&node).name("numbers").await.unwrap();
    let numbers = ServerRef::new(&peer, ("numbers", node.name()));
    let own = ServerRef::new(&node, server.pid());
    numbers.suspend().await.unwrap();
    numbers.cast(&1).await.unwrap();
    assert!(is(&numbers.state().await.unwrap(), "[]"));
    network.reset("one", "two");
    assert_eq!(all(&own).await, [1]);
}

#[tokio::test]
async fn a_server_that_its_own_node_has_suspended_stays_so() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let server = Numbers::default().start(&node).name("numbers").await.unwrap();
    let own = ServerRef::new(&node, server.pid());
    own.suspend().await.unwrap();
    ServerRef::new(&peer, ("numbers", node.name())).suspend().await.unwrap();
    own.cast(&1).await.unwrap();
    network.reset("one", "two");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(is(&own.state().await.unwrap(), "[]"));
    own.resume().await.unwrap();
    assert_eq!(all(&own).await, [1]);
}

#[tokio::test]
async fn no_state_waits_for_a_peer_that_has_no_memory_for_it() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let server = Numbers((0..200_000).collect()).start(&node).name("numbers").await.unwrap();
    let state = ServerRef::new(&peer, ("numbers", node.name())).state().await.unwrap();
    assert!(is(&state, "{error,{callback_failed,{gen_server,system_get_state},{exit,system_limit}}}"));
    assert_eq!(ServerRef::new(&node, server.pid()).state().await.unwrap().as_list().map(<[Term]>::len), Some(200_000));
}
