//! Tasks and calls of `rex` that a peer asks for, and their values.

use std::time::Duration;

use peerl_node::testing::Network;
use peerl_node::{Atom, Message, Node, Pid, Process, Term};
use tokio::time::timeout;

use super::TaskSupervisor;
use crate::system::System;

const LIMIT: Duration = Duration::from_secs(20);

async fn pair() -> (Node, Node) {
    let network = Network::new();
    let services = |builder: peerl_node::NodeBuilder| builder.service(System::new()).service(TaskSupervisor::new());
    let node = services(network.node("a@one").memory(1 << 20)).start().await.unwrap();
    node.export("rust", "copies", |(what, copies): (Term, usize)| async move {
        Ok::<_, peerl_node::Exception>(vec![what; copies])
    })
    .unwrap();
    (node, network.node("b@two").start().await.unwrap())
}

fn copies(what: Term, copies: usize) -> [Term; 3] {
    [Term::atom("rust"), Term::atom("copies"), Term::list([what, Term::from(copies)])]
}

async fn next(process: &mut Process) -> Message {
    timeout(LIMIT, process.receive()).await.unwrap().unwrap()
}

async fn received(process: &mut Process) -> (Term, Term) {
    let message = next(process).await.into_term().unwrap();
    let [tag, value] = message.as_tuple().unwrap() else { panic!("{message:?}") };
    (tag.clone(), value.clone())
}

fn to(node: &Node, name: &'static str) -> (Atom, peerl_node::NodeName) {
    (Atom::from_static(name), node.name().clone())
}

/// Starts a task that waits for its function.
async fn task(node: &Node, process: &mut Process) -> Pid {
    let pid = Term::from(process.pid().clone());
    let owner = Term::tuple([process.pid().node.clone().into(), pid.clone(), pid.clone()]);
    let arguments = Term::list([owner, Term::atom("monitor")]);
    let nil = || Term::atom("nil");
    let start = Term::tuple([Term::atom("start_task"), arguments, nil(), nil()]);
    let call = Term::tuple([Term::atom("$gen_call"), Term::tuple([pid, Term::from(1)]), start]);
    process.send_term(to(node, TaskSupervisor::NAME), &call).await.unwrap();
    let (_, started) = received(process).await;
    let [ok, Term::Pid(task)] = started.as_tuple().unwrap() else { panic!("{started:?}") };
    assert!(ok.is_atom("ok"));
    (**task).clone()
}

fn assignment(process: &Process, reply_to: Term, function: [Term; 3]) -> Term {
    Term::tuple([process.pid().clone().into(), Term::from(7), reply_to, Term::nil(), Term::tuple(function)])
}

#[tokio::test]
async fn small_and_large_values_come_from_tasks_and_rex() {
    let (node, peer) = pair().await;
    let mut process = peer.process();
    for count in [1, 50_000] {
        let expected = Term::list((0..count).map(|_| Term::from(300)));
        for reply_to in [process.pid().clone().into(), Term::from(process.alias())] {
            let task = task(&node, &mut process).await;
            let assignment = assignment(&process, reply_to, copies(Term::from(300), count));
            process.send_term(&task, &assignment).await.unwrap();
            assert!(received(&mut process).await == (Term::from(7), expected.clone()));
        }
        let [module, function, arguments] = copies(Term::from(300), count);
        let pid = || Term::from(process.pid().clone());
        let call = |kind| Term::tuple([Term::atom(kind), module.clone(), function.clone(), arguments.clone(), pid()]);
        let message = Term::tuple([pid(), call("call")]);
        process.send_term(to(&node, "rex"), &message).await.unwrap();
        let block_call =
            Term::tuple([Term::atom("$gen_call"), Term::tuple([pid(), Term::from(8)]), call("block_call")]);
        assert!(received(&mut process).await == (Term::atom("rex"), expected.clone()));
        process.send_term(to(&node, "rex"), &block_call).await.unwrap();
        assert!(received(&mut process).await == (Term::from(8), expected.clone()));
    }
}

#[tokio::test]
async fn what_a_task_is_told_to_do_counts_for_its_sender() {
    let (node, peer) = pair().await;
    let mut process = peer.process();
    let task = task(&node, &mut process).await;
    process.monitor(&task).await;
    let long = Term::list((0..30_000).map(|_| Term::from(1)));
    let assignment = assignment(&process, process.pid().clone().into(), copies(long, 0));
    process.send_term(&task, &assignment).await.unwrap();
    let Message::Down(down) = next(&mut process).await else { panic!("the task has not ended") };
    assert!(down.reason.is_atom("system_limit"), "{:?}", down.reason.decode());
}
