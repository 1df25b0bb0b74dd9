//! The output and the log of functions that a BEAM runs for this node, and the end of the processes that they leave
//! behind.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::stage::{LIMIT, Stage, eventually, message, name};
use peerl::{LogEvent, System};
use peerl_node::{Atom, CallError, Exception, Mfa, Node, NotSent, Pid, Process, Term};
use peerl_test_support::{Beam, COOKIE, Lan, ProcessGuard, conformance, matrix, peerl_command};

/// The printed text.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<String>>);

impl Printed {
    fn add(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A peerl node, its output, and its log.
async fn guest(stage: &Stage) -> (Node, Printed, Printed) {
    let (printed, logged) = (Printed::default(), Printed::default());
    let (print, log) = (printed.clone(), logged.clone());
    let system = System::new().output(move |text| print.add(text));
    let system = system.log_output(move |event: &LogEvent| log.add(&format!("{}: {}\n", event.level, event.text)));
    (stage.builder_with(system).start().await.unwrap(), printed, logged)
}

const MODULE: &str = r#"
-module(worker).
-export([ordered/1, spawns/1, holds/1, crash/0, formats/0, asks/0]).

ordered(N) ->
    lists:foreach(fun(I) when I rem 2 =:= 0 -> io:put_chars([integer_to_list(I), $\n]);
                     (I) -> io:format("~*..0b~n", [3, I])
                  end, lists:seq(1, N)).

%% A process that prints when it is told to, and its child.
spawns(Name) ->
    S = self(),
    P = spawn(fun() -> S ! started, late(Name) end),
    register(Name, P),
    receive started -> ok end,
    P.

holds(Name) ->
    spawns(Name),
    receive after infinity -> ok end.

late(Name) ->
    receive
        spawn -> spawn(fun() -> late(Name) end), late(Name);
        {print, From} ->
            From ! {printed, (catch io:format("~p prints~n", [Name])), node(group_leader())},
            late(Name)
    end.

crash() ->
    P = proc_lib:spawn(fun() -> receive go -> error(burnt) end end),
    R = monitor(process, P),
    P ! go,
    receive {'DOWN', R, _, _, _} -> ok end.

formats() ->
    io:format("~*c|~.2f|~8.16.0b|~20p|~ts|~s~n", [3, $x, 3.14159, 255, {a, "b"}, [233], "e"]),
    io:format("~i~w~n", [a, 'B c']),
    io:write({w, [1]}), io:nl(),
    io:fwrite("~P~n", [lists:seq(1000, 1020), 5]),
    c:regs().

asks() ->
    {io:get_line("? "), io:get_chars("? ", 2), io:read("? "), io:columns(), io:rows(),
     proplists:get_value(encoding, io:getopts()), io:setopts([{encoding, unicode}, binary]),
     (catch io:put_chars(user_that_is_not_there, "x")), io:put_chars([1024, <<"é"/utf8>>])}.
"#;

async fn call(node: &Node, beam: &Beam, function: &str, arguments: Vec<Term>) -> Result<Term, CallError> {
    let mfa = Mfa::with_terms(Atom::from_static("worker"), Atom::new(function).unwrap(), arguments);
    node.call::<Term>(&name(beam), mfa).timeout(LIMIT).await
}

/// The BEAM's own output of `formats/0`.
fn printed_there(beam: &Beam) -> String {
    let captured = "
        Self = self(),
        Leader = spawn(fun Loop() ->
            receive
                {io_request, From, As, {put_chars, unicode, M, F, A}} ->
                    Self ! {chars, unicode:characters_to_list(apply(M, F, A))}, From ! {io_reply, As, ok}, Loop();
                {io_request, From, As, {put_chars, unicode, C}} ->
                    Self ! {chars, unicode:characters_to_list(C)}, From ! {io_reply, As, ok}, Loop()
            end
        end),
        Old = group_leader(), group_leader(Leader, self()), worker:formats(), group_leader(Old, self()),
        Chars = (fun Get() -> receive {chars, C} -> [C | Get()] after 0 -> [] end end)(),
        base64:encode(unicode:characters_to_binary(Chars))";
    beam.eval(captured).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_comes_as_the_beam_formats_it_and_in_order() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, printed, _) = guest(&stage).await;
        let beam = stage.beam(otp).await;
        beam.load_module(MODULE).unwrap();
        call(&node, &beam, "ordered", vec![Term::from(300)]).await.unwrap();
        let line = |i: u32| if i.is_multiple_of(2) { format!("{i}\n") } else { format!("{i:03}\n") };
        let expected: String = (1..=300).map(line).collect();
        assert_eq!(printed.take(), expected);

        call(&node, &beam, "formats", vec![]).await.unwrap();
        let here = printed.take();
        let there = {
            let beam = beam.clone();
            tokio::task::spawn_blocking(move || printed_there(&beam)).await.unwrap()
        };
        assert!(here.starts_with("xxx|3.14|000000ff|"), "{here}");
        let encoded = node.call::<String>(&name(&beam), Mfa::new("base64", "encode", (here.as_str(),)).unwrap());
        // The numbers of reductions of `c:regs/0` change.
        let head = |text: &str| text.get(..120).map(str::to_owned);
        assert_eq!(head(&encoded.await.unwrap()), head(there.trim_matches(|c| c == '<' || c == '>' || c == '"')));

        let asked = call(&node, &beam, "asks", vec![]).await.unwrap().to_string();
        assert!(
            asked.starts_with(
                "{{error,enotsup},{error,enotsup},{error,enotsup},{error,enotsup},{error,enotsup},unicode,ok,"
            ),
            "{asked}"
        );
        assert_eq!(printed.take(), "\u{400}é");
        // Invalid formats fail as on the BEAM itself.
        for bad in ["~p", "~.2f", "~y", "~*c"] {
            let mfa = Mfa::new("io", "format", (Term::charlist(bad), Vec::<u8>::new())).unwrap();
            let error = node.call::<Term>(&name(&beam), mfa).await.unwrap_err();
            let CallError::Exception(exception) = error else { panic!("{bad}: {error}") };
            assert_eq!(exception.reason, Term::atom("badarg"), "{bad}");
        }
        assert_eq!(printed.take(), "");
        conformance::holds(otp, [34]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_events_come_with_their_text() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, printed, logged) = guest(&stage).await;
        let beam = stage.beam(otp).await;
        beam.load_module(MODULE).unwrap();
        let log = |level: &str, arguments: Vec<Term>| {
            let mfa = Mfa::with_terms(Atom::from_static("logger"), Atom::new(level).unwrap(), arguments);
            let call = node.call::<Term>(&name(&beam), mfa);
            async move { assert_eq!(call.await.unwrap(), Term::atom("ok")) }
        };
        log("error", vec![Term::charlist("on fire")]).await;
        log("warning", vec![Term::charlist("~p of ~ts"), Term::list([Term::from(3), Term::charlist("fünf")])]).await;
        log("notice", vec![Term::map([(Term::atom("what"), Term::atom("report"))])]).await;
        log("info", vec![Term::charlist("below the level of the node")]).await;
        call(&node, &beam, "crash", vec![]).await.unwrap();
        // All received output is printed before the node ends.
        node.shutdown().await;
        let shown = logged.take();
        assert!(shown.starts_with("error: on fire\nwarning: 3 of fünf\nnotice: "), "{shown}");
        assert!(shown.contains("what: report") || shown.contains("what => report"), "{shown}");
        assert!(shown.contains("crasher:") && shown.contains("burnt"), "a report has a callback: {shown}");
        assert!(!shown.contains("below"), "{shown}");
        assert_eq!(printed.take(), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_left_behind_print_on_their_own_node() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, printed, _) = guest(&stage).await;
        let beam = stage.beam(otp).await;
        beam.load_module(MODULE).unwrap();
        let print = "left ! {print, self()}, receive {printed, Ok, Node} -> {Ok, Node =:= node()} end";
        call(&node, &beam, "spawns", vec![Term::atom("left")]).await.unwrap();
        assert_eq!(beam.eval_async(print).await.as_deref(), Ok("{ok,false}"));
        assert_eq!(printed.take(), "left prints\n");
        // Children of children, too; and a process that keeps spawning meanwhile.
        let busy = "left ! spawn, left ! spawn, Leader = element(2, process_info(whereis(left), group_leader)),
                    register(busy, spawn(fun() ->
                        group_leader(Leader, self()),
                        (fun Loop() -> spawn(fun() -> timer:sleep(100) end), timer:sleep(1), Loop() end)()
                    end)), timer:sleep(50), ok";
        assert_eq!(beam.eval_async(busy).await.as_deref(), Ok("ok"));
        node.shutdown().await;
        let foreign =
            "[P || P <- processes(), {group_leader, G} <- [process_info(P, group_leader)], node(G) =/= node()]";
        assert_eq!(beam.eval_async(foreign).await.as_deref(), Ok("[]"));
        assert_eq!(beam.eval_async(print).await.as_deref(), Ok("{ok,true}"));
        assert_eq!(printed.take(), "");
    }
}

