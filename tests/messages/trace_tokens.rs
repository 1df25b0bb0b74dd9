//! Sequential trace tokens: what a process of ours sends after a traced message is traced, with the numbers that a BEAM gives.

use crate::stage::{Stage, eval_with, export, message};
use peerl::{Atom, Destination, GenRequest, Node, NodeName, Process, Term};
use peerl_test_support::{Beam, conformance, matrix};

/// What a BEAM does in the place of our node.
const WORKER: &str = "
    -module(worker).
    -export([start/0, relay/0]).

    start() ->
        register(relay, spawn(fun relay/0)),
        whereis(relay).

    relay() ->
        receive
            {exit, Reason} -> exit(Reason);
            {'$gen_call', From, Request} -> gen:reply(From, Request), relay();
            {To, Message} -> To ! Message, relay()
        end.
";

/// The function that both kinds of node have.
const RUST: &str = "-module(rust). -export([add/2]). add(A, B) -> A + B.";

/// What is traced. Each looks at the tokens that come back.
const SEQUENCES: [(&str, &str); 11] = [
    ("to a pid", "Ask(self(), back), receive back -> See() end"),
    ("to a name", "register(asking, self()), Ask({asking, node()}, back), receive back -> See() end"),
    ("to an alias", "Ask(alias(), back), receive back -> See() end"),
    ("many", "[begin Ask(self(), back), receive back -> See() end end || _ <- lists:seq(1, 20)]"),
    ("several at once", "[Ask(self(), back) || _ <- [1, 2, 3]], [receive back -> See() end || _ <- [1, 2, 3]]"),
    ("through the process itself", "Ask(Relay, {self(), back}), receive back -> See() end"),
    (
        "a message without a token ends it",
        "Ask(self(), back), receive back -> ok end, seq_trace:set_token([]), Ask(self(), back), receive back -> See() end",
    ),
    ("the reply of a call", "gen_server:call({relay, W}, back), See()"),
    (
        "a linked process that ends",
        "process_flag(trap_exit, true), Ask(self(), back), receive back -> ok end,
         link(Relay), {relay, W} ! {exit, enough}, receive {'EXIT', _, enough} -> See() end",
    ),
    (
        "a spawned process",
        "process_flag(trap_exit, true), Request = spawn_request(W, rust, add, [1, 2], [link]),
         receive {spawn_reply, Request, ok, _} -> ok end, Reply = See(),
         receive {'EXIT', _, normal} -> {Reply, See()} end",
    ),
    ("a call by rpc", "3 = rpc:call(W, rust, add, [1, 2]), 3 = erpc:call(W, rust, add, [1, 2]), See()"),
];

/// Evaluates a sequence at a BEAM, with a worker of either kind.
async fn traced(beam: &Beam, node: &Node, (worker, relay): (&str, &Term), label: &str, sequence: &str) -> String {
    let expression = format!(
        "W = '{worker}',
         Ask = fun(To, Message) -> {{relay, W}} ! {{To, Message}} end,
         See = fun() -> case seq_trace:get_token() of
             [] -> none;
             {{Flags, Label, Serial, From, Previous}} -> {{Flags, Label, Serial, Previous, case From of
                 Pid when is_pid(Pid) -> node(Pid) =:= W;
                 Name -> Name =:= W
             end}}
         end end,
         seq_trace:set_token(label, {label}), seq_trace:set_token(send, true), seq_trace:set_token('receive', true),
         {sequence}"
    );
    eval_with(beam, node, &expression, [("Relay", relay.clone())]).await
}

/// A process of our node that does what the other worker's does.
fn relay(node: &Node) -> Term {
    let mut process = node.process();
    process.register(Atom::from_static("relay")).unwrap();
    let pid = process.pid().clone().into();
    tokio::spawn(async move {
        while let Ok(received) = process.receive().await {
            match GenRequest::from_term(received.into_term().unwrap()) {
                Ok(call) => process.reply(&call.from, &call.request).unwrap(),
                Err(asked) => match asked.as_tuple() {
                    Some([Term::Atom(_), reason]) => return process.exit(reason),
                    Some([to, what]) => send(&process, to, what).await,
                    _ => panic!("{asked:?}"),
                },
            }
        }
    });
    pid
}

