//! Each class of error is reported on one line, with a hint.

use std::os::unix::fs::PermissionsExt;

use crate::cluster::{A_WHILE, Cluster, run};
use peerl_test_support::{Beam, Epmd, Otp, ProcessGuard, free_port, matrix};

#[track_caller]
fn hints(failure: &str, words: &[&str]) {
    assert!(failure.contains("(hint: "), "{failure}");
    for word in words {
        assert!(failure.contains(word), "{word}: {failure}");
    }
}

#[test]
fn wrong_cookie_of_a_worker_and_of_a_beam() {
    let cluster = Cluster::start();
    let (_worker, worker) = cluster.worker(&[]);
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    for node in [&worker, beam.name()] {
        let failure = cluster.run(&["ping", node, "--cookie", "monster"]).failure(1);
        hints(&failure, &[node, "wrong cookie", "PEERL_COOKIE"]);
        assert!(!failure.contains("monster"), "the cookie is not shown: {failure}");
    }
}

#[test]
fn a_worker_tells_why_it_cannot_join_and_goes_on() {
    let cluster = Cluster::start();
    let (_other, other) = cluster.worker(&[]);
    let (worker, _) = cluster.worker(&["--cookie", "monster", "--node", &other, "--node", "nobody@127.0.0.1"]);
    hints(&worker.wait_for_error_line("wrong cookie", A_WHILE), &[&other]);
    hints(&worker.wait_for_error_line("there is no node nobody@127.0.0.1", A_WHILE), &["peerl names"]);
    assert!(worker.is_running());
}

#[test]
fn a_cookie_file_that_others_can_read() {
    let cluster = Cluster::start();
    let file = cluster.write("cookie", "secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    hints(&cluster.run(&["ping", "a@127.0.0.1", "--cookie-file", &file]).failure(1), &[&file, "chmod 400"]);
    hints(&cluster.run(&["ping", "a@127.0.0.1", "--cookie-file", "/no/such"]).failure(1), &["/no/such"]);
}

#[test]
fn no_epmd() {
    let cluster = Cluster::start();
    let port = free_port().to_string();
    let without = |arguments: &[&str]| {
        let mut command = cluster.command(arguments);
        command.env("ERL_EPMD_PORT", &port);
        run(command).failure(1)
    };
    hints(&without(&["names"]), &[&port, "peerl epmd"]);
    hints(&without(&["ping", "a@127.0.0.1"]), &["a@127.0.0.1", &port, "peerl epmd"]);
    hints(&without(&["call", "a@127.0.0.1", "erlang:node()"]), &[&port, "peerl epmd"]);
    hints(&without(&["discover", "epmd:127.0.0.1"]), &[&port, "peerl epmd"]);
    hints(&without(&["worker", "--name", "w@127.0.0.1", "--epmd", "external"]), &[&port, "peerl epmd"]);
}

#[test]
fn name_taken() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    hints(&cluster.run(&["worker", "--name", &name]).failure(1), &["taken", "--name", "peerl names"]);
}

#[test]
fn unknown_node_host_and_port() {
    let cluster = Cluster::start();
    let of_ping = |node: &str| cluster.run(&["ping", node]).failure(1);
    hints(&of_ping("nobody@127.0.0.1"), &["there is no node nobody@127.0.0.1", "peerl names 127.0.0.1"]);
    hints(&of_ping("a@no-such-host.invalid"), &["no-such-host.invalid", "after the @"]);
    // It is registered, but does not listen.
    let (worker, name) = cluster.worker(&[]);
    worker.sigstop();
    let hangs = cluster.run(&["ping", &name, "--timeout", "500ms"]).failure(1);
    hints(&hangs, &[&name, "--timeout"]);
}

#[test]
fn long_and_short_names() {
    let cluster = Cluster::start();
    hints(&cluster.run(&["ping", "a@127.0.0.1", "--sname", "me"]).failure(1), &["long", "short", "--name"]);
    hints(&cluster.run(&["ping", "a@localhost", "--name", "me@127.0.0.1"]).failure(1), &["long", "short", "--sname"]);
    hints(&cluster.run(&["worker", "--name", "w@box"]).failure(64), &["--sname"]);
    hints(&cluster.run(&["worker", "--sname", "w@box.lan"]).failure(64), &["--name"]);
}

