//! What a peer has processes of the node send to each other.

use std::time::Duration;

use peerl_node::testing::Network;
use peerl_node::{Caller, Mfa, Node, Pid, Process, Term};
use tokio::time::timeout;

use super::System;
use crate::global::{GlobalService, Method, NodeGlobal};
use crate::pg::Scope;
use crate::{Context, Outcome, Server, reply};

const LIMIT: Duration = Duration::from_secs(20);

async fn pair(network: &Network) -> (Node, Node) {
    let services = |builder: peerl_node::NodeBuilder| builder.service(System::new()).service(GlobalService);
    let node = services(network.node("a@one").memory(1 << 20)).start().await.unwrap();
    (node, network.node("b@two").start().await.unwrap())
}

/// The next message with this tag.
async fn tagged(process: &mut Process, tag: &Term) -> Term {
    let next = async {
        loop {
            let message = process.receive().await.unwrap().into_term().unwrap();
            if let Some([found, value]) = message.as_tuple()
                && found == tag
            {
                return value.clone();
            }
        }
    };
    timeout(LIMIT, next).await.unwrap()
}

/// Has `rex` of a node pass a message on to the process with this name.
async fn pass_on(node: &Node, process: &Process, name: &'static str, message: Term) {
    let request = Term::tuple([Term::atom("sbcast"), Term::atom(name), message]);
    let request = Term::tuple([process.pid().clone().into(), request]);
    process.send_term(("rex", node.name()), &request).await.unwrap();
}

fn from(pid: &Pid, tag: &Term) -> Term {
    Term::tuple([pid.clone().into(), tag.clone()])
}

struct Echo;

impl Server for Echo {
    type Call = Term;
    type Reply = Term;
    type Cast = Term;

    async fn handle_call(&mut self, request: Term, _: Caller, _: &mut Context) -> Outcome<Term> {
        reply(request)
    }
}

#[tokio::test]
async fn a_server_that_a_peer_has_suspended_through_others_is_resumed_when_the_peer_has_gone() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let server = Echo.start(&node).name("echo").await.unwrap();
    for way in ["rex", "global"] {
        let mut process = peer.process();
        let tag = Term::from(7);
        let suspend = Term::tuple([Term::atom("system"), from(process.pid(), &tag), Term::atom("suspend")]);
        if way == "rex" {
            pass_on(&node, &process, "echo", suspend).await;
        } else {
            let is_registered = node.global().register(Term::atom("echo"), server.pid(), Method::default()).await;
            assert!(is_registered.unwrap());
            let send = Mfa::with_terms(
                peerl_node::Atom::from_static("global"),
                peerl_node::Atom::from_static("send"),
                vec![Term::atom("echo"), suspend],
            );
            let _: Term = peer.call(node.name(), send).await.unwrap();
        }
        assert!(tagged(&mut process, &tag).await.is_atom("ok"));
        network.reset("one", "two");
        assert_eq!(timeout(LIMIT, server.call::<i64>(&1)).await.unwrap().unwrap(), 1, "{way}");
    }
}

#[tokio::test]
async fn what_a_peer_has_others_ask_for_counts_for_the_peer() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let scope = Scope::start(&node, Scope::DEFAULT).await.unwrap();
    let mut process = peer.process();
    let member = Term::from(node.whereis("rex").unwrap());
    let mut joined = 0;
    for number in 0..100 {
        let (tag, name) = (Term::from(number), Term::tuple([Term::from(number), Term::list(vec![Term::nil(); 10])]));
        let join = Term::tuple([Term::atom("join"), name, Term::list([member.clone()])]);
        let call = Term::tuple([Term::atom("$gen_call"), from(process.pid(), &tag), join]);
        pass_on(&node, &process, Scope::DEFAULT, call).await;
        joined += usize::from(tagged(&mut process, &tag).await.is_atom("ok"));
    }
    assert!((1..50).contains(&joined), "{joined}");
    assert_eq!(scope.local_groups().len(), joined);
}

#[tokio::test]
async fn nobody_speaks_in_the_name_of_the_node() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let mut process = peer.process();
    let rex = node.whereis("rex").unwrap();
    let id = Term::tuple([Term::atom("resource"), Term::from(1)]);
    let lock = Term::tuple([Term::atom("set_lock"), id]);
    let call = Term::tuple([Term::atom("$gen_call"), from(&rex, &Term::from(1)), lock]);
    pass_on(&node, &process, "global_name_server", call).await;
    // Behind it in the same mailbox.
    let tag = Term::from(2);
    let version = Term::atom("get_protocol_version");
    let call = Term::tuple([Term::atom("$gen_call"), from(process.pid(), &tag), version]);
    pass_on(&node, &process, "global_name_server", call).await;
    tagged(&mut process, &tag).await;
    assert!(node.global().try_lock(Term::atom("resource"), 0).await.unwrap().is_some());
}

#[tokio::test]
async fn who_waits_for_a_lock_and_leaves_keeps_no_call() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    let lock = node.global().lock(Term::atom("resource")).await.unwrap();
    let id = Term::tuple([Term::atom("resource"), Term::from(1)]);
    let arguments = [id, Term::list([Term::from(node.name().as_atom().clone())])];
    call_and_leave(&network, &node, &peer, "set_lock", &arguments).await;
    lock.release().await;
    assert!(node.global().try_lock(Term::atom("resource"), 0).await.unwrap().is_some());
}

#[tokio::test]
async fn who_waits_for_names_and_leaves_keeps_no_call() {
    let network = Network::new();
    let (node, peer) = pair(&network).await;
    // It has no names to tell.
    let silent = network.node("c@three").start().await.unwrap();
    silent.connect(node.name()).await.unwrap();
    let nodes = |name: &Term| Term::list([name.clone()]);
    let silent = Term::from(silent.name().as_atom().clone());
    call_and_leave(&network, &node, &peer, "sync", &[nodes(&silent)]).await;
    // Of one that is not connected nobody waits for names.
    let sync = Mfa::new("global", "sync", (nodes(&Term::atom("nobody@nowhere")),)).unwrap();
    let answer = peer.call::<Term>(node.name(), sync);
    assert!(timeout(LIMIT, answer).await.unwrap().unwrap().is_atom("ok"));
}

#[tokio::test]
async fn requests_that_are_dropped_while_they_wait_for_names_take_nothing() {
    let network = Network::new();
    let (node, _peer) = pair(&network).await;
    let silent = network.node("c@three").start().await.unwrap();
    silent.connect(node.name()).await.unwrap();
    let global = node.global();
    for _ in 0..3000 {
        assert!(timeout(Duration::from_micros(1), global.sync()).await.is_err());
    }
    // One that finds no memory is refused, and does not wait.
    assert!(timeout(Duration::from_millis(100), global.sync()).await.is_err());
}

/// Calls a function of `global` through `rex`, and ends the connection of the peer while it waits.
async fn call_and_leave(network: &Network, node: &Node, peer: &Node, function: &'static str, arguments: &[Term]) {
    let process = peer.process();
    let own = || Term::from(process.pid().clone());
    let arguments = Term::list(arguments.iter().cloned());
    let call = [Term::atom("call"), Term::atom("global"), Term::atom(function), arguments, own()];
    process.send_term(("rex", node.name()), &Term::tuple([own(), Term::tuple(call)])).await.unwrap();
    let served = async |count| {
        while node.calls_served() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, served(1)).await.unwrap();
    network.reset("one", "two");
    timeout(LIMIT, served(0)).await.unwrap();
}
