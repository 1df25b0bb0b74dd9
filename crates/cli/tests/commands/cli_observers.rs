//! The shells and observers of the BEAM with a worker: their first queries are answered; a missing function ends them
//! with a message.

use crate::cluster::{A_WHILE, Cluster};
use peerl_test_support::{Beam, COOKIE, Otp, ProcessGuard, matrix, observer, unique_name};

/// Binds `Keeper` to a group leader that records the output and answers every prompt with an empty line.
fn keeper() -> &'static str {
    "Keep = fun Loop(Kept) -> receive
         {io_request, From, Ref, Request} ->
             {Answer, Printed} = case Request of
                 {put_chars, _, Chars} -> {ok, Chars};
                 {put_chars, _, M, F, A} -> {ok, apply(M, F, A)};
                 getopts -> {[], []};
                 {get_line, _, _} -> {\"\\n\", []};
                 _ -> {{error, enotsup}, []}
             end,
             From ! {io_reply, Ref, Answer}, Loop([Kept, Printed]);
         {kept, From} -> From ! {kept, unicode:characters_to_list(Kept)}, Loop(Kept)
     end end,
     Keeper = spawn(fun() -> Keep([]) end)"
}

/// Runs with such a group leader; binds the output to `Text` and the value to `Value`.
fn printing(expression: &str, then: &str) -> String {
    format!(
        "Before = group_leader(), {}, group_leader(Keeper, self()),
         Value = {expression},
         group_leader(Before, self()), Keeper ! {{kept, self()}}, Text = receive {{kept, Kept}} -> Kept end,
         {then}",
        keeper()
    )
}

#[test]
fn processes_of_a_worker() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (_worker, name) = cluster.worker(&[]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let value = |expression: &str| beam.eval(&expression.replace("WORKER", &format!("'{name}'"))).unwrap();
        assert_eq!(
            value("lists:sort(rpc:call(WORKER, erlang, registered, []))"),
            "['Elixir.Peerl.TaskSupervisor',global_name_server,logger,logger_proxy,net_kernel,pg,rex]"
        );
        assert_eq!(value("rpc:call(WORKER, erlang, whereis, [rexx])"), "undefined");
        let all = "Pids = rpc:call(WORKER, erlang, processes, []), Rex = rpc:call(WORKER, erlang, whereis, [rex]),
            {lists:member(Rex, Pids), length(Pids) > 3, [node(P) || P <- Pids, node(P) =/= WORKER]}";
        assert_eq!(value(all), "{true,true,[]}");
        // As on the BEAM, an unnamed process has an entry in a list of items.
        let items = "Rex = rpc:call(WORKER, erlang, whereis, [rex]), Leader = rpc:call(WORKER, erlang, process_info,
                [Rex, group_leader]), {group_leader, Pid} = Leader,
            {rpc:call(WORKER, erlang, process_info, [Rex, registered_name]),
             rpc:call(WORKER, erlang, process_info, [Rex, [registered_name, message_queue_len, links]]),
             rpc:call(WORKER, erlang, process_info, [Pid, registered_name]),
             rpc:call(WORKER, erlang, process_info, [Pid, [registered_name, trap_exit]]),
             rpc:call(WORKER, erlang, is_process_alive, [Pid])}";
        assert_eq!(
            value(items),
            "{{registered_name,rex},[{registered_name,rex},{message_queue_len,0},{links,[]}],[],\
             [{registered_name,[]},{trap_exit,false}],true}"
        );
        // A process that serves a call reports its function, its monitor and its link; and it ends.
        let serving = "P = spawn_link(WORKER, timer, sleep, [infinity]), monitor(process, P),
            rpc:call(WORKER, erlang, nodes, []),
            [{current_function, F}, {initial_call, F}, {links, L}, {monitored_by, M}] = rpc:call(WORKER, erlang,
                process_info, [P, [current_function, initial_call, links, monitored_by]]),
            unlink(P), exit(P, kill), receive {'DOWN', _, _, P, Reason} -> ok end,
            {F, L == [self()], M == [self()], Reason, rpc:call(WORKER, erlang, process_info, [P]),
             rpc:call(WORKER, erlang, is_process_alive, [P])}";
        assert_eq!(value(serving), "{{timer,sleep,1},true,true,killed,undefined,false}");
        for (wrong, cause) in [
            ("process_info, [self()]", "argument 1: a process of another node"),
            ("process_info, [rex]", "argument 1: not a pid"),
            (
                "process_info, [rpc:call(WORKER, erlang, whereis, [rex]), [links, nonsense]]",
                "argument 2: element 2: no item of a process that is known here",
            ),
            ("whereis, [\"rex\"]", "argument 1: not an atom"),
        ] {
            let caught = format!(
                "try erpc:call(WORKER, erlang, {wrong}) catch error:{{exception, badarg, [{{_, _, _, L}} | _]}} -> L end"
            );
            let info = value(&caught);
            assert!(info.contains(&format!("cause => {{badarg,<<\"{cause}\">>}}")), "{wrong}: {info}");
        }
    }
}

