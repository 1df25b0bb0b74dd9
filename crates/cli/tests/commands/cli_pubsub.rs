//! `peerl publish` and `peerl subscribe`, with BEAM nodes that speak as phoenix_pubsub does.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, Otp, PHOENIX, ProcessGuard, matrix};

const NAME: [&str; 4] = ["--pubsub", "MyApp.PubSub", "--topic", "orders"];

fn phoenix(cluster: &Cluster, otp: Otp, pool: u32) -> Beam {
    let beam = Beam::elixir(otp).epmd(&cluster.epmd).start();
    beam.eval_elixir(&format!("{PHOENIX}; :ok")).unwrap();
    beam.eval_elixir(&format!("StandIn.start(MyApp.PubSub, {pool}); StandIn.listen(:orders, \"orders\")")).unwrap();
    beam
}

/// Two nodes with pools of these sizes that know each other's workers.
fn pair(cluster: &Cluster, otp: Otp, pools: [u32; 2]) -> [Beam; 2] {
    let beams = pools.map(|pool| phoenix(cluster, otp, pool));
    assert!(beams[0].ping(beams[1].name()));
    for beam in &beams {
        until(beam, "length(StandIn.members(MyApp.PubSub, 1))", "2");
    }
    beams
}

fn until(beam: &Beam, expression: &str, value: &str) {
    let end = std::time::Instant::now() + A_WHILE;
    loop {
        let found = beam.eval_elixir(expression).unwrap();
        if found == value {
            return;
        }
        assert!(std::time::Instant::now() < end, "{expression} is {found}, not {value}");
    }
}

fn lines(names: &[&Beam]) -> String {
    let mut names: Vec<&str> = names.iter().map(|beam| beam.name()).collect();
    names.sort_unstable();
    format!("{}\n", names.join("\n"))
}

#[test]
fn published_messages_reach_the_whole_cluster() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [first, second] = pair(&cluster, otp, [2, 1]);
        let publish = |more: &[&str]| cluster.run(&[&["publish"], &NAME[..], &["--node", first.name()], more].concat());
        assert_eq!(publish(&["--message", "{:order_created, 7}"]).ok(), lines(&[&first, &second]));
        assert_eq!(publish(&["--message", "[{erlang, \"text\"}]"]).ok(), lines(&[&first, &second]));
        publish(&["--event", "new_msg", "--message", "%{body: \"hi\"}"]).ok();
        for beam in [&first, &second] {
            let heard = "[{:order_created, 7}, [{:erlang, 'text'}], {:pushed, \"new_msg\", %{body: \"hi\"}}]";
            until(beam, &format!("StandIn.heard(:orders) == {heard}"), "true");
            // Nobody is left behind.
            until(beam, "length(StandIn.members(MyApp.PubSub, 1))", "2");
            until(beam, "Node.list(:hidden)", "[]");
        }
        let json = publish(&["--message", "1", "--format", "json"]).ok();
        assert!(json.contains(&format!("\"{}\"", second.name())) && json.contains("\"failed\":[]"), "{json}");

        // What cannot be.
        let unknown = ["publish", "--pubsub", "Other", "--topic", "t", "--message", "1", "--node", first.name()];
        let unknown = cluster.run(&unknown);
        assert_eq!(unknown.code, 1);
        assert!(
            unknown.err.contains("knows no PubSub Other") && unknown.err.contains("it knows MyApp.PubSub"),
            "{unknown:?}"
        );
        assert_eq!(publish(&["--message", "{:a"]).code, 64);
        let (_worker, worker) = cluster.worker(&[]);
        let none = cluster.run(&[&["publish"], &NAME[..], &["--node", &worker, "--message", "1"]].concat());
        assert!(none.code == 1 && none.err.contains("phoenix_pubsub"), "{none:?}");
    }
}

#[test]
fn subscribed_messages_come_from_the_whole_cluster() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let [first, second] = pair(&cluster, otp, [2, 1]);
        let arguments = [&["subscribe"], &NAME[..], &["--node", first.name(), "--count", "5"]].concat();
        let subscriber = ProcessGuard::spawn(&mut cluster.command(&arguments));
        subscriber.wait_for_error_line("subscribed to orders at 2 nodes", A_WHILE);
        let broadcast = |beam: &Beam, message: &str, group: u32| {
            beam.eval_elixir(&format!("StandIn.broadcast(MyApp.PubSub, \"orders\", {message}, {group})")).unwrap();
            subscriber.wait_for_line(message, A_WHILE);
        };
        broadcast(&first, "{:order_created, 7}", 1);
        broadcast(&first, "%{second: \"group\"}", 2);
        broadcast(&second, "[1.5, nil]", 1);
        // One that comes later.
        let third = phoenix(&cluster, otp, 1);
        assert!(third.ping(first.name()));
        until(&third, "Enum.any?(StandIn.members(MyApp.PubSub, 1), &(inspect(node(&1)) =~ \"remsh_peerl\"))", "true");
        broadcast(&third, "\"late\"", 1);
        assert!(subscriber.is_running());
        broadcast(&second, "\"a\\nb\"", 1);
        assert!(subscriber.wait(A_WHILE).success());
        for beam in [&first, &second, &third] {
            until(beam, "Node.list(:hidden)", "[]");
            until(beam, "Enum.all?(StandIn.members(MyApp.PubSub, 1), & node(&1) in [node() | Node.list()])", "true");
        }
    }
}

#[test]
fn one_publishes_and_another_subscribes() {
    let cluster = Cluster::start();
    let [first, second] = pair(&cluster, matrix()[0], [1, 1]);
    let arguments = [&["subscribe"], &NAME[..], &["--node", first.name(), "--count", "1", "--format", "json"]].concat();
    let subscriber = ProcessGuard::spawn(&mut cluster.command(&arguments));
    until(&second, "length(StandIn.members(MyApp.PubSub, 1))", "3");
    let message = ["--message", "%{id: 7}", "--node", second.name()];
    // The one that subscribes is a guest, which only the node can reach.
    assert_eq!(cluster.run(&[&["publish"], &NAME[..], &message].concat()).ok().lines().count(), 3);
    subscriber.wait_for_line("{\"id\":7}", A_WHILE);
    assert!(subscriber.wait(A_WHILE).success());
}