#[test]
fn a_node_that_names_its_host_otherwise() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let dialled = beam.name().replace("127.0.0.1", "localhost");
    hints(&cluster.run(&["ping", &dialled]).failure(1), &[&dialled, beam.name(), "epmd:127.0.0.1"]);
}

/// The app is told to dial a name under which another node answers, and the other way round.
#[test]
fn a_sidecar_and_a_mesh_find_that_a_node_names_its_host_otherwise() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let app = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let peer = Beam::erlang(otp).epmd(&cluster.epmd).start();
        // An address of the same host, in another notation.
        let dialled = peer.name().replace("127.0.0.1", "127.1");
        let words = format!("{dialled} calls itself {}", peer.name());
        hints(&cluster.run(&["ping", &dialled]).failure(1), &[&words]);
        let arguments = ["sidecar", "--node", app.name(), "--discover", &format!("static:{dialled}")];
        let sidecar = ProcessGuard::spawn(&mut cluster.command(&arguments));
        hints(&sidecar.wait_for_line("cannot-connect", A_WHILE), &[&words]);
        let ran = cluster.run(&["mesh", "--node", app.name(), "--node", &dialled]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.out.contains(&words), "{ran:?}");
    }
}

#[test]
fn a_sidecar_finds_the_other_cookie_of_a_peer() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let app = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let peer = Beam::erlang(otp).epmd(&cluster.epmd).cookie("monster").start();
        let arguments = ["sidecar", "--node", app.name(), "--discover", &format!("static:{}", peer.name())];
        let sidecar = ProcessGuard::spawn(&mut cluster.command(&arguments));
        let line = sidecar.wait_for_line("cannot-connect", A_WHILE);
        hints(&line, &[&format!("{} has another cookie", peer.name())]);
        assert!(!line.contains("firewall"), "{line}");
    }
}

/// The guest can connect, but the app cannot.
#[test]
fn a_peer_that_only_the_app_cannot_connect() {
    let cluster = Cluster::start();
    let app = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let peer = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    app.eval(&format!("erlang:set_cookie('{}', wrong)", peer.name())).unwrap();
    let arguments = ["sidecar", "--node", app.name(), "--discover", &format!("static:{}", peer.name())];
    let sidecar = ProcessGuard::spawn(&mut cluster.command(&arguments));
    let line = sidecar.wait_for_line("cannot-connect", A_WHILE);
    assert!(line.contains("while peerl's own does") && line.contains("cookie of its own"), "{line}");
    peer.wait_for("nodes(connected)", "[]", A_WHILE);
}

#[test]
fn calls_that_fail() {
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let call = |call: &str| cluster.run(&["call", beam.name(), call]).failure(1);
    hints(&call("nomod:f(1)"), &["nomod:f/1"]);
    assert!(call("erlang:throw({no, 1})").contains("exception throw: {no,1}"));
    assert!(call("erlang:exit(bye)").contains("exception exit: bye"));
    assert!(call("erlang:binary_to_integer(<<\"x\">>)").contains("exception error: badarg"));
    assert!(call(":erlang.error(%{a: 1})").contains("** (ErlangError) Erlang error: %{a: 1}"));
    let slow = cluster.run(&["call", beam.name(), "timer:sleep(60000)", "--timeout", "300ms"]).failure(1);
    hints(&slow, &["300ms", "--timeout"]);
    hints(&call("erlang:halt()"), &["ended before the answer came: the peer or its host closed it"]);
    beam.wait_for_end(A_WHILE);
}

#[test]
fn functions_that_do_not_exist() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let (_worker, worker) = cluster.worker(&[]);
        let call = |node: &str, call: &str| cluster.run(&["call", node, call]).failure(1);
        let nearest = call(beam.name(), "lists:revers([1, 2])");
        hints(
            &nearest,
            &["has no function lists:revers/1", "the nearest is lists:reverse/1", "lists:module_info(exports)"],
        );
        hints(
            &call(beam.name(), "string:uppercase(a, b, c)"),
            &["string:uppercase/3", "the nearest is string:uppercase/1"],
        );
        let unknown = call(beam.name(), "shop:order(1)");
        hints(&unknown, &["shop:order/1", "it has no module shop"]);
        for failure in [&nearest, &unknown] {
            assert!(!failure.contains("peerl:functions()"), "{failure}");
        }
        let inner = call(beam.name(), "lists:map(fun shop:order/1, [1])");
        hints(&inner, &["has no function shop:order/1, which is called for lists:map/2"]);
        let served = call(&worker, "peerl_page:checksums(<<\"http://127.0.0.1/\">>)");
        hints(&served, &["peerl_page:checksums/1", "the nearest is peerl_page:checksum/1", "peerl:functions()"]);
    }
}