async fn send(process: &Process, to: &Term, what: &Term) {
    match to {
        Term::Reference(alias) => process.send_to_alias(alias, what).await.unwrap(),
        Term::Pid(pid) => process.send_term(&**pid, what).await.unwrap(),
        _ => {
            let Some([Term::Atom(name), Term::Atom(node)]) = to.as_tuple() else { panic!("{to:?}") };
            let node: NodeName = node.as_str().parse().unwrap();
            process.send_term(Destination::Remote(name.clone(), node), what).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_as_a_beam_gives_them() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let (beam, other) = (stage.beam(otp).await, stage.beam(otp).await);
        other.load_module(WORKER).unwrap();
        other.load_module(RUST).unwrap();
        for (what, sequence) in SEQUENCES {
            for label in ["17", "{any, \"term\"}"] {
                let start = peerl::Mfa::new("worker", "start", ()).unwrap();
                let theirs = node.call::<Term>(&crate::stage::name(&other), start).await.unwrap();
                let expected = traced(&beam, &node, (other.name(), &theirs), label, sequence).await;
                let ends = ["a message without a token ends it", "a call by rpc"].contains(&what);
                assert!(ends || expected.contains("true"), "{what}: {expected}");
                let ours = relay(&node);
                let found = traced(&beam, &node, (node.name().as_str(), &ours), label, sequence).await;
                assert_eq!(found, expected, "{what}, with the label {label}, on {otp:?}");
                for pid in [&theirs, &ours] {
                    node.process().exit_other(pid.as_pid().unwrap(), &Term::atom("kill"));
                }
                other.eval_async(crate::stage::until("whereis(relay)", "undefined")).await.unwrap();
                crate::stage::eventually("the name is free", || node.whereis("relay").is_none()).await;
            }
        }
        conformance::holds(otp, [36]);
    }
}

/// The tokens of a BEAM's trace: what our process receives and sends is part of the sequence that a tracer there sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracer_sees_both_directions() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let ours = relay(&node);
        let expression = "
            Main = self(),
            Tracer = spawn(fun Collect() -> receive
                {seq_trace, 17, {Kind, {Previous, Serial}, From, To, Message}} ->
                    Main ! {seen, {Kind, Previous, Serial, node(From) =:= NODE, node(To) =:= NODE, Message}},
                    Collect()
            end end),
            seq_trace:set_system_tracer(Tracer),
            seq_trace:set_token(label, 17), seq_trace:set_token(send, true), seq_trace:set_token('receive', true),
            Relay ! {self(), back}, receive back -> seq_trace:set_token([]) end,
            Seen = fun() -> receive {seen, What} -> What end end,
            [element(I, T) || T <- [Seen(), Seen()], I <- [1, 2, 3, 4, 5]]";
        let seen = eval_with(&beam, &node, expression, [("Relay", ours)]).await;
        assert_eq!(seen, "[send,0,1,false,true,'receive',1,2,true,false]", "on {otp:?}");
    }
}

/// A malformed token is none, and a token is not lost while a full mailbox waits for room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_wait_with_their_messages() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let policy = peerl::MailboxPolicy { messages: 3, overflow: peerl::Overflow::Wait, ..Default::default() };
        let mut process = node.process_with(policy);
        let send = "seq_trace:set_token(label, 17),
            [begin N rem 2 =:= 0 andalso seq_trace:set_token(label, N),
                N rem 2 =:= 1 andalso seq_trace:set_token([]),
                P ! {self(), N} end || N <- lists:seq(1, 100)],
            lists:append([receive {back, N} when N rem 2 =:= 0 -> {_, N, _, _, _} = seq_trace:get_token(), [];
                {back, N} -> case seq_trace:get_token() of [] -> []; Token -> [{N, Token}] end
            end || _ <- lists:seq(1, 100)])";
        let pid = process.pid().clone().into();
        let answers = async {
            for _ in 0..100 {
                let asked = message(&mut process).await;
                let [Term::Pid(to), number] = asked.as_tuple().unwrap() else { panic!("{asked:?}") };
                process.send_term(&**to, &Term::tuple([Term::atom("back"), number.clone()])).await.unwrap();
            }
        };
        let (wrong, ()) = tokio::join!(eval_with(&beam, &node, send, [("P", pid)]), answers);
        assert_eq!(wrong, "[]", "on {otp:?}");
    }
}
