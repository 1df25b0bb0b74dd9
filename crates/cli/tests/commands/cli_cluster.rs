//! The command line in a cluster with BEAM nodes.

use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster, Pages};
use peerl_cli::page_client::Sum;
use peerl_test_support::{Beam, Otp, ProcessGuard, Request, matrix, unique_name};

#[test]
fn call_in_both_syntaxes() {
    let cluster = Cluster::start();
    for otp in matrix() {
        let beam = Beam::elixir(otp).epmd(&cluster.epmd).start();
        let call =
            |arguments: &[&str]| cluster.run(&[&["call", beam.name()], arguments].concat()).ok().trim_end().to_owned();
        let (erlang, elixir) =
            ("lists:reverse([1, {a, \"s\"}, <<\"b\">>])", ":lists.reverse([1, {:a, ~c\"s\"}, \"b\"])");
        assert_eq!(call(&[erlang]), "[<<\"b\">>,{a,\"s\"},1]");
        assert_eq!(call(&[elixir]), "[\"b\", {:a, ~c\"s\"}, 1]");
        assert_eq!(call(&[erlang, "--format", "elixir"]), call(&[elixir]));
        assert_eq!(call(&[elixir, "--format", "erlang"]), call(&[erlang]));
        assert_eq!(call(&["String.upcase(\"hé\")"]), "\"HÉ\"");
        assert_eq!(call(&["'Elixir.Enum':sum([1, 2])"]), "3");
        assert_eq!(call(&["maps:from_list([{k, 1}])", "--format", "json"]), "{\"k\":1}");
        assert_eq!(
            call(&["erlang:hd([{ok, #{1 => <<255>>}, self, undefined, \"s\"}])", "--format", "json"]),
            "[\"ok\",{\"1\":{\"$binary\":\"/w==\"}},\"self\",null,[115]]"
        );
        assert_eq!(call(&["erlang:node()"]), format!("'{}'", beam.name()));
        assert_eq!(call(&["math:pow(2, 0.5)", "--timeout", "10s"]), "1.4142135623730951");
    }
}

#[test]
fn what_the_function_prints_is_shown() {
    let cluster = Cluster::start();
    let beam = Beam::elixir(Otp::V25).epmd(&cluster.epmd).start();
    let call = |arguments: &[&str]| cluster.run(&[&["call", beam.name()], arguments].concat());
    assert_eq!(call(&["io:format(\"hi ~p~n\", [1])"]).ok(), "hi 1\nok\n");
    assert_eq!(call(&["IO.write(\"hé\")"]).ok(), "hé\n:ok\n");
    let ran = call(&["io:format(\"hi~n\")", "--format", "json"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("\"ok\"\n", "hi\n"));
}

#[test]
fn guests_leave_no_trace_in_the_cluster() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    assert_eq!(cluster.run(&["call", beam.name(), "erlang:nodes()"]).ok().trim(), "[]");
    let hidden = cluster.run(&["call", beam.name(), "erlang:nodes(hidden)"]).ok();
    assert!(hidden.contains("peerl_"), "{hidden}");
    beam.wait_for("nodes(hidden)", "[]", A_WHILE);
    assert_eq!(cluster.epmd.names().len(), 1);
}

#[test]
fn ping_names_nodes_and_discover_agree() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let (_worker, worker) = cluster.worker(&["--discover", "epmd:127.0.0.1"]);
    beam.wait_for("nodes()", &format!("['{worker}']"), A_WHILE);
    let mut expected = vec![beam.name().to_owned(), worker.clone()];
    expected.sort();
    let names_of = |ran: crate::cluster::Ran, key: &str| -> Vec<String> {
        assert_eq!(ran.code, 0, "{ran:?}");
        let rows = ran.json();
        let mut names: Vec<String> =
            rows.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let json = |arguments: &[&str]| cluster.run(&[arguments, &["--format", "json"]].concat());
    let names = names_of(json(&["names"]), "name");
    assert_eq!(names, expected.iter().map(|name| name.split('@').next().unwrap()).collect::<Vec<_>>());
    assert_eq!(names_of(json(&["names", "127.0.0.1"]), "name"), names);
    assert_eq!(names_of(json(&["discover", "epmd:127.0.0.1"]), "node"), expected);
    assert_eq!(names_of(json(&["discover", "--discover", "epmd:127.0.0.1"]), "node"), expected);
    assert_eq!(names_of(json(&["nodes", beam.name()]), "node"), expected);
    assert_eq!(names_of(json(&["nodes", &worker]), "node"), expected);
    assert_eq!(names_of(json(&["ping", beam.name(), &worker]), "node"), expected);
    let some = cluster.run(&["ping", beam.name(), "nobody@127.0.0.1"]);
    assert_eq!(some.code, 2, "{some:?}");
    assert!(some.out.contains("pong") && some.out.contains("pang"), "{some:?}");
    assert_eq!(cluster.run(&["ping", "nobody@127.0.0.1", "none@127.0.0.1"]).code, 1);
}

