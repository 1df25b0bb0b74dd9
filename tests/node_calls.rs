//! Calls between a peerl node and real BEAM nodes, in both directions.

use std::time::Duration;

use futures::future::join_all;
use peerl_epmd::Client;
use peerl_node::{Atom, CallError, Class, Epmd as Mapper, Exception, Mfa, Node, NodeName, Nodes, Term, Visibility};
use peerl_test_support::{Beam, COOKIE, Epmd, matrix, unique_name};

async fn start(epmd: &Epmd, visibility: Visibility) -> Node {
    let node = Node::builder(format!("{}@127.0.0.1", unique_name("peerl")))
        .cookie(COOKIE)
        .epmd(Mapper::External)
        .epmd_client(Client::new(epmd.address()))
        .visibility(visibility)
        .start()
        .await
        .unwrap();
    node.export("rust", "add", 2, |(a, b): (i64, i64)| async move { Ok::<_, Exception>(a + b) }).unwrap();
    node.export("rust", "echo", 1, |(term,): (Term,)| async move { Ok::<_, Exception>(term) }).unwrap();
    node.export("rust", "fail", 1, |(how,): (Atom,)| async move {
        Err::<Term, _>(match how.as_str() {
            "throw" => Exception::throw(Term::atom("ball")),
            "exit" => Exception::exit(Term::atom("gone")),
            "panic" => panic!("on purpose"),
            _ => Exception::error(Term::atom("wrong")),
        })
    })
    .unwrap();
    node.export("rust", "sleep", 1, |(ms,): (u64,)| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok::<_, Exception>(Atom::from_static("awake"))
    })
    .unwrap();
    node
}

fn name(beam: &Beam) -> NodeName {
    beam.name().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peerl_node_calls_beam_nodes() {
    let epmd = Epmd::start();
    let node = start(&epmd, Visibility::Hidden).await;
    for otp in matrix() {
        let beam = Beam::erlang(otp).epmd(&epmd).start_async().await;
        let peer = name(&beam);
        node.ping(&peer).await.unwrap();
        let reversed: Vec<i64> =
            node.call(&peer, Mfa::new("lists", "reverse", (vec![1, 2, 3],)).unwrap()).await.unwrap();
        assert_eq!(reversed, [3, 2, 1]);
        let own: Atom = node.call(&peer, Mfa::new("erlang", "node", ()).unwrap()).await.unwrap();
        assert_eq!(own.as_str(), beam.name());
        let exception = |result: Result<Term, CallError>| match result {
            Err(CallError::Exception(exception)) => exception,
            other => panic!("{other:?}"),
        };
        let undef = exception(node.call(&peer, Mfa::new("no", "such", (1,)).unwrap()).await);
        assert_eq!((undef.class, undef.reason), (Class::Error, Term::atom("undef")));
        let thrown = exception(node.call(&peer, Mfa::new("erlang", "throw", (7,)).unwrap()).await);
        assert_eq!((thrown.class, thrown.reason), (Class::Throw, Term::from(7)));
        let exit = exception(node.call(&peer, Mfa::new("erlang", "exit", (7,)).unwrap()).await);
        assert_eq!((exit.class, exit.reason), (Class::Exit, Term::from(7)));
        let slow = node.call::<Atom>(&peer, Mfa::new("timer", "sleep", (60_000,)).unwrap());
        let error = slow.timeout(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, CallError::Timeout(_)));
        let many =
            (0..1000u32).map(|n| node.call::<u32>(&peer, Mfa::new("erlang", "+", (n, 1)).unwrap()).into_future());
        let sums: Vec<u32> = join_all(many).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(sums, (1..=1000).collect::<Vec<_>>());
        assert!(node.nodes(Nodes::Visible).is_empty());
        assert_eq!(node.nodes(Nodes::Hidden), [peer]);
        drop(beam);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beam_nodes_call_a_peerl_node() {
    let epmd = Epmd::start();
    let node = start(&epmd, Visibility::Visible).await;
    for otp in matrix() {
        let beam = Beam::erlang(otp).epmd(&epmd).start_async().await;
        let eval = |expression: &str| {
            let expression = expression.replace("NODE", &format!("'{}'", node.name()));
            let beam = &beam;
            async move { beam.eval_async(&expression).await.unwrap() }
        };
        assert_eq!(eval("net_adm:ping(NODE)").await, "pong");
        assert_eq!(eval("nodes()").await, format!("['{}']", node.name()));
        assert_eq!(eval("rpc:call(NODE, rust, add, [1, 2])").await, "3");
        assert_eq!(eval("erpc:call(NODE, rust, add, [1, 2], 5000)").await, "3");
        assert!(eval("rpc:call(NODE, rust, add, [1, a])").await.contains("badarg"));
        assert_eq!(eval("rpc:call(NODE, os, cmd, [\"ls\"])").await, "{badrpc,{'EXIT',{undef,[{os,cmd,[\"ls\"],[]}]}}}");
        assert_eq!(eval("rpc:call(NODE, rust, fail, [throw])").await, "ball");
        assert_eq!(eval("rpc:call(NODE, rust, fail, [exit])").await, "{badrpc,{'EXIT',gone}}");
        assert_eq!(eval("rpc:call(NODE, rust, fail, [error])").await, "{badrpc,{'EXIT',{wrong,[{rust,fail,1,[]}]}}}");
        assert!(eval("rpc:call(NODE, rust, fail, [panic])").await.contains("on purpose"));
        assert_eq!(eval("rpc:call(NODE, rust, sleep, [60000], 50)").await, "{badrpc,timeout}");
        assert_eq!(eval("rpc:block_call(NODE, rust, add, [1, 2])").await, "3");
        assert_eq!(eval("rpc:call(NODE, erlang, apply, [rust, add, [3, 4]])").await, "7");
        assert!(eval("rpc:multicall([NODE, node()], erlang, node, [])").await.contains("badrpc"));
        assert_eq!(eval("rpc:pmap({rpc, call}, [], []) ").await, "[]");
        assert_eq!(
            eval("[rpc:yield(K) || K <- [rpc:async_call(NODE, rust, add, [N, N]) || N <- [1,2,3]]]").await,
            "[2,4,6]"
        );
        assert!(eval("catch gen_server:call({nobody, NODE}, hello, 5000)").await.contains("noproc"));
    }
}