#[test]
fn process_lists_of_the_shell() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (_worker, name) = cluster.worker(&[]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        assert!(beam.ping(&name));
        // The functions exported before and after it.
        let missing = format!(
            "{{Value, [P || P <- Pids, string:find(Text, pid_to_list(P)) =:= nomatch,
                rpc:call('{name}', erlang, is_process_alive, [P])]}}"
        );
        let listed = format!("Pids = rpc:call('{name}', erlang, processes, []), {}", printing("c:ni()", &missing));
        assert_eq!(beam.eval(&listed).unwrap(), "{ok,[]}");
        let undef = beam.eval(&format!("rpc:call('{name}', c, i, [])")).unwrap();
        assert_eq!(undef, "{badrpc,{'EXIT',{undef,[{c,i,[],[]}]}}}");
    }
}

#[test]
fn modules_that_are_not_here() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (_worker, name) = cluster.worker(&[]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let call = |call: &str| beam.eval(&format!("rpc:call('{name}', {call})")).unwrap();
        for module in ["shell", "observer_backend", "'Elixir.IEx'", "crypto"] {
            assert_eq!(call(&format!("code, ensure_loaded, [{module}]")), "{error,nofile}");
            assert_eq!(call(&format!("code, is_loaded, [{module}]")), "false");
            assert_eq!(call(&format!("code, which, [{module}]")), "non_existing");
        }
        assert_eq!(call("application, which_applications, []"), "[]");
        assert!(call("code, ensure_loaded, [\"shell\"]").starts_with("{badrpc,{'EXIT',{function_clause,"));
        let load = format!(
            "{{Module, Binary, File}} = code:get_object_code(lists), rpc:call('{name}', code, load_binary, [Module, File, Binary])"
        );
        assert_eq!(beam.eval(&load).unwrap(), "{error,badarg}");
        for (function, exported) in [
            ("crypto, hash, 2", "true"),
            ("crypto, hash, 3", "false"),
            ("lists, reverse, 1", "false"),
            ("erlang, function_exported, 3", "true"),
        ] {
            assert_eq!(call(&format!("erlang, function_exported, [{function}]")), exported, "{function}");
        }
        let wrong = call("erlang, function_exported, [crypto, hash, two]");
        assert!(wrong.contains("argument 3: not a number"), "{wrong}");
    }
}

/// The first calls of observer_cli: it reads the tick time, queries a module of its own, and then loads it.
#[test]
fn an_observer_that_brings_its_modules() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (_worker, name) = cluster.worker(&[]);
        let (_slow, slow) = cluster.worker(&["--net-ticktime", "7s"]);
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let ticks = |name: &str| beam.eval(&format!("rpc:call('{name}', net_kernel, get_net_ticktime, [])")).unwrap();
        assert_eq!((ticks(&name).as_str(), ticks(&slow).as_str()), ("60", "7"));
        let begin = format!(
            "true = net_kernel:hidden_connect_node('{name}'),
             unchanged = net_kernel:set_net_ticktime(rpc:call('{name}', net_kernel, get_net_ticktime, [])),
             {{badrpc, {{'EXIT', no_modules_can_be_loaded}}}} = rpc:call('{name}', observer_cli, start, [1500]),
             [{{ok, {{error, badarg}}}}] =
                 erpc:multicall(['{name}'], code, load_binary, [observer_cli, \"observer_cli.beam\", <<\"FOR1\">>]),
             catch erpc:call('{name}', observer_cli_escriptize, ensure_set_env, [observer_cli, []])"
        );
        let ended = beam.eval(&begin).unwrap();
        assert!(ended.contains("{exception,no_modules_can_be_loaded}"), "{ended}");
        assert!(beam.ping(&name));
    }
}

