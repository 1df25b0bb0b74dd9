//! Spawn requests: our node answers each as a BEAM does, to the flags of the reply and the order of the signals after it.

use crate::intruder::Intruder;
use crate::stage::{Stage, eval, export, name};
use peerl_node::{Node, NodeName, Reference, Term};
use peerl_proto::control::{ProcessId, Signal};
use peerl_test_support::{Beam, conformance, matrix};

/// The functions that both nodes have.
const RUST: &str = "
    -module(rust).
    -export([add/2, echo/1, fail/1]).
    add(A, B) -> A + B.
    echo(A) -> A.
    fail(exit) -> exit(gone).
";

/// What a peer may send for options, as Erlang writes them.
const OPTIONS: &[&str] = &[
    "[]",
    "[link]",
    "[monitor]",
    "[link, monitor]",
    "[monitor, link]",
    "[link, link, monitor, monitor]",
    "[{monitor, []}]",
    "[{monitor, [{tag, gone}]}]",
    "[{monitor, [{alias, demonitor}]}, link]",
    "[{monitor, [{alias, never}]}]",
    "[{monitor, link}]",
    "[{link, true}]",
    "[{priority, low}, {priority, high}, link]",
    "[{priority, max}]",
    "[{priority, urgent}]",
    "[{priority, 1}]",
    "[priority]",
    "[{min_heap_size, 1000}]",
    "[{min_heap_size, -1}]",
    "[{min_heap_size, large}]",
    "[{min_bin_vheap_size, 1000}]",
    "[{min_bin_vheap_size, -1}]",
    "[{fullsweep_after, 0}, monitor]",
    "[{fullsweep_after, -1}]",
    "[{fullsweep_after, often}]",
    "[{max_heap_size, 0}]",
    "[{max_heap_size, 1000000}]",
    "[{max_heap_size, -1}]",
    "[{max_heap_size, none}]",
    "[{max_heap_size, #{size => 1000000, kill => true, error_logger => false}}]",
    "[{max_heap_size, #{kill => true}}]",
    "[{max_heap_size, #{size => 1000000, kill => perhaps}}]",
    "[{message_queue_data, off_heap}]",
    "[{message_queue_data, on_heap}]",
    "[{message_queue_data, mixed}]",
    "[{message_queue_data, elsewhere}]",
    "[{async_dist, true}, {async_dist, false}]",
    "[{async_dist, perhaps}]",
    "[{reply, no}]",
    "[{reply, yes}]",
    "[{reply, error_only}]",
    "[{reply_tag, answer}]",
    "[{scheduler, 1}]",
    "[{unknown, 1}]",
    "[unknown]",
    "[link, unknown, monitor]",
    "[1]",
    "[{link}]",
    "[{link, monitor, x}]",
    "[[link]]",
    "link",
    "{link, monitor}",
    "[link | monitor]",
    "[link | [monitor]]",
    "\"link\"",
];

/// What a peer may have run, and the payload that it sends for arguments.
const FUNCTIONS: &[(&str, &str, u8, &str)] = &[
    ("rust", "add", 2, "[1, 2]"),
    ("rust", "echo", 1, "[x]"),
    ("rust", "fail", 1, "[exit]"),
    // The arity in the request says nothing.
    ("rust", "add", 7, "[1, 2]"),
    ("rust", "nothing", 0, "[]"),
    ("nowhere", "nothing", 3, "[a, b, c]"),
    ("rust", "echo", 1, "x"),
    ("rust", "echo", 1, "[x | y]"),
];

/// What a node sends because of a spawn request.
#[derive(Debug, PartialEq)]
enum Answer {
    /// With the flags of what has been set up, or the reason of the failure.
    Reply(u32, Result<(), String>),
    /// The link is broken.
    Exit(Term),
    Down(Term),
}

/// Evaluates what is written in Erlang.
async fn terms(beam: &Beam, texts: &[&str]) -> Vec<Term> {
    let list = format!("[{}]", texts.join(", "));
    let beam = beam.clone();
    let list = tokio::task::spawn_blocking(move || beam.eval_external(&list, &[], crate::stage::LIMIT)).await.unwrap();
    Term::decode(&list.unwrap().into()).unwrap().as_list().unwrap().to_vec()
}