#[test]
fn a_worker_serves_beams_and_drains_at_sigterm() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let (worker, name) = cluster.worker(&["--node", beam.name(), "--format", "json", "--admin", "127.0.0.1:0"]);
        let ready: serde_json::Value = serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap();
        assert_eq!(ready["name"], name);
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        assert!(cluster.epmd.names().contains(&(name.split('@').next().unwrap().to_owned(), port)));
        beam.wait_for("nodes()", &format!("['{name}']"), A_WHILE);

        let rpc = |call: &str| beam.eval(&format!("rpc:call('{name}', {call})")).unwrap();
        assert_eq!(rpc("erlang, node, []"), format!("'{name}'"));
        assert_eq!(rpc("peerl, echo, [{a, \"b\", [1|2], #{}}]"), "{a,\"b\",[1|2],#{}}");
        assert_eq!(
            rpc("crypto, hash, [sha256, [\"a\", <<\"bc\">>]]"),
            beam.eval("crypto:hash(sha256, \"abc\")").unwrap()
        );
        assert_eq!(rpc("crypto, hash, [rot13, <<>>]").split(',').take(3).collect::<String>(), "{badrpc{'EXIT'{badarg");
        assert_eq!(rpc("erlang, nodes, []"), format!("['{}']", beam.name()));
        assert_eq!(rpc("erlang, nodes, [[this, hidden]]"), format!("['{name}']"));
        assert_eq!(rpc("erlang, disconnect_node, ['nobody@127.0.0.1']"), "false");
        assert_eq!(rpc("os, cmd, [\"id\"]").split(',').take(3).collect::<String>(), "{badrpc{'EXIT'{undef");
        assert_eq!(
            beam.eval(&format!(
                "T = rpc:call('{name}', erlang, memory, []), is_integer(proplists:get_value(total, T))"
            ))
            .unwrap(),
            "true"
        );
        assert_eq!(rpc("erlang, system_info, [{wordsize, external}]"), "8");
        assert_eq!(rpc("timer, sleep, [10]"), "ok");
        assert!(rpc("peerl, functions, []").contains("{peerl_page,checksum,2}"));

        // A call that is pending when the signal arrives is answered; a later one is refused.
        let slow = beam.eval_within_async(format!("erpc:call('{name}', timer, sleep, [8000])"), A_WHILE);
        let slow = std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(slow));
        wait_for_a_call(&ready);
        worker.sigterm();
        beam.wait_for(&is_refused(&name), "true", A_WHILE);
        assert_eq!(slow.join().unwrap().unwrap(), "ok");
        assert_eq!(worker.wait(A_WHILE).code(), Some(0), "{}", worker.stderr());
        assert_eq!(cluster.epmd.names().len(), 1, "the name is given back");
        beam.wait_for("nodes()", "[]", A_WHILE);
    }
}

#[test]
fn a_hidden_worker_works_unseen() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let (_worker, name) = cluster.worker(&["--hidden", "--node", beam.name()]);
    beam.wait_for("nodes(hidden)", &format!("['{name}']"), A_WHILE);
    assert_eq!(beam.eval("nodes()").unwrap(), "[]");
    assert_eq!(beam.eval(&format!("erpc:call('{name}', peerl, echo, [1])")).unwrap(), "1");
    let row = &cluster.run(&["nodes", beam.name(), "--format", "json"]).json()[1];
    assert_eq!((row["node"].as_str(), row["kind"].as_str()), (Some(name.as_str()), Some("hidden")));
}

