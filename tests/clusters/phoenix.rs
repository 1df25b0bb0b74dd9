//! Phoenix.PubSub between our nodes and BEAM nodes that speak as phoenix_pubsub does.

use crate::stage::{LIMIT, Stage, eventually, name};
use peerl::phoenix::{Event, NodePubSub, PubSub, Received, StartError, Subscription, SubscriptionEnded};
use peerl::{Node, Term};
use peerl_test_support::{Beam, Otp, PHOENIX, conformance, matrix};

const NAME: &str = "MyApp.PubSub";

/// A BEAM node with a pool of this size, connected to the node.
async fn phoenix(stage: &Stage, otp: Otp, node: &Node, pool: u32) -> Beam {
    let beam = Beam::elixir(otp).epmd(&stage.epmd).start_async().await;
    beam.eval_elixir_async(format!("{PHOENIX}; :ok")).await.unwrap();
    assert_eq!(elixir(&beam, &format!("StandIn.start(MyApp.PubSub, {pool})")).await, ":ok");
    node.connect(&name(&beam)).await.unwrap();
    beam
}

async fn elixir(beam: &Beam, expression: &str) -> String {
    beam.eval_elixir_async(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
}

/// Waits until the expression has this value.
async fn until(beam: &Beam, expression: &str, value: &str) {
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        let found = elixir(beam, expression).await;
        if found == value {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "{expression} is {found}, not {value}");
    }
}

/// Waits until there are workers of so many other nodes.
async fn workers(pubsub: &PubSub, count: usize) {
    let group = Term::Atom(pubsub.pool().first().clone());
    eventually("all workers are known", || pubsub.scope().members(&group).len() == count + 1).await;
}

async fn next(subscription: &mut Subscription) -> Received {
    tokio::time::timeout(LIMIT, subscription.recv()).await.expect("a message").unwrap()
}