/// Sends a request and takes all that comes because of it.
fn request(
    peer: &mut Intruder,
    number: u32,
    function: (&str, &str, u8),
    options: &Term,
    arguments: &Term,
) -> Vec<Answer> {
    let pid = peer.pid();
    let reference = Reference::new(pid.node.clone(), pid.creation, &[number, 7, 9]).unwrap();
    let (module, name, arity) = function;
    let mfa = Term::tuple([crate::stage::atom(module), crate::stage::atom(name), Term::from(i64::from(arity))]);
    let parts = [29.into(), reference.clone().into(), pid.clone().into(), pid.clone().into(), mfa, options.clone()];
    peer.frame(Term::tuple(parts), Some(arguments.clone()));
    let (mut answers, mut expected) = (Vec::new(), 1);
    while answers.len() < expected {
        let message = peer.message();
        let reason = |message: &peerl_proto::channel::Message| message.payload.as_ref().unwrap().decode().unwrap();
        match &message.signal {
            Signal::SpawnReply { reference: of, to, flags, result } if *of == reference => {
                assert_eq!(*to, pid);
                expected += flags.bits().count_ones() as usize;
                let result = result.as_ref().map(|_| ()).map_err(|reason| reason.as_str().to_owned());
                answers.push(Answer::Reply(flags.bits(), result));
            }
            Signal::Exit { to, .. } if *to == pid => answers.push(Answer::Exit(reason(&message))),
            Signal::MonitorExit { from, reference: of, .. } if *of == reference => {
                assert!(matches!(from, ProcessId::Pid(_)));
                answers.push(Answer::Down(reason(&message)));
            }
            // What a visible node is sent by `global` and the like.
            _ => {}
        }
    }
    answers
}

/// The port of a BEAM node.
async fn port(stage: &Stage, beam: &NodeName) -> u16 {
    let client = peerl_epmd::Client::new(stage.epmd.address());
    client.lookup(beam.name()).await.unwrap().unwrap().port
}

/// The first frame of the stack of an exit reason: a BEAM's has further frames.
fn without_stack(mut answer: Answer) -> Answer {
    if let Answer::Exit(reason) | Answer::Down(reason) = &mut answer
        && let Some([what, Term::List(stack)]) = reason.as_tuple()
    {
        let first = stack.iter().next().cloned().into_iter();
        *reason = Term::tuple([what.clone(), Term::list(first)]);
    }
    answer
}

