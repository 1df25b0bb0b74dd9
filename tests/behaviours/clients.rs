//! A node of peerl uses the servers, state machines, event managers, agents and supervisors of a BEAM, and its `rpc`.

use std::time::Duration;

use peerl::otp::{
    Agent, ChildError, ChildState, EventManager, Request, Requests, ServerRef, SupervisorRef, abcast, multi_call, rpc,
};
use peerl::{Atom, CallError, Class, Mfa, Node, NodeName, Term};
use peerl_test_support::Beam;
use tokio::time::Instant;

use crate::stage::LIMIT;

fn atom(name: &'static str) -> Term {
    Term::atom(name)
}

fn pair(name: &'static str, value: impl Into<Term>) -> Term {
    Term::tuple([atom(name), value.into()])
}

fn mfa(module: &str, function: &str, arguments: impl IntoIterator<Item = Term>) -> Mfa {
    let (module, function) = (Atom::new(module).unwrap(), Atom::new(function).unwrap());
    Mfa::with_terms(module, function, arguments.into_iter().collect())
}

fn is_signal(result: Result<impl Sized, CallError>, reason: &str) -> bool {
    matches!(result, Err(CallError::Signal(found)) if found.is_atom(reason))
}

pub(crate) async fn use_those_of_a_beam(node: &Node, beam: &Beam) {
    let peer: NodeName = beam.name().parse().unwrap();
    servers(node, &peer).await;
    machines_events_and_agents(node, &peer).await;
    supervisors(node, &peer).await;
    calls(node, &peer).await;
}

async fn servers(node: &Node, peer: &NodeName) {
    let counter = ServerRef::new(node, ("counter", peer));
    counter.cast(&pair("set", 40)).await.unwrap();
    assert_eq!(counter.call::<i64>(&pair("add", 2)).await.unwrap(), 42);
    assert_eq!(counter.state().await.unwrap(), Term::from(42));
    let status = counter.status().await.unwrap();
    assert!(status.as_tuple().unwrap()[0].is_atom("status"));
    counter.suspend().await.unwrap();
    let mut request = counter.send_request::<i64>(&atom("value"));
    assert!(request.wait_until(Instant::now() + Duration::from_millis(50)).await.is_none());
    assert!(request.check().is_none());
    counter.resume().await.unwrap();
    assert_eq!(request.await.unwrap(), 42);

    let nobody: NodeName = "nobody@127.0.0.1".parse().unwrap();
    let nodes = [peer.clone(), nobody.clone(), node.name().clone()];
    let replies = multi_call::<i64>(node, &nodes, "counter", &pair("add", 0)).unwrap().timeout(LIMIT).await.unwrap();
    assert_eq!(replies.replies, [(peer.clone(), 42), (node.name().clone(), 0)]);
    assert_eq!(replies.bad_nodes, [nobody]);
    abcast(node, &nodes[..1], "counter", &pair("set", 7)).await.unwrap();
    assert_eq!(counter.call::<i64>(&atom("value")).await.unwrap(), 7);
    let slow = multi_call::<i64>(node, &nodes[..1], "counter", &pair("sleep", 3000)).unwrap();
    assert_eq!(slow.timeout(Duration::from_millis(10)).await.unwrap().bad_nodes, nodes[..1]);

    let other: Term = node.call(peer, mfa("rust", "server", [Term::from(1)])).await.unwrap();
    let other = ServerRef::new(node, other.as_pid().unwrap());
    other.stop(&atom("normal")).await.unwrap();
    assert!(is_signal(other.stop(&atom("normal")).await, "noproc"));
    assert!(is_signal(ServerRef::new(node, ("no_such_server", peer)).state().await, "noproc"));
}

