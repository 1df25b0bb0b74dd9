//! Hidden workers and programs that count nodes: what works, and which lists exclude them.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, matrix};

/// The messages of `net_kernel:monitor_nodes/2` about a node, for a while.
fn watch(beam: &Beam) {
    let watch = "Self = self(),
                 spawn(fun() ->
                     register(watch, self()),
                     net_kernel:monitor_nodes(true),
                     net_kernel:monitor_nodes(true, [{node_type, all}]),
                     Self ! watching,
                     receive {ask, From} -> From ! process_info(self(), messages) end
                 end),
                 receive watching -> ok end";
    assert_eq!(beam.eval(watch).unwrap(), "ok");
}

fn seen(beam: &Beam) -> String {
    beam.eval("watch ! {ask, self()}, receive {messages, Seen} -> Seen after 20000 -> timeout end").unwrap()
}

#[test]
fn a_hidden_worker_is_called_by_name_and_counted_by_nobody_who_asks_for_visible_nodes() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beams = [Beam::elixir(otp), Beam::erlang(otp)].map(|builder| builder.epmd(&cluster.epmd).start());
        let [beam, other] = &beams;
        watch(beam);
        let options = ["--hidden", "--node", beam.name()];
        let (_hidden, name) = cluster.worker(&options);
        let (_second, second) = cluster.worker(&[&options[..], &["--node", &name]].concat());
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            names.sort();
            format!("[{}]", names.join(","))
        };
        beam.wait_for("lists:sort(nodes(hidden))", &sorted(&[&name, &second]), A_WHILE);

        // `nodes()`, which Horde, syn and `Node.list()` use.
        assert_eq!(beam.eval("nodes()").unwrap(), "[]");
        assert_eq!(beam.eval_elixir("Node.list([:visible, :this]) == [node()]").unwrap(), "true");
        let each = "for n <- Node.list(), do: :erpc.call(n, fn -> :done end)";
        assert_eq!(beam.eval_elixir(each).unwrap(), "[]");
        // `nodes(connected)`, which Swarm and libring use, includes them.
        assert_eq!(beam.eval_elixir("length(Node.list(:connected))").unwrap(), "2");
        let events = seen(beam);
        assert!(!events.contains(&format!("{{nodeup,'{name}'}}")), "{events}");
        assert!(events.contains(&format!("{{nodeup,'{name}',")), "{events}");

        // Calls by name.
        assert_eq!(beam.eval(&format!("rpc:call('{name}', peerl, echo, [x])")).unwrap(), "x");
        assert_eq!(beam.eval(&format!("erpc:call('{name}', peerl, echo, [{{y, 1}}])")).unwrap(), "{y,1}");
        assert_eq!(
            beam.eval(&format!("rpc:multicall(['{name}', '{second}'], peerl, echo, [z])")).unwrap(),
            "{[z,z],[]}"
        );
        assert_eq!(beam.eval_elixir(&format!("Node.ping(:\"{name}\")")).unwrap(), ":pong");
        let monitored = format!(
            "monitor_node('{second}', true), rpc:call('{second}', erlang, disconnect_node, [node()]),
             receive {{nodedown, Node}} -> Node =:= '{second}' after 20000 -> timeout end"
        );
        assert_eq!(beam.eval(&monitored).unwrap(), "true");

        // `global` and its locks ignore it, and the members of the mesh are unaffected.
        assert!(beam.ping(other.name()));
        assert_eq!(beam.eval("global:sync()").unwrap(), "ok");
        assert_eq!(beam.eval("global:register_name(somebody, self())").unwrap(), "yes");
        assert_eq!(beam.eval("global:set_lock({some, self()}, [node() | nodes()], 0)").unwrap(), "true");
        assert_eq!(other.eval("nodes(hidden)").unwrap(), "[]", "nobody is told of it");

        // Discovery and the command line find it.
        let found = cluster.run(&["discover", "epmd:127.0.0.1"]).ok();
        assert!(found.contains(&name) && found.contains(&second), "{found}");
        assert_eq!(cluster.run(&["call", &name, "peerl:echo(here)"]).ok().trim(), "here");
        let items = cluster.write("items", "1\n2\n3\n");
        let pmap = ["pmap", "peerl:echo(_)", "--items", &items, "--node", &name, "--node", &second];
        let lines = cluster.run(&pmap).ok();
        assert!(lines.lines().count() >= 3, "{lines}");
    }
}

#[test]
fn a_visible_worker_is_counted_and_refuses_what_it_does_not_serve() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = Beam::elixir(otp).epmd(&cluster.epmd).start();
        let (_worker, name) = cluster.worker(&["--node", beam.name()]);
        beam.wait_for("nodes()", &format!("['{name}']"), A_WHILE);
        // A fun of the caller's module cannot run there: in a loop over all nodes, each call fails.
        let call = format!("try do\n :erpc.call(:\"{name}\", fn -> :done end)\nrescue\n _ -> :raised\nend");
        assert_eq!(beam.eval_elixir(&call).unwrap(), ":raised");
        // syn 2 queries the registry of each visible node, and expects `ok` of each in a conflict.
        let badrpc = format!("element(1, rpc:call('{name}', syn_registry, add_to_local_table, []))");
        assert_eq!(beam.eval(&badrpc).unwrap(), "badrpc");
        // Swarm queries the applications of each node, and leaves out nodes that do not run Swarm.
        let applications = format!("rpc:call('{name}', application, which_applications, [])");
        assert_eq!(beam.eval(&applications).unwrap(), "[]");
    }
}