async fn peers(stage: &Stage, beam: &Beam, node: &Node) -> (Intruder, Intruder) {
    let (theirs, port) = (name(beam), port(stage, &name(beam)).await);
    let (ours, own_port) = (node.name().clone(), node.port());
    tokio::task::spawn_blocking(move || {
        let name = || format!("{}@127.0.0.1", peerl_test_support::unique_name("asker"));
        (Intruder::connect_to(&name(), &theirs, port), Intruder::connect_to(&name(), &ours, own_port))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_and_functions() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        beam.load_module(RUST).unwrap();
        let options = terms(&beam, OPTIONS).await;
        let written: Vec<String> = FUNCTIONS.iter().map(|(_, _, _, arguments)| (*arguments).to_owned()).collect();
        let arguments = terms(&beam, &written.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let (mut theirs, mut ours) = peers(&stage, &beam, &node).await;
        tokio::task::spawn_blocking(move || {
            let mut number = 0;
            let mut differences = Vec::new();
            let mut compare = |what: &str, function: (&str, &str, u8), options: &Term, arguments: &Term| {
                number += 1;
                let of = |peer: &mut Intruder| {
                    let answers = request(peer, number, function, options, arguments);
                    answers.into_iter().map(without_stack).collect::<Vec<_>>()
                };
                let (expected, found) = (of(&mut theirs), of(&mut ours));
                if expected != found {
                    differences.push(format!("{what}: {found:?}, not {expected:?}"));
                }
            };
            for (text, options) in OPTIONS.iter().zip(&options) {
                // Since OTP 26.
                if otp.number() >= 26 || !text.contains("async_dist") {
                    compare(text, ("rust", "add", 2), options, &arguments[0]);
                }
            }
            let both = &options[3];
            for (&(module, function, arity, text), arguments) in FUNCTIONS.iter().zip(&arguments) {
                compare(&format!("{module}:{function}/{arity} of {text}"), (module, function, arity), both, arguments);
            }
            assert!(differences.is_empty(), "on {otp:?}:\n{}", differences.join("\n"));
        })
        .await
        .unwrap();
        conformance::holds(otp, [39]);
    }
}

/// Calls of a BEAM program, and what it gets from the node `W`.
const CALLS: &[&str] = &[
    "spawn_request(W, rust, add, [1, 2], []), Next(1)",
    "spawn_request(W, rust, add, [1, 2], [{reply, no}]), rpc:call(W, rust, add, [1, 2]), Next(0)",
    "spawn_request(W, rust, add, [1, 2], [{reply, no}, monitor]), Next(1)",
    "spawn_request(W, rust, add, [1, 2], [{reply, error_only}, link]), Next(1)",
    "spawn_request(W, rust, add, [1, 2], [{reply, success_only}, {reply_tag, answer}, link, monitor]), Next(3)",
    "spawn_request(W, rust, add, [1, 2], [monitor, {monitor, [{tag, over}]}]), Next(2)",
    "spawn_request(W, rust, add, [1, 2], [{monitor, [{alias, reply_demonitor}]}]), Next(2)",
    "spawn_request(W, rust, nothing, [], [link, monitor]), Next(3)",
    "spawn_request(W, rust, fail, [exit], [link, monitor]), Next(3)",
    "spawn_request(W, rust, add, [1, 2], [unknown]), Next(1)",
    "spawn_request(W, rust, add, [1, 2], [{reply, error_only}, {priority, urgent}]), Next(1)",
    "spawn_request(W, rust, add, [1, 2], [{reply, no}, {priority, urgent}]), rpc:call(W, rust, add, [1, 2]), Next(0)",
    "R = spawn_request(W, rust, echo, [x], []), B = spawn_request_abandon(R), is_boolean(B)",
    "P = spawn_link(W, rust, fail, [exit]), is_pid(P) andalso Next(1)",
    "{P, _} = spawn_monitor(W, rust, fail, [exit]), is_pid(P) andalso Next(1)",
    "{P, _} = spawn_opt(W, rust, fail, [exit], [link, monitor, {priority, high}]), is_pid(P) andalso Next(2)",
    "P = spawn(W, rust, echo, [x]), is_pid(P) andalso Next(0)",
    "spawn_opt(W, rust, echo, [x], [{priority, urgent}])",
    "spawn_monitor(W, rust, add, [x])",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_programs_of_the_beam_make_them() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let (beam, other) = (stage.beam(otp).await, stage.beam(otp).await);
        other.load_module(RUST).unwrap();
        for call in CALLS {
            let at = |worker: &str| {
                format!(
                    "process_flag(trap_exit, true), W = '{worker}',
                     Plain = fun Plain(T) when is_pid(T) -> pid; Plain(T) when is_reference(T) -> ref;
                         Plain(T) when is_tuple(T) -> list_to_tuple([Plain(E) || E <- tuple_to_list(T)]);
                         Plain([{{M, F, A, _}} | _]) -> {{stack, M, F, A}};
                         Plain(T) -> T end,
                     Next = fun(N) -> Got = [receive M -> Plain(M) end || _ <- lists:seq(1, N)],
                         receive Other -> {{too_many, Got, Plain(Other)}} after 0 -> Got end end,
                     Result = try {call} catch C:E -> {{C, Plain(E)}} end, Plain(Result)"
                )
            };
            let expected = eval(&beam, &node, &at(other.name())).await;
            assert_eq!(eval(&beam, &node, &at(node.name().as_str())).await, expected, "{call}, on {otp:?}");
        }
        conformance::holds(otp, [39, 40]);
    }
}