async fn next_term(subscription: &mut Subscription) -> Term {
    next(subscription).await.message.decode().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_both_ways() {
    for otp in matrix() {
        let stage = Stage::new();
        let (node, other) = (stage.node().await, stage.node().await);
        let pubsub = node.pubsub(NAME).await.unwrap();
        let mut beams = Vec::new();
        for _ in 0..2 {
            let beam = phoenix(&stage, otp, &node, 1).await;
            assert_eq!(elixir(&beam, "StandIn.listen(:orders, \"orders\")").await, ":ok");
            assert_eq!(elixir(&beam, "StandIn.listen(:news, \"news\")").await, ":ok");
            beams.push(beam);
        }
        other.connect(node.name()).await.unwrap();
        let second = PubSub::start(&other, NAME).await.unwrap();
        workers(&pubsub, 3).await;

        // Ours reach each other node once, in their order, and this one; other topics hear nothing.
        let (mut here, mut there) = (pubsub.subscribe("orders"), second.subscribe("orders"));
        for number in 0..100 {
            assert_eq!(pubsub.broadcast("orders", &("order", number)).await.unwrap(), 3);
        }
        for beam in &beams {
            until(beam, "StandIn.heard(:orders) == (for n <- 0..99, do: {\"order\", n})", "true").await;
            assert_eq!(elixir(beam, "StandIn.heard(:news)").await, "[]");
        }
        for number in 0..100 {
            let expected = Term::tuple([Term::from("order"), Term::from(number)]);
            assert_eq!(next_term(&mut here).await, expected);
            assert_eq!(next_term(&mut there).await, expected);
        }

        // Theirs come once.
        let mut news = pubsub.subscribe("news");
        for beam in &beams {
            elixir(beam, "for n <- 1..100, do: StandIn.broadcast(MyApp.PubSub, \"news\", {:item, n, %{text: \"é\"}})")
                .await;
            for number in 1..=100 {
                let received = next(&mut news).await;
                let text = Term::map([(Term::atom("text"), Term::from("é"))]);
                let expected = Term::tuple([Term::atom("item"), Term::from(number), text]);
                assert_eq!((received.topic.as_str(), received.message.decode().unwrap()), ("news", expected));
                assert_eq!(received.dispatcher.as_str(), PubSub::DISPATCHER);
            }
        }
        // To this node alone, by the name of the group.
        let direct = format!("StandIn.direct(MyApp.PubSub, :\"{}\", \"news\", :only_here)", node.name());
        elixir(&beams[0], &direct).await;
        assert_eq!(next_term(&mut news).await, Term::atom("only_here"));

        // Who is gone is a worker no longer, and one that has been stopped receives nothing any more.
        beams.remove(0).kill();
        workers(&pubsub, 2).await;
        assert_eq!(pubsub.broadcast("orders", &1).await.unwrap(), 2);
        assert_eq!(next_term(&mut there).await, Term::from(1));
        second.stop().await;
        assert_eq!(there.recv().await.unwrap_err(), SubscriptionEnded::PubSub);
        workers(&pubsub, 1).await;
        conformance::holds(otp, [65]);
    }
}

/// A node broadcasts to any group of its pool, and the pools of two nodes may have different sizes while they are changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_group_of_a_pool() {
    for otp in matrix() {
        let stage = Stage::new();
        let node = stage.node().await;
        let large = phoenix(&stage, otp, &node, 4).await;
        let pubsub = node.pubsub(NAME).await.unwrap();
        let small = phoenix(&stage, otp, &node, 1).await;
        for beam in [&large, &small] {
            assert_eq!(elixir(beam, "StandIn.listen(:orders, \"orders\")").await, ":ok");
        }
        workers(&pubsub, 2).await;
        let mut orders = pubsub.subscribe("orders");
        let own = |number: u32| {
            format!("StandIn.members(MyApp.PubSub, {number}) |> Enum.any?(&(node(&1) == :\"{}\"))", node.name())
        };
        for size in [4, 6] {
            assert_eq!(elixir(&large, &format!("StandIn.start(MyApp.PubSub, {size})")).await, ":ok");
            for number in 1..=size {
                until(&large, &own(number), "true").await;
                elixir(&large, &format!("StandIn.broadcast(MyApp.PubSub, \"orders\", {number}, {number})")).await;
                assert_eq!(next_term(&mut orders).await, Term::from(number));
            }
        }
        // Each node gets ours once, whatever its pool.
        assert_eq!(pubsub.broadcast("orders", &7).await.unwrap(), 2);
        until(&large, "StandIn.heard(:orders) == [7]", "true").await;
        until(&small, "7 in StandIn.heard(:orders)", "true").await;
        assert_eq!(elixir(&small, "Enum.count(StandIn.heard(:orders), & &1 == 7)").await, "1");

        // One on phoenix_pubsub 2.1.0, which names the first group otherwise.
        let old = Beam::elixir(otp).epmd(&stage.epmd).start_async().await;
        old.eval_elixir_async(format!("{PHOENIX}; StandIn.start(MyApp.PubSub, 1, :numbered)")).await.unwrap();
        assert_eq!(elixir(&old, "StandIn.listen(:orders, \"orders\")").await, ":ok");
        node.connect(&name(&old)).await.unwrap();
        let group = peerl::Atom::new("Elixir.MyApp.PubSub.Adapter_1").unwrap();
        eventually("it is known", || pubsub.scope().members(&Term::Atom(group.clone())).len() == 2).await;
        assert_eq!(pubsub.broadcast("orders", &8).await.unwrap(), 3);
        until(&old, "StandIn.heard(:orders) == [8]", "true").await;
        let broadcast = "for pid <- :pg.get_members(Phoenix.PubSub, MyApp.PubSub.Adapter_1), node(pid) != node(),
            do: send(pid, {:forward_to_local, \"orders\", :of_old, Phoenix.PubSub})";
        until(&old, "length(:pg.get_members(Phoenix.PubSub, MyApp.PubSub.Adapter_1))", "2").await;
        elixir(&old, broadcast).await;
        for expected in [Term::from(7), Term::from(8), Term::atom("of_old")] {
            assert_eq!(next_term(&mut orders).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_channels() {
    for otp in matrix() {
        let stage = Stage::new();
        let node = stage.node().await;
        let pubsub = node.pubsub(NAME).await.unwrap();
        let beam = phoenix(&stage, otp, &node, 1).await;
        assert_eq!(elixir(&beam, "StandIn.listen(:room, \"room:1\")").await, ":ok");
        workers(&pubsub, 1).await;
        let payload = Term::map([(Term::atom("body"), Term::from("hi"))]);
        let event = Event { topic: "room:1".to_owned(), event: "new_msg".to_owned(), payload };
        let mut room = pubsub.subscribe("room:1");
        assert_eq!(pubsub.broadcast_event(event.clone()).await.unwrap(), 1);
        assert_eq!(next(&mut room).await.event(), Some(event.clone()));
        until(&beam, "StandIn.heard(:room) == [{:pushed, \"new_msg\", %{body: \"hi\"}}]", "true").await;
        // To all that subscribe by themselves it is the struct.
        pubsub.broadcast("room:1", &Term::from(event.clone())).await.unwrap();
        let expected = "%Phoenix.Socket.Broadcast{topic: \"room:1\", event: \"new_msg\", payload: %{body: \"hi\"}}";
        until(&beam, &format!("List.last(StandIn.heard(:room)) == {expected}"), "true").await;
        assert_eq!(next(&mut room).await.event(), Some(event.clone()));
        let broadcast = format!("StandIn.broadcast(MyApp.PubSub, \"room:1\", {expected}, 1, Phoenix.Channel.Server)");
        elixir(&beam, &broadcast).await;
        let received = next(&mut room).await;
        assert_eq!((received.event(), received.dispatcher.as_str()), (Some(event), Event::DISPATCHER));
    }
}

/// A peer ends the processes of a PubSub: it goes on, and so do others on its scope.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_a_peer_ends() {
    for otp in matrix() {
        let stage = Stage::new();
        let node = stage.node().await;
        let pubsub = node.pubsub(NAME).await.unwrap();
        let second = PubSub::on(&node, pubsub.scope(), ":other").await.unwrap();
        let beam = phoenix(&stage, otp, &node, 2).await;
        assert_eq!(elixir(&beam, "StandIn.listen(:orders, \"orders\")").await, ":ok");
        workers(&pubsub, 1).await;
        let mut orders = pubsub.subscribe("orders");
        let ended = [
            ("Phoenix.PubSub", ":kill"),
            ("Phoenix.PubSub", ":shutdown"),
            ("Phoenix.PubSub", ":some_reason"),
            ("MyApp.PubSub.Adapter", ":kill"),
        ];
        for (number, (name, reason)) in ended.into_iter().enumerate() {
            let scope = pubsub.scope().pid();
            let end = format!("Process.exit(:erpc.call(:\"{}\", :erlang, :whereis, [{name}]), {reason})", node.name());
            assert_eq!(elixir(&beam, &end).await, "true");
            if name == "Phoenix.PubSub" {
                eventually("another scope process", || pubsub.scope().pid() != scope).await;
            }
            // Each side knows the workers of the other again.
            let group = Term::Atom(second.pool().first().clone());
            eventually("the second one has joined", || second.scope().members(&group).len() == 1).await;
            workers(&pubsub, 1).await;
            let has_joined = format!(
                "Enum.all?(1..2, &(Enum.any?(StandIn.members(MyApp.PubSub, &1), fn pid -> node(pid) == :\"{}\" end)))",
                node.name()
            );
            until(&beam, &has_joined, "true").await;
            assert_eq!(pubsub.broadcast("orders", &number).await.unwrap(), 1);
            until(&beam, &format!("List.last(StandIn.heard(:orders)) == {number}"), "true").await;
            assert_eq!(next_term(&mut orders).await, Term::from(number));
            for group in 1..=2 {
                elixir(&beam, &format!("StandIn.broadcast(MyApp.PubSub, \"orders\", {{:from, {group}}}, {group})"))
                    .await;
                assert_eq!(next_term(&mut orders).await, Term::tuple([Term::atom("from"), Term::from(group)]));
            }
        }
        pubsub.stop().await;
        assert!(node.pubsub(NAME).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_of_a_node() {
    let stage = Stage::new();
    let node = stage.node().await;
    let first = node.pubsub(NAME).await.unwrap();
    let second = PubSub::on(&node, first.scope(), ":other").await.unwrap();
    assert!(matches!(PubSub::on(&node, first.scope(), NAME).await, Err(StartError::Taken(_))));
    assert!(matches!(node.pubsub("no name").await, Err(StartError::Name(_))));
    let (mut of_first, mut of_second) = (first.subscribe("t"), second.subscribe("t"));
    first.broadcast("t", &1).await.unwrap();
    second.broadcast("t", &2).await.unwrap();
    assert_eq!((next_term(&mut of_first).await, next_term(&mut of_second).await), (Term::from(1), Term::from(2)));
    drop(second);
    assert_eq!(of_second.recv().await.unwrap_err(), SubscriptionEnded::PubSub);
    eventually("its group is gone", || first.scope().groups().len() == 1).await;
    first.stop().await;
    assert!(node.pubsub(NAME).await.is_ok());
}