async fn machines_events_and_agents(node: &Node, peer: &NodeName) {
    let switch = ServerRef::new(node, ("switch", peer));
    assert!(switch.call::<Term>(&atom("flip")).await.unwrap().is_atom("on"));
    assert_eq!(switch.call::<Term>(&atom("get")).await.unwrap(), pair("on", 1));
    switch.cast(&atom("reset")).await.unwrap();
    assert_eq!(switch.call::<(String, i64)>(&atom("get")).await.unwrap(), ("off".to_owned(), 0));

    let (events, handler) = (EventManager::new(node, ("events", peer)), atom("Elixir.Reference.Events"));
    assert!(events.add_handler(handler.clone(), &1).await.unwrap().is_atom("ok"));
    events.notify(&pair("add", 2)).await.unwrap();
    events.sync_notify(&pair("add", 3)).await.unwrap();
    assert_eq!(events.which_handlers().await.unwrap(), std::slice::from_ref(&handler));
    let reached = async || events.call::<i64>(handler.clone(), &atom("get")).await.unwrap();
    // Two senders: the first event may come later.
    let end = Instant::now() + LIMIT;
    while reached().await != 6 {
        assert!(Instant::now() < end);
    }
    let unknown = events.call::<Term>(atom("nobody"), &atom("get")).await;
    assert!(matches!(unknown, Err(CallError::Erpc(reason)) if reason.is_atom("bad_module")));
    assert_eq!(events.delete_handler(handler.clone(), &atom("bye")).await.unwrap(), pair("bye", 6));
    events.add_handler(handler.clone(), &1).await.unwrap();
    let crashed = events.call::<Term>(handler, &atom("crash")).await;
    assert!(matches!(crashed, Err(CallError::Erpc(reason)) if reason == pair("EXIT", atom("no"))));
    assert!(events.which_handlers().await.unwrap().is_empty());
    assert!(is_signal(EventManager::new(node, ("nobody", peer)).sync_notify(&1).await, "noproc"));

    let name = Atom::from_static("Elixir.Reference.Settings");
    let settings = Agent::new(node, (name, peer.clone()));
    let (map, limit) = ("Elixir.Map", atom("limit"));
    assert_eq!(settings.get::<i64>(mfa(map, "get", [limit.clone()])).await.unwrap(), 3);
    settings.update(mfa(map, "put", [limit.clone(), Term::from(4)])).await.unwrap();
    settings.cast(mfa(map, "put", [atom("other"), Term::from(5)])).await.unwrap();
    let taken: i64 = settings.get_and_update(mfa(map, "pop", [limit.clone()])).await.unwrap();
    assert_eq!(taken, 4);
    assert!(settings.get::<Term>(mfa(map, "get", [limit])).await.unwrap().is_atom("nil"));
    assert_eq!(settings.server().state().await.unwrap(), Term::map([(atom("other"), Term::from(5))]));
}

async fn supervisors(node: &Node, peer: &NodeName) {
    for place in [peer, node.name()] {
        let pid: Term = node.call(place, mfa("rust", "supervisor", [atom("one_for_one")])).await.unwrap();
        let supervisor = SupervisorRef::new(node, pid.as_pid().unwrap());
        let children = supervisor.which_children().await.unwrap();
        let ids: Vec<_> = children.iter().map(|child| child.id.clone()).collect();
        assert_eq!(ids, [atom("c"), atom("b"), atom("a")]);
        assert!(children.iter().all(|child| matches!(child.state, ChildState::Running(_)) && !child.is_supervisor));
        assert!(matches!(supervisor.delete_child(&atom("a")).await, Err(ChildError::Running)));
        supervisor.terminate_child(&atom("a")).await.unwrap();
        let a = &supervisor.which_children().await.unwrap()[2];
        assert_eq!((a.id.clone(), a.state.clone()), (atom("a"), ChildState::Ended));
        supervisor.restart_child(&atom("a")).await.unwrap();
        assert!(matches!(supervisor.terminate_child(&atom("x")).await, Err(ChildError::NotFound)));
        let start = Term::tuple([atom("rust"), atom("start_link"), Term::list([Term::from(9)])]);
        let specification = Term::map([pair("id", atom("d")), pair("start", start)].map(|pair| {
            let [key, value] = pair.as_tuple().unwrap() else { unreachable!() };
            (key.clone(), value.clone())
        }));
        let added = supervisor.start_child(&specification).await.unwrap();
        assert_eq!(ServerRef::new(node, &added).call::<i64>(&atom("value")).await.unwrap(), 9);
        let again = supervisor.start_child(&specification).await;
        assert!(matches!(again, Err(ChildError::AlreadyStarted(pid)) if pid == added));
        assert_eq!(supervisor.count_children().await.unwrap()[1], ("active".to_owned(), 4));
        supervisor.server().stop(&atom("shutdown")).await.unwrap();
    }
}