#[test]
fn the_log_is_text_or_json_and_as_much_as_wanted() {
    let cluster = Cluster::start();
    let log = |options: &[&str], awaited: &str| {
        let (worker, name) = cluster.worker(&[options, &["--node", "nobody@127.0.0.1"]].concat());
        if awaited.is_empty() {
            std::thread::sleep(Duration::from_millis(300));
        } else {
            worker.wait_for_error_line(awaited, A_WHILE);
        }
        worker.sigterm();
        assert!(worker.wait(A_WHILE).success(), "{name}");
        worker.stderr()
    };
    log(&[], "WARN there is no node nobody@127.0.0.1");
    assert_eq!(log(&["-q"], ""), "");
    log(&["-vv"], "DEBUG");
    let json = log(&["--log-format", "json"], "there is no node nobody@127.0.0.1");
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "WARN");
}

/// Waits until a worker with an admin endpoint has a call under way; given is the line with which it was ready.
fn wait_for_a_call(ready: &serde_json::Value) {
    let end = Instant::now() + A_WHILE;
    let admin = ready["admin"].as_str().unwrap();
    let metrics = || Request::new("GET", "/metrics").send(admin).unwrap().body_text();
    while !metrics().lines().any(|line| line == "peerl_node_calls_active 1") {
        assert!(Instant::now() < end, "a call: {}", metrics());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a call of that node is refused, to which it is still connected.
fn is_refused(node: &str) -> String {
    format!("rpc:call('{node}', erlang, node, []) =:= {{badrpc, nodedown}} andalso lists:member('{node}', nodes())")
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let (worker, name) = cluster.worker(&["--node", beam.name(), "--format", "json", "--admin", "127.0.0.1:0"]);
    beam.eval(&format!("spawn(fun() -> erpc:call('{name}', timer, sleep, [infinity]) end), ok")).unwrap();
    wait_for_a_call(&serde_json::from_str(worker.stdout().lines().next().unwrap()).unwrap());
    worker.sigterm();
    beam.wait_for(&is_refused(&name), "true", A_WHILE);
    assert!(worker.is_running(), "it waits for the call");
    worker.sigterm();
    assert_eq!(worker.wait(A_WHILE).code(), Some(0));
}

#[test]
fn workers_find_each_other_and_come_back() {
    let cluster = Cluster::start();
    let discover = ["--discover", "epmd:127.0.0.1", "--interval", "300ms"];
    let (first, first_name) = cluster.worker(&discover);
    let (_second, second_name) = cluster.worker(&discover);
    let seen_by = |name: &str| cluster.run(&["call", name, "erlang:nodes()"]).out;
    let wait_for = |of: &str, nodes: &str| {
        let end = Instant::now() + A_WHILE;
        while seen_by(of).trim() != nodes {
            assert!(Instant::now() < end, "{of} sees {} and not {nodes}", seen_by(of));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait_for(&second_name, &format!("['{first_name}']"));
    first.kill();
    first.wait(A_WHILE);
    wait_for(&second_name, "[]");
    let arguments = [&["worker", "--name", &first_name, "--listen", "127.0.0.1"], &discover[..]].concat();
    let again = ProcessGuard::spawn(&mut cluster.command(&arguments));
    again.wait_for_line("ready", A_WHILE);
    wait_for(&second_name, &format!("['{first_name}']"));
}

#[test]
fn a_mesh_outlives_its_epmd() {
    let cluster = Cluster::start();
    // With another setting the workers would soon run an EPMD themselves.
    let discover = ["--discover", "epmd:127.0.0.1", "--interval", "200ms", "--epmd", "external"];
    let (_first, first) = cluster.worker(&discover);
    let (_second, second) = cluster.worker(&discover);
    let port = cluster.epmd.port().to_string();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    beam.wait_for("length(nodes())", "2", A_WHILE);
    beam.wait_for(&format!("length(rpc:call('{first}', erlang, nodes, []))"), "2", A_WHILE);
    let seen = || beam.eval(&format!("{{nodes(), rpc:call('{first}', erlang, nodes, [])}}")).unwrap();
    let before = seen();
    cluster.epmd.kill();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(seen(), before, "a poll that fails ends no connection");
    cluster.epmd.restart();
    let end = Instant::now() + A_WHILE;
    while cluster.epmd.names().len() < 3 {
        assert!(Instant::now() < end, "all are registered again at {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(seen(), before);
    // A node that starts later is found, too.
    let (_third, third) = cluster.worker(&discover);
    for node in [&first, &second] {
        beam.wait_for(&format!("lists:member('{third}', rpc:call('{node}', erlang, nodes, []))"), "true", A_WHILE);
    }
}

#[test]
fn an_epmd_of_ours_serves_a_cluster() {
    let cluster = Cluster::start();
    let epmd = ProcessGuard::spawn(&mut cluster.command(&["epmd", "--port", "0", "--address", "127.0.0.1"]));
    let port = epmd.wait_for_line("ready ", A_WHILE).trim_start_matches("ready ").parse().unwrap();
    let beam = Beam::erlang(Otp::V25).epmd_port(port).start();
    let mut command = cluster.command(&["ping", beam.name()]);
    command.env("ERL_EPMD_PORT", port.to_string());
    assert!(crate::cluster::run(command).ok().contains("pong"));
    epmd.sigterm();
    assert_eq!(epmd.wait(A_WHILE).code(), Some(0));
}

#[test]
fn without_any_epmd() {
    let cluster = Cluster::start();
    let port = peerl_test_support::free_port();
    let name = format!("{}@127.0.0.1", unique_name("w"));
    let none = ["--epmd", "none", "--dist-port"];
    let port = port.to_string();
    let arguments = [&["worker", "--name", &name, "--listen", "127.0.0.1"], &none[..], &[&port]].concat();
    let worker = ProcessGuard::spawn(&mut cluster.command(&arguments));
    worker.wait_for_line(&format!("ready {name} {port}"), A_WHILE);
    assert!(cluster.epmd.names().is_empty());
    assert_eq!(
        cluster.run(&["call", &name, "erlang:node()", "--epmd", "none", "--dist-port", &port]).ok().trim(),
        format!("'{name}'")
    );
}

/// The code of the Elixir application that peerl's workers can serve: `fetch/1` on all nodes.
const FETCH_BATCH: &str = r#"
defmodule ClusterScrape.PageController do
  def fetch_batch(targets) do
    input = Enum.map(targets, fn(target) -> {ClusterScrape.PageController, :fetch, [target]} end)
    Enum.map(:rpc.parallel_eval(input), fn(req) ->
      case req do
        {:ok, target, sha} -> {target, sha}
        {:error, target, msg} -> {target, msg}
      end
    end)
  end

  def fetch(target), do: {:ok, target, "here"}
end
"#;

#[test]
fn an_elixir_application_gets_its_work_done_by_workers() {
    for otp in matrix() {
        let (cluster, pages) = (Cluster::start(), Pages::serve());
        let elixir = Beam::elixir(otp).epmd(&cluster.epmd).start();
        let discover = ["--discover", "epmd:127.0.0.1"];
        let _workers = [cluster.worker(&discover), cluster.worker(&discover)];
        elixir.wait_for("length(nodes())", "2", A_WHILE);
        elixir.eval_elixir(FETCH_BATCH).unwrap();
        let urls: Vec<String> = (0..9).map(|number| pages.url(&format!("/10/p{number}"))).collect();
        let list = urls.iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(", ");
        let value =
            elixir.eval_elixir_within(&format!("ClusterScrape.PageController.fetch_batch([{list}])"), A_WHILE).unwrap();
        // parallel_eval alternates between this node and the two workers.
        let by_workers =
            (0..9).filter(|number| value.contains(&Sum::of(format!("p{number}").as_bytes()).to_upper_hex()));
        assert_eq!(by_workers.count(), 6, "{value}");
        assert_eq!(value.matches("\"here\"").count(), 3, "{value}");
        let missing = elixir.eval_elixir(&format!(
            ":erpc.call(hd(Node.list), ClusterScrape.PageController, :fetch, [{:?}])",
            "http://127.0.0.1:1/"
        ));
        assert_eq!(missing.unwrap(), "{:error, \"http://127.0.0.1:1/\", :econnrefused}");
    }
}
