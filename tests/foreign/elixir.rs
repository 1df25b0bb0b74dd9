//! What Elixir programs do with nodes, with a peerl node.

use crate::stage::{Stage, eventually, export, message, name};
use peerl_node::{Atom, GenRequest, Mfa, Term};
use peerl_test_support::{Beam, conformance, matrix};

async fn elixir(beam: &Beam, node: &peerl_node::Node, expression: &str) -> String {
    let expression = expression.replace("NODE", &format!(":\"{}\"", node.name()));
    match beam.eval_elixir_async(expression.clone()).await {
        Ok(value) => value,
        Err(error) => panic!("{expression}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_elixir() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, hidden) = (stage.node().await, stage.hidden().await);
        export(&node);
        let beam = Beam::elixir(otp).epmd(&stage.epmd).start_async().await;
        let check = async |expression: &str, value: &str| {
            assert_eq!(elixir(&beam, &node, expression).await, value, "{expression}")
        };

        check("Node.connect(NODE)", "true").await;
        check("Node.ping(NODE)", ":pong").await;
        check("Node.connect(:\"nobody@127.0.0.1\")", "false").await;
        check("Node.list() == [NODE]", "true").await;
        assert_eq!(elixir(&beam, &hidden, "Node.ping(NODE)").await, ":pong");
        assert_eq!(elixir(&beam, &hidden, "Node.list(:hidden) == [NODE]").await, "true");
        check("length(Node.list(:connected))", "2").await;

        check(":rpc.call(NODE, :rust, :add, [1, 2])", "3").await;
        check(":erpc.call(NODE, :rust, :echo, [%{a: \"é\", b: [1.5, nil]}]) == %{a: \"é\", b: [1.5, nil]}", "true")
            .await;
        check(
            "try do :erpc.call(NODE, :rust, :fail, [:error]) rescue e in ErlangError -> e.original |> elem(1) end",
            ":wrong",
        )
        .await;
        check("pid = Node.spawn(NODE, :rust, :sleep, [10]); node(pid) == NODE", "true").await;
        check(
            "Process.flag(:trap_exit, true)
             pid = Node.spawn_link(NODE, :rust, :fail, [:exit])
             receive do {:EXIT, ^pid, why} -> why end",
            ":gone",
        )
        .await;
        check(
            "{pid, ref} = Node.spawn_monitor(NODE, :rust, :add, [1, 2])
             receive do {:DOWN, ^ref, :process, ^pid, why} -> why end",
            ":normal",
        )
        .await;

        // A GenServer of this node, and one of Elixir's.
        let server = node.process();
        server.register(Atom::from_static("Elixir.Rust.Server")).unwrap();
        let serving = crate::stage::run(server, |process, message| {
            if let Ok(call) = GenRequest::from_term(message) {
                process.reply(&call.from, &Term::tuple([Term::atom("ok"), call.request])).unwrap();
            }
        });
        check("GenServer.call({Rust.Server, NODE}, :hello)", "{:ok, :hello}").await;
        check("pid = :rpc.call(NODE, :erlang, :whereis, [Rust.Server]); GenServer.call(pid, :hello)", "{:ok, :hello}")
            .await;
        check(
            "{:ok, tasks} = Task.Supervisor.start_link()
             Task.Supervisor.async(tasks, fn -> GenServer.call({Rust.Server, NODE}, :hello) end) |> Task.await()",
            "{:ok, :hello}",
        )
        .await;
        check("GenServer.multi_call([NODE], Rust.Server, 1) == {[{NODE, {:ok, 1}}], []}", "true").await;
        check("try do GenServer.call({Nobody, NODE}, 1) catch :exit, {why, _} -> why end", ":noproc").await;
        check(
            "{:ok, pid} = Agent.start(fn -> 7 end); Process.register(pid, Seven); pid == Process.whereis(Seven)",
            "true",
        )
        .await;
        let identity = peerl_term::ExternalFun {
            module: Atom::from_static("Elixir.Function"),
            function: Atom::from_static("identity"),
            arity: 1,
        };
        let get = Term::tuple([Term::atom("get"), identity.into()]);
        let state: Term = node.gen_call((Atom::from_static("Elixir.Seven"), name(&beam)), &get).await.unwrap();
        assert_eq!(state, Term::from(7));
        serving.abort();

        // Messages and the end of the node.
        let mut inbox = node.process();
        inbox.register(Atom::from_static("inbox")).unwrap();
        check("send({:inbox, NODE}, {:hello, self()}) |> elem(0)", ":hello").await;
        let Term::Tuple(hello) = message(&mut inbox).await else { panic!() };
        inbox.send_term(hello[1].as_pid().unwrap(), &Term::atom("hello_back")).await.unwrap();
        check(
            "Node.monitor(NODE, true); Node.disconnect(NODE); receive do {:nodedown, node} -> node == NODE end",
            "true",
        )
        .await;
        eventually("the end of the connection", || !node.nodes(peerl_node::Nodes::Connected).contains(&name(&beam)))
            .await;

        let upcased: String =
            hidden.call(&name(&beam), Mfa::new("Elixir.String", "upcase", ("größe",)).unwrap()).await.unwrap();
        assert_eq!(upcased, "GRÖSSE");
        conformance::holds(otp, [46, 65]);
    }
}

/// The program of this project's predecessor: it queries every node, and distributes all work, with peerl nodes among
/// them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_eval() {
    let stage = Stage::new();
    for otp in matrix() {
        let nodes = [stage.node().await, stage.node().await];
        for node in &nodes {
            let own = node.name().to_string();
            node.export("Elixir.Work", "at", move |(n,): (u32,)| {
                let own = own.clone();
                async move { Ok::<_, peerl_node::Exception>((n, own)) }
            })
            .unwrap();
        }
        let beam = Beam::elixir(otp).epmd(&stage.epmd).start_async().await;
        for node in &nodes {
            elixir(&beam, node, "Node.connect(NODE)").await;
        }
        let done = elixir(
            &beam,
            &nodes[0],
            "defmodule Work do def at(n), do: {n, to_string(node())} end
             done = :rpc.parallel_eval(for n <- 1..60, do: {Work, :at, [n]})
             {Enum.map(done, &elem(&1, 0)) == Enum.to_list(1..60), done |> Enum.map(&elem(&1, 1)) |> Enum.uniq() |> length()}",
        );
        assert_eq!(done.await, "{true, 3}");
    }
}