async fn calls(node: &Node, peer: &NodeName) {
    let nobody: NodeName = "nobody@127.0.0.1".parse().unwrap();
    let add = || mfa("rust", "add", [Term::from(1), Term::from(2)]);
    let fail = |how| mfa("rust", "fail", [atom(how)]);
    for place in [peer, node.name()] {
        assert_eq!(rpc::block_call::<i64>(node, place, &add()).await.unwrap(), 3);
        let failed = rpc::block_call::<Term>(node, place, &fail("error")).await;
        assert!(matches!(failed, Err(CallError::Exception(exception)) if exception.reason.is_atom("wrong")));
        let failed = rpc::block_call::<Term>(node, place, &fail("exit")).await;
        assert!(matches!(failed, Err(CallError::Exception(exception)) if exception.class == Class::Exit));
    }
    let both = [peer.clone(), nobody.clone()];
    let results = node.multicall::<i64>(&both, add()).timeout(LIMIT).await;
    assert!(matches!(results[..], [Ok(3), Err(CallError::Connect(_))]));
    let sleep = mfa("rust", "sleep", [Term::from(10_000)]);
    let late = node.multicall::<Term>(&both[..1], sleep).timeout(Duration::from_millis(20)).await;
    assert!(matches!(late[..], [Err(CallError::Timeout(_))]));

    let mut requests = Requests::new();
    for ms in [5000, 1] {
        requests.add(ms, Request::new(node.call::<Term>(peer, mfa("rust", "sleep", [Term::from(ms)]))));
    }
    assert_eq!(requests.next().await.map(|(label, answer)| (label, answer.is_ok())), Some((1, true)));
    assert!(requests.next_until(Instant::now()).await.is_err());
    assert_eq!(requests.len(), 1);
    assert_eq!(requests.next_until(Instant::now() + LIMIT).await.unwrap().map(|(label, _)| label), Some(5000));
    assert!(requests.next().await.is_none() && requests.is_empty());

    assert_eq!(rpc::server_call::<i64>(node, peer, "echo", "echo", &5).await.unwrap(), 5);
    assert!(is_signal(rpc::server_call::<i64>(node, peer, "nobody", "nobody", &5).await, "noproc"));
    let (replies, bad) = rpc::multi_server_call::<i64>(node, &both, "echo", &6).await.unwrap();
    assert_eq!((&replies[..], &bad[..]), (&[6][..], &both[1..]));
    let (good, bad) = rpc::sbcast(node, &both, "counter", &atom("nothing")).await.unwrap();
    assert_eq!((&good[..], &bad[..]), (&both[..1], &both[1..]));
    assert!(rpc::sbcast(node, &both[..1], "nobody", &1).await.unwrap().0.is_empty());
    let mut inbox = node.process();
    rpc::abcast(node, &both, "counter", &(inbox.pid(), 0)).await.unwrap();
    assert!(crate::stage::message(&mut inbox).await.as_integer().is_some());
    let register = mfa("erlang", "send", [inbox.pid().clone().into(), atom("cast")]);
    rpc::multicast(node, &both, &register).await;
    assert!(crate::stage::message(&mut inbox).await.is_atom("cast"));
}