/// A BEAM with OTP's observer: `etop` and `ttb`.
fn with_observer(otp: Otp, cluster: &Cluster) -> Beam {
    let builder = Beam::erlang(otp).epmd(&cluster.epmd);
    match otp {
        Otp::V25 => builder.args(["-pa", observer().to_str().unwrap()]).start(),
        // It is installed with these releases.
        _ => builder.start(),
    }
}

/// Without tracing, etop shows a table of the worker's processes, and what changes. With it, etop ends: its user is told why. That
/// of OTP 27 traces even with `tracing` off.
#[test]
fn etop_and_tracers() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (_worker, name) = cluster.worker(&[]);
        let beam = with_observer(otp, &cluster);
        let until = "Until = fun Until(Text) -> {Keeper, _} = Text, Keeper ! {kept, self()},
                         receive {kept, Kept} -> Kept end,
                         case string:find(Kept, element(2, Text)) of
                             nomatch -> timer:sleep(20), Until(Text); _ -> ok
                         end end,";
        // A change of the configuration shows the next table at once.
        let table = format!(
            "{}, {until}
             {{Etop, Etops}} = spawn_monitor(fun() -> group_leader(Keeper, self()),
                 etop:start([{{node, '{name}'}}, {{output, text}}, {{tracing, off}}, {{interval, 60}}, {{lines, 30}}]) end),
             [Until({{Keeper, Shown}}) || Shown <- [\"global_name_server\", \"rex\", \"MsgQ\"]],
             spawn('{name}', timer, sleep, [infinity]), ok = etop:config(lines, 31),
             Until({{Keeper, \"timer:sleep/1\"}}),
             etop:stop(), receive {{'DOWN', Etops, process, Etop, Why}} -> Why end",
            keeper()
        );
        if otp != Otp::V27 {
            assert_eq!(beam.eval(&table).unwrap(), "normal");
        }
        let traced = format!("catch etop:start([{{node, '{name}'}}, {{output, text}}, {{port, 23456}}])");
        let told = beam.eval(&printing(&traced, "{element(1, Value), lists:flatten(Text)}")).unwrap();
        assert!(told.contains("'EXIT'") && told.contains("cannot be traced"), "{told}");
        assert!(told.contains("shows its processes with -tracing off"), "{told}");
        // What has asked for the relay is not stuck.
        let relay = format!("dbg:tracer(), {{error, {{Why, _}}}} = dbg:n('{name}'), dbg:stop(), Why");
        assert_eq!(beam.eval(&relay).unwrap(), "tracing_not_supported");
        let own = format!(
            "ok = file:set_cwd(os:getenv(\"HOME\")), {{ok, [Own]}} = ttb:tracer([node(), '{name}']), ttb:stop(), Own =:= node()"
        );
        assert_eq!(beam.eval(&own).unwrap(), "true");
        let called = format!("rpc:call('{name}', erlang, function_exported, [dbg, do_relay, 2])");
        assert_eq!(beam.eval(&called).unwrap(), "false");
    }
}

#[test]
fn remote_shells_end() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let (_worker, name) = cluster.worker(&[]);
        let start = |program: &str, dashes: &str| {
            let own = format!("{}@127.0.0.1", unique_name("shell"));
            let options = ["name", &own, if program == "erl" { "setcookie" } else { "cookie" }, COOKIE, "remsh", &name];
            let arguments: Vec<String> =
                options.chunks(2).flat_map(|pair| [format!("{dashes}{}", pair[0]), pair[1].to_owned()]).collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut command = otp.in_terminal(program, &arguments);
            command.env("HOME", cluster.home.path()).env("ERL_EPMD_PORT", cluster.epmd.port().to_string());
            ProcessGuard::spawn(&mut command)
        };
        let erlang = start("erl", "-");
        if otp == Otp::V25 {
            // As at any node without a shell; ^G continues from here.
            erlang.wait_for_line("without a BEAM, and has no shell", A_WHILE);
            erlang.wait_for_line("Shell process terminated!", A_WHILE);
            erlang.write_stdin(b"\x07");
            erlang.wait_for_line("User switch command", A_WHILE);
        } else {
            erlang.wait_for_line("on shell (nofile)", A_WHILE);
            assert_eq!(erlang.wait(A_WHILE).code(), Some(1));
        }
        let elixir = start("iex", "--");
        let words = if otp == Otp::V25 { "Could not find IEx on remote node" } else { "on iex (nofile)" };
        elixir.wait_for_line(words, A_WHILE);
        assert_eq!(elixir.wait(A_WHILE).code(), Some(1));
    }
}