#[test]
fn arguments_that_do_not_fit_are_named() {
    let cluster = Cluster::start();
    let (worker, name) = cluster.worker(&[]);
    let call = |call: &str| cluster.run(&["call", &name, call]).failure(1);
    let cause = "argument 2: field timeout: its value is a number from 0 on";
    let failure = call("peerl_page:checksum(<<\"http://127.0.0.1/\">>, #{timeout => soon})");
    assert!(failure.contains("exception error: badarg") && failure.contains(cause), "{failure}");
    let line = worker.wait_for_error_line(cause, A_WHILE);
    assert!(line.contains("peerl_page:checksum/2"), "{line}");
    assert!(call("'Elixir.ClusterScrape.PageController':fetch(17)").contains("argument 1: "));
    for (wrong, cause) in [
        ("erlang:nodes([visible, near])", "argument 1: element 2: no kind of nodes"),
        ("erlang:system_info(weather)", "argument 1: no item that is known here"),
        ("erlang:disconnect_node(\"a@b\")", "argument 1: not an atom"),
        ("net_kernel:connect_node(<<\"a@b\">>)", "argument 1: not an atom"),
        ("crypto:hash(sha3, <<>>)", "argument 1: no digest that is served here"),
        ("crypto:hash(sha, [256])", "argument 2: not iodata"),
        ("code:which(1)", "argument 1: not an atom"),
    ] {
        let failure = call(wrong);
        assert!(failure.contains(cause), "{failure}");
    }
}

/// A flood of invalid calls causes one line and a summary per function.
#[test]
fn wrong_arguments_do_not_fill_the_log() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (worker, name) = cluster.worker(&[]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let flood = format!(
            "[begin rpc:call('{name}', crypto, hash, [sha, none]), rpc:call('{name}', erlang, memory, [none]),
                erpc:cast('{name}', shop, order, [1]) end || _ <- lists:seq(1, 100)], ok"
        );
        assert_eq!(beam.eval(&flood).unwrap(), "ok");
        for sum in [
            "crypto:hash/2: arguments that do not fit: 99 more within",
            "erlang:memory/1: arguments",
            "were cast failed: 99 more",
        ] {
            worker.wait_for_error_line(sum, A_WHILE);
        }
        let log = worker.stderr();
        for line in [
            "badarg: crypto:hash/2: argument 2: not iodata",
            "badarg: erlang:memory/1: argument 1: ",
            "a cast function failed: ",
        ] {
            assert_eq!(log.lines().filter(|all| all.contains(line)).count(), 1, "{log}");
        }
    }
}

#[test]
fn exceptions_of_elixir() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (elixir, erlang) = std::thread::scope(|scope| {
            let starting = scope.spawn(|| Beam::elixir(otp).epmd(&cluster.epmd).start());
            let erlang = Beam::erlang(otp).epmd(&cluster.epmd).start();
            (starting.join().unwrap(), erlang)
        });
        let arithmetic = "** (ArithmeticError) bad argument in arithmetic expression";
        // For a node without Elixir, peerl prints the same text.
        for beam in [&elixir, &erlang] {
            let ran = cluster.run(&["call", beam.name(), ":erlang.+(:a, 1)"]);
            assert!(ran.err.contains(arithmetic), "{ran:?}");
        }
        let ran = cluster.run(&["call", elixir.name(), "Integer.parse(\"7\", 99)"]);
        assert!(ran.err.contains("** (ArgumentError) ") && ran.err.contains("    (elixir "), "{ran:?}");
        // The exception is Elixir's own, however the call is written.
        let ran = cluster.run(&["call", elixir.name(), "'Elixir.Enum':'fetch!'([], 3)"]);
        assert!(ran.err.contains("** (Enum.OutOfBoundsError) out of bounds error"), "{ran:?}");
        let ran = cluster.run(&["call", elixir.name(), "Enum.summ([1])"]);
        assert!(ran.err.contains("** (UndefinedFunctionError) function Enum.summ/1 is undefined"), "{ran:?}");
    }
}