fn command(port: u16, arguments: &[&str]) -> Command {
    let mut command = peerl_command();
    command.args(arguments).env("PEERL_COOKIE", COOKIE).env("HOME", "/nonexistent");
    command.env("ERL_EPMD_PORT", port.to_string());
    command
}

/// The standard output and the standard error of a command that succeeds.
fn run(mut command: Command) -> (String, String) {
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{command:?}: {out}{err}");
    (out, err)
}

#[test]
fn the_command_line_shows_what_a_call_prints_and_logs() {
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.erlang(otp).start();
        let call = |options: &[&str], call: &str| {
            run(command(stage.epmd.port(), &[&["call", beam.name(), call], options].concat()))
        };
        assert_eq!(
            call(&[], r#"logger:error("on fire")"#),
            ("ok\n".into(), format!("[error] {}: on fire\n", beam.name()))
        );
        let (out, err) = call(&["-q"], r#"logger:warning("less \n of it")"#);
        assert_eq!((out.as_str(), err.as_str()), ("ok\n", ""));
        let (_, err) = call(&["--log-format", "json"], r#"logger:critical("~p of ~tp", [2, <<"\n">>])"#);
        let event: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!((&event["level"], &event["node"]), (&"CRITICAL".into(), &beam.name().into()), "{event}");
        assert!(event["message"].as_str().unwrap().starts_with("2 of "), "{event}");
        let (out, _) = call(&[], r#"io:format("~*c|~.2f|~6b|~n", [3, 120, 2.5, 255])"#);
        assert_eq!(out, "xxx|2.50|   255|\nok\n");
        let (out, err) = call(&["--format", "json"], r#"io:format("~tp~n", [{a, b}])"#);
        assert_eq!((out.as_str(), err.as_str()), ("\"ok\"\n", "{a,b}\n"));
    }
}

#[test]
fn no_process_is_left_with_a_command_for_its_group_leader() {
    let print = |name: &str| {
        format!("{name} ! {{print, self()}}, receive {{printed, Ok, Node}} -> {{Ok, Node =:= node()}} end")
    };
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.erlang(otp).start();
        beam.load_module(MODULE).unwrap();
        run(command(stage.epmd.port(), &["call", beam.name(), "worker:spawns(left)"]));
        assert_eq!(beam.eval(&print("left")).as_deref(), Ok("{ok,true}"));

        // Ended during the call: by its own time-out, and by the user.
        let mut late = command(stage.epmd.port(), &["call", beam.name(), "worker:holds(late)", "--timeout", "4s"]);
        assert_eq!(late.output().unwrap().status.code(), Some(1));
        assert_eq!(beam.eval(&print("late")).as_deref(), Ok("{ok,true}"));
        let held = ProcessGuard::spawn(&mut command(stage.epmd.port(), &["call", beam.name(), "worker:holds(held)"]));
        beam.wait_for("is_pid(whereis(held))", "true", LIMIT);
        held.sigint();
        assert_eq!(held.wait(LIMIT).code(), Some(130), "{}", held.stderr());
        assert_eq!(beam.eval(&print("held")).as_deref(), Ok("{ok,true}"));
    }
}

/// Between machines.
#[test]
fn from_another_machine() {
    let lan = Lan::start();
    let [serving, calling] = [2, 3].map(|number| lan.machine(lan.address(number)));
    let mut worker = peerl_command();
    worker.args(["worker", "--name", &format!("mapper@{}", serving.address())]).env("PEERL_COOKIE", COOKIE);
    let worker = ProcessGuard::spawn(&mut serving.command(worker));
    worker.wait_for_line("ready", LIMIT);
    for otp in matrix() {
        let name = format!("shop{}@{}", otp.number(), serving.address());
        let beam = Beam::erlang(otp).on(&serving).name(&name).start();
        beam.load_module(MODULE).unwrap();
        let call = |call: &str| run(calling.command(command(4369, &["call", &name, call])));
        let (out, err) = call(r#"logger:warning(#{shelf => 12, state => empty})"#);
        assert_eq!(out, "ok\n");
        assert!(err.starts_with(&format!("[warning] {name}: ")) && err.contains("empty"), "{err}");
        assert!(call("io:write({shelf, [12]})").0.starts_with("{shelf,[12]}"));
        call("worker:spawns(clerk)");
        let print = "clerk ! {print, self()}, receive {printed, Ok, Node} -> {Ok, Node =:= node()} end";
        assert_eq!(beam.eval(print).as_deref(), Ok("{ok,true}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_a_peer_gets_another_group_leader() {
    let stage = Stage::new();
    let (node, printed, _) = guest(&stage).await;
    let mut process = node.process();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let printer = "register(printer, spawn(fun Printer() -> \
                       receive {From, Text} -> io:put_chars(Text), From ! {self(), group_leader()}, Printer() end end)), ok";
        assert_eq!(beam.eval_async(printer).await.as_deref(), Ok("ok"));
        node.connect(&name(&beam)).await.unwrap();
        let print = async |process: &mut Process, text: &str| {
            let request = Term::tuple([process.pid().clone().into(), Term::from(text)]);
            process.send_term(("printer", &name(&beam)), &request).await.unwrap();
            let told = tokio::time::timeout(LIMIT, process.receive()).await.unwrap().unwrap().into_term().unwrap();
            let [printer, leader] = told.as_tuple().unwrap() else { panic!("{told}") };
            (printer.as_pid().unwrap().clone(), leader.as_pid().unwrap().clone())
        };
        let (printer, user) = print(&mut process, "at home").await;
        process.set_group_leader_of(&printer, node.group_leader()).unwrap();
        assert_eq!(print(&mut process, "far away\n").await.1, *node.group_leader());
        assert_eq!(printed.take(), "far away\n");
        process.set_group_leader_of(&printer, &user).unwrap();
        assert_eq!(print(&mut process, "home again\n").await.1, user);
        assert_eq!(printed.take(), "");
        beam.kill();
        let lost = async {
            while process.set_group_leader_of(&printer, &user) != Err(NotSent::NotConnected) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, lost).await.unwrap();
    }
    let other = node.process();
    process.set_group_leader_of(other.pid(), process.pid()).unwrap();
    assert_eq!(node.process_info(other.pid()).unwrap().group_leader, *process.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_events_that_their_node_cannot_format_are_shown_as_they_came() {
    let stage = Stage::new();
    let (node, _, logged) = guest(&stage).await;
    // It has no `logger_formatter`.
    let peer = stage.node().await;
    node.connect(peer.name()).await.unwrap();
    let process = peer.process();
    for text in ["on fire", &"x".repeat(70_000), "out"] {
        log_at(&node, &process, process.pid(), text).await;
    }
    let mut shown = String::new();
    eventually("the last event is shown", || {
        shown.push_str(&logged.take());
        shown.ends_with("error: {string,<<\"out\">>}\n")
    })
    .await;
    assert!(shown.starts_with("error: {string,<<\"on fire\">>}\nerror: {string,<<\"xxx"), "{shown}");
    let longest = shown.lines().map(|line| line.chars().count()).max();
    assert_eq!(longest, Some("error: ".len() + 16_384));
}

/// Sends a log event of a process, as OTP's logger does to the node of its group leader.
async fn log_at(node: &Node, sender: &Process, pid: &Pid, text: &str) {
    let metadata = Term::map([(Term::atom("pid"), pid.clone().into())]);
    let event = Term::tuple([Term::atom("log"), Term::atom("error"), Term::from(text), metadata]);
    sender.send_term(("logger", node.name()), &event).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_formats_no_event_delays_those_of_no_other() {
    let stage = Stage::new();
    let (node, _, logged) = guest(&stage).await;
    let (silent, other) = (stage.node().await, stage.node().await);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let never = move |(_, _): (Term, Term)| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Term, Exception>>()
    };
    silent.export("logger_formatter", "format", never).unwrap();
    let process = silent.process();
    for _ in 0..2000 {
        log_at(&node, &process, process.pid(), "of a silent node").await;
    }
    eventually("the silent node is asked", || asked.load(Ordering::Relaxed) > 0).await;
    let process = other.process();
    log_at(&node, &process, process.pid(), "of another").await;
    let mut shown = String::new();
    eventually("the event of another node is shown", || {
        shown.push_str(&logged.take());
        shown.contains("of another")
    })
    .await;
    // Once is enough for all that wait. More than 1,024 do not.
    eventually("the events of the silent node are shown", || {
        shown.push_str(&logged.take());
        shown.matches("of a silent node").count() >= 1024
    })
    .await;
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < 5, "{asked}");
}

/// A node, what it prints, and the log events that it shows, each with its node.
async fn guest_with_sources(stage: &Stage) -> (Node, Printed, Printed) {
    let (printed, logged) = (Printed::default(), Printed::default());
    let (print, log) = (printed.clone(), logged.clone());
    let system = System::new().output(move |text| print.add(text));
    let system = system.log_output(move |event: &LogEvent| log.add(&format!("{}: {}\n", event.node, event.text)));
    (stage.builder_with(system).start().await.unwrap(), printed, logged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_prints_or_logs_in_the_name_of_another_node() {
    let stage = Stage::new();
    let (node, printed, logged) = guest_with_sources(&stage).await;
    let (forger, named) = (stage.node().await, stage.node().await);
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, again) = (asked.clone(), asked.clone());
    let formatted = move |(_, _): (Term, Term)| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Exception>("formatted") }
    };
    named.export("logger_formatter", "format", formatted).unwrap();
    let text = move |(_,): (Term,)| {
        again.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Exception>("formatted") }
    };
    named.export("shop", "text", text).unwrap();
    node.connect(named.name()).await.unwrap();
    let (from_forger, from_here, mut from_named) = (forger.process(), node.process(), named.process());
    let mut shown = String::new();
    for (sender, name) in [(&from_forger, forger.name()), (&from_here, node.name())] {
        log_at(&node, sender, from_named.pid(), "x").await;
        shown.push_str(&format!("{name}: {{string,<<\"x\">>}}\n"));
        eventually("the event is shown", || logged.0.lock().unwrap().lines().count() == shown.lines().count()).await;
    }
    assert_eq!(logged.take(), shown);

    let request = io_request(from_named.pid(), 1, &formatted_text("x"));
    from_forger.send_term(node.group_leader().clone(), &request).await.unwrap();
    assert_eq!(message(&mut from_named).await.to_string(), "{io_reply,1,{error,text}}");
    assert_eq!((asked.load(Ordering::Relaxed), printed.take().as_str()), (0, ""));
}

fn io_request(from: &Pid, reply_as: u32, request: &[Term]) -> Term {
    Term::tuple([Term::atom("io_request"), from.clone().into(), reply_as.into(), Term::tuple(request.iter().cloned())])
}

/// What `shop:text/1` of the sender's node makes of this is to be printed.
fn formatted_text(text: &str) -> [Term; 5] {
    let arguments = Term::list([Term::from(text)]);
    [Term::atom("put_chars"), Term::atom("unicode"), Term::atom("shop"), Term::atom("text"), arguments]
}

/// None of them is copied: that would take minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_within_requests() {
    let stage = Stage::new();
    let (node, printed, _) = guest(&stage).await;
    let peer = stage.node().await;
    node.connect(peer.name()).await.unwrap();
    let mut process = peer.process();
    let put = |text: &str| Term::tuple([Term::atom("put_chars"), Term::atom("unicode"), Term::from(text)]);
    let requests = |all: Vec<Term>| vec![Term::atom("requests"), Term::list(all)];
    let mut request = requests(vec![put("a"), put("b")]);
    for _ in 0..100_000 {
        request = requests(vec![Term::tuple(request)]);
    }
    let text = format!("{}ab{}", "x".repeat(1000), "y".repeat(1000));
    let within = [vec![put("x"); 1000], vec![Term::tuple(request)], vec![put("y"); 1000]].concat();
    let request = io_request(process.pid(), 1, &requests(within));
    process.send_term(node.group_leader().clone(), &request).await.unwrap();
    assert_eq!(message(&mut process).await.to_string(), "{io_reply,1,ok}");
    assert_eq!(printed.take(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_program_s_output_costs_one_request() {
    let stage = Stage::new();
    let (printed, logged) = (Printed::default(), Printed::default());
    let add = |shown: &Printed| {
        let shown = shown.clone();
        move |text: &str| if text.contains("bad") { panic!("on purpose") } else { shown.add(text) }
    };
    let (print, log) = (add(&printed), add(&logged));
    let system = System::new().output(print).log_output(move |event: &LogEvent| log(&event.text));
    let node = stage.builder_with(system).start().await.unwrap();
    let peer = stage.node().await;
    peer.export("shop", "text", |(text,): (Term,)| async move { Ok::<_, Exception>(text) }).unwrap();
    node.connect(peer.name()).await.unwrap();

    let mut process = peer.process();
    let plain = |text: &str| vec![Term::atom("put_chars"), Term::atom("unicode"), Term::from(text)];
    let requests = [
        plain("bad"),
        formatted_text("bad").into(),
        vec![Term::atom("requests"), Term::list([Term::tuple(plain("a")), Term::tuple(plain("bad"))])],
        formatted_text("b").into(),
        plain("c"),
    ];
    for (number, request) in (1..).zip(&requests) {
        let request = io_request(process.pid(), number, request);
        process.send_term(node.group_leader().clone(), &request).await.unwrap();
    }
    let failed = "{error,terminated}";
    for (number, reply) in (1..).zip([failed, failed, failed, "ok", "ok"]) {
        assert_eq!(message(&mut process).await.to_string(), format!("{{io_reply,{number},{reply}}}"));
    }
    assert_eq!(printed.take(), "abc");

    for text in ["bad", "d", "bad", "e"] {
        log_at(&node, &process, process.pid(), text).await;
    }
    let mut shown = String::new();
    eventually("the events are shown", || {
        shown.push_str(&logged.take());
        shown.ends_with("<<\"e\">>}")
    })
    .await;
    assert_eq!(shown, "{string,<<\"d\">>}{string,<<\"e\">>}");
}