/// Commands for many items report an error in the same words as a single call.
#[test]
fn items_fail_in_the_words_of_a_call() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (elixir, erlang) = std::thread::scope(|scope| {
            let starting = scope.spawn(|| Beam::elixir(otp).epmd(&cluster.epmd).start());
            let erlang = Beam::erlang(otp).epmd(&cluster.epmd).start();
            (starting.join().unwrap(), erlang)
        });
        let (_worker, worker) = cluster.worker(&[]);
        let items = cluster.write("items", "[1,2]\n[1,2]\n");
        for (node, function, part) in [
            (erlang.name(), "lists:revers(_)", "; the nearest is lists:reverse/1"),
            (erlang.name(), "shop:order(_, 2)", "has no function shop:order/2: it has no module shop"),
            (erlang.name(), "lists:foreach(fun shop:order/1, _)", ", which is called for lists:foreach/2"),
            (erlang.name(), "erlang:throw(_)", "exception throw: [1,2]"),
            (erlang.name(), ":erlang.+(:a, _)", "** (ArithmeticError)"),
            (elixir.name(), "Enum.summ(_)", "** (UndefinedFunctionError) function Enum.summ/1 is undefined"),
            (elixir.name(), "'Elixir.Enum':'fetch!'(_, 3)", "** (Enum.OutOfBoundsError) out of bounds error"),
            (&worker, "peerl_page:checksums(_)", "; the nearest is peerl_page:checksum/1"),
            (&worker, "peerl_page:checksum(<<\"u\">>, _)", "exception error: badarg: argument 2: field 1: "),
            (&worker, "erlang:memory(_)", "exception error: badarg: argument 1: element 1: no kind of memory"),
            (&worker, "timer:sleep(_)", "exception error: timeout_value: argument 1: "),
        ] {
            let call = cluster.run(&["call", node, &function.replace("(_", "([1,2]").replace(" _)", " [1,2])")]);
            assert_eq!(call.code, 1, "{call:?}");
            let line = call.err.lines().find_map(|line| line.strip_prefix("peerl: ")).unwrap();
            let of_call = line.split(" (hint: ").next().unwrap();
            assert!(of_call.contains(part), "{function}: {of_call}");
            let arguments = ["pmap", function, "--items", &items, "--items-format", "erlang", "--node", node];
            let ran = cluster.run(&[&arguments[..], &["--format", "json"]].concat());
            assert_eq!(ran.code, 2, "{ran:?}");
            for row in ran.json().as_array().unwrap() {
                assert_eq!(row["error"], of_call, "{function}");
            }
        }
        let sums = ["checksum", "http://127.0.0.1:1/", "--node", erlang.name(), "--function", "lists:revers/1"];
        let ran = cluster.run(&[&sums[..], &["--format", "json"]].concat());
        let error = format!("{} has no function lists:revers/1; the nearest is lists:reverse/1", erlang.name());
        assert_eq!((ran.code, &ran.json()[0]["error"]), (2, &error.into()), "{ran:?}");
    }
}

#[test]
fn nobody_to_do_the_work() {
    let cluster = Cluster::start();
    let url = "http://127.0.0.1:1/";
    hints(&cluster.run(&["checksum", url]).failure(64), &["--node", "--discover", "--local"]);
    hints(&cluster.run(&["checksum", url, "--discover", "epmd:127.0.0.1"]).failure(1), &["peerl worker"]);
    hints(&cluster.run(&["checksum", url, "--node", "nobody@127.0.0.1"]).failure(1), &["nobody@127.0.0.1"]);
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let failure = cluster.run(&["checksum", url, "--node", beam.name()]).failure(1);
    hints(&failure, &[beam.name(), "peerl_page:checksum/2", "peerl worker", "--function"]);
}

#[test]
fn a_port_that_is_taken() {
    let cluster = Cluster::start();
    let taken = Epmd::start();
    let port = taken.port().to_string();
    let arguments = ["worker", "--name", "w@127.0.0.1", "--listen", "127.0.0.1", "--dist-port", &port];
    hints(&cluster.run(&arguments).failure(1), &[&port, "--dist-port"]);
    assert!(cluster.run(&["epmd", "--port", &port, "--address", "127.0.0.1"]).failure(1).contains(&port));
}
