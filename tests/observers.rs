//! What the tabs of observer ask a node for.

mod stage;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use peerl::{Atom, Dropped, Exception, MailboxPolicy, Mfa, Overflow};
use peerl_test_support::{Otp, conformance, matrix};
use stage::{Stage, eval, eventually, expect, export, name, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_system_tab() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let no_number = "Info = rpc:call(NODE, observer_backend, sys_info, []),
            [Key || Key <- [uptime, run_queue, io_input, io_output, logical_processors, logical_processors_online,
                logical_processors_available, schedulers, schedulers_online, schedulers_available, thread_pool_size,
                wordsize_internal, wordsize_external, process_count, process_limit, atom_count, atom_limit, port_count,
                port_limit, ets_count, ets_limit, dist_buf_busy_limit, total, processes, atom, binary, code, ets],
                not is_integer(proplists:get_value(Key, Info))]";
        // These are shown as unknown.
        let unknown = "[thread_pool_size,process_limit,atom_limit,port_limit,ets_limit]";
        expect(&beam, &node, no_number, unknown).await;
        let grows = "Of = fun(Key) -> proplists:get_value(Key, rpc:call(NODE, observer_backend, sys_info, [])) end,
            In = Of(io_input), rpc:call(NODE, peerl, echo, [binary:copy(<<1>>, 100000)]), Of(io_input) - In >= 100000";
        expect(&beam, &node, grows, "true").await;
        // The tables and ports of a BEAM do not exist here.
        let none =
            "[rpc:call(NODE, observer_backend, F, A) || {F, A} <- [{get_table_list, [ets, []]}, {get_port_list, []},
            {get_socket_list, []}, {socket_info, []}]]";
        expect(&beam, &node, none, "[[],[],[],[]]").await;
        let mnesia = "{error, Text} = rpc:call(NODE, observer_backend, get_table_list, [mnesia, []]), string:prefix(Text, \"Mnesia is not\") =/= nomatch";
        expect(&beam, &node, mnesia, "true").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_processes_tab() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        // More than one message has.
        let _others: Vec<_> = (0..1200).map(|_| node.process()).collect();
        let collect = "process_flag(trap_exit, true),
            {error, nofile} = rpc:call(NODE, code, ensure_loaded, [observer_backend]),
            true = rpc:call(NODE, erlang, function_exported, [observer_backend, procs_info, 1]),
            Backend = spawn_link(NODE, observer_backend, procs_info, [self()]),
            Collect = fun Collect(All) -> receive
                {procs_info, Backend, Part} -> Collect(Part ++ All);
                {'EXIT', Backend, Why} -> {Why, All}
            end end,
            {normal, All} = Collect([]),
            Wrong = [Info || {etop_proc_info, Pid, Memory, 0, _, 0, _, Queue} = Info <- All,
                node(Pid) =/= NODE orelse not is_integer(Memory) orelse not is_integer(Queue)],
            {Wrong, length(All) > 1200, lists:keymember(rex, 5, All)}";
        expect(&beam, &node, collect, "{[],true,true}").await;
        // The window of a process: the page of its facts, its messages, dictionary and stack.
        let window = "Pid = rpc:call(NODE, erlang, whereis, [rex]),
            Facts = rpc:call(NODE, erlang, process_info, [Pid, [binary, catchlevel, current_function, error_handler,
                garbage_collection, group_leader, heap_size, initial_call, last_calls, links, memory, message_queue_len,
                monitored_by, monitors, priority, reductions, registered_name, sequential_trace_token, stack_size, status,
                suspending, total_heap_size, trace, trap_exit]]),
            {length(Facts), [rpc:call(NODE, erlang, process_info, [Pid, Item]) || Item <- [messages, dictionary, current_stacktrace]],
             rpc:call(NODE, proc_lib, translate_initial_call, [Pid]), rpc:call(NODE, erlang, garbage_collect, [Pid]),
             rpc:call(NODE, proc_lib, get_label, [Pid])}";
        let shown = "{24,[{messages,[]},{dictionary,[]},{current_stacktrace,[]}],{proc_lib,init_p,5},true,undefined}";
        expect(&beam, &node, window, shown).await;
        let mut busy = node.process();
        busy.register(Atom::from_static("busy")).unwrap();
        let waiting = "{busy, NODE} ! {one, <<1>>}, {busy, NODE} ! [two],
            rpc:call(NODE, erlang, process_info, [rpc:call(NODE, erlang, whereis, [busy]), messages])";
        expect(&beam, &node, waiting, "{messages,[{one,<<1>>},[two]]}").await;
        let large = "{busy, NODE} ! binary:copy(<<1>>, 2000000), Pid = rpc:call(NODE, erlang, whereis, [busy]),
            [{messages, undefined}, {message_queue_len, 3}] = rpc:call(NODE, erlang, process_info, [Pid, [messages, message_queue_len]])";
        assert!(eval(&beam, &node, large).await.starts_with("[{messages"));
        assert!(busy.try_receive().unwrap().is_some());
        expect(&beam, &node, "proplists:get_value(total, rpc:call(NODE, erlang, memory, [])) > 0", "true").await;
        conformance::holds(otp, [69]);
    }
}

/// The Load Charts: the processes that send figures end with the observer, however it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_charts() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let charts = "process_flag(trap_exit, true),
            Backend = spawn_link(NODE, observer_backend, fetch_stats, [self(), 20]),
            Next = fun() -> receive {stats, 1, Threads, {{input, In}, {output, Out}}, Memory} ->
                {lists:sort(Threads), In, Out, proplists:get_value(total, Memory)} end end,
            {Threads, In, Out, Memory} = Next(),
            Percent = [100 * (Busy - B) div (Total - T) || {{N, B, T}, {N, Busy, Total}} <- lists:zip(Threads, element(1, Next()))],
            exit(Backend, kill),
            receive {'EXIT', Backend, Why} -> ok end,
            {Why, lists:all(fun(P) -> P >= 0 andalso P =< 101 end, Percent), length(Percent), In > 0, Out > 0, Memory > 1000000}";
        expect(&beam, &node, charts, "{killed,true,2,true,true,true}").await;
        let stopped =
            "process_flag(trap_exit, true), Backend = spawn_link(NODE, observer_backend, fetch_stats, [self(), 20]),
            receive {stats, _, _, _, _} -> Backend ! stop end, receive {'EXIT', Backend, Why} -> Why end";
        expect(&beam, &node, stopped, "normal").await;
        let closed = format!(
            "Self = self(), spawn(fun() -> Self ! {{backend, spawn(NODE, observer_backend, fetch_stats, [self(), 20])}} end),
             receive {{backend, Backend}} -> ok end, {}",
            until("rpc:call(NODE, erlang, is_process_alive, [Backend])", "false")
        );
        expect(&beam, &node, &closed, "ok").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics() {
    let stage = Stage::new();
    let (node, beam) = (stage.node().await, stage.beam(Otp::V25).await);
    let call = |item: &str| format!("rpc:call(NODE, erlang, statistics, [{item}])");
    expect(&beam, &node, &format!("{{Now, _}} = {}, Now > 0", call("wall_clock")), "true").await;
    // What has been added since the last query.
    let added =
        format!("{{Then, _}} = {0}, timer:sleep(20), {{Now, Added}} = {0}, Added =:= Now - Then", call("wall_clock"));
    expect(&beam, &node, &added, "true").await;
    expect(&beam, &node, &format!("{{Used, _}} = {}, is_integer(Used)", call("runtime")), "true").await;
    expect(&beam, &node, &format!("is_integer({})", call("run_queue")), "true").await;
    expect(&beam, &node, &call("reductions"), "{0,0}").await;
    let unknown = eval(&beam, &node, &call("nonsense")).await;
    assert!(unknown.contains("no statistics that are known here"), "{unknown}");
    expect(&beam, &node, "rpc:call(NODE, erlang, ports, [])", "[]").await;
}

/// The Applications tab: there are none, and what answers ends with its client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_tab() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let processes = node.process_count();
        let tab = "Self = self(), spawn(fun() ->
                {ok, Pid} = appmon_info:start_link(NODE, self(), []),
                appmon_info:app_ctrl(Pid, NODE, true, []), appmon_info:app(Pid, kernel, true, []),
                Next = fun() -> receive {delivery, Pid, What, About, Found} -> {What, About =:= NODE, Found} end end,
                Self ! {shown, [Next(), Next()]} end),
            receive {shown, Shown} -> Shown end";
        expect(&beam, &node, tab, "[{app_ctrl,true,[]},{app,false,{[],[],[],[]}}]").await;
        eventually("the end of what answers", || node.process_count() == processes).await;
    }
}

/// A process of `proc_lib` that fails reports on the processes with which it is linked, and asks their nodes for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_reports_of_linked_processes() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let linked = node.process();
        linked.register(Atom::from_static("linked")).unwrap();
        let report = "S = self(),
            Tell = fun(#{msg := {report, #{label := {proc_lib, crash}, report := Report}}}, To) -> To ! {crash, Report}, stop;
                (_, _) -> ignore
            end,
            ok = logger:add_primary_filter(told, {Tell, S}),
            P = rpc:call(NODE, erlang, whereis, [linked]), true = is_pid(P),
            proc_lib:spawn(fun() -> link(P), error(on_purpose) end),
            [_, Linked] = receive {crash, Report} -> Report after 30000 -> [none, none] end,
            ok = logger:remove_primary_filter(told),
            [{proplists:get_value(pid, Of) =:= P, proplists:get_value(registered_name, Of),
                proplists:get_value(trap_exit, Of)} || {neighbour, Of} <- Linked]";
        expect(&beam, &node, report, "[{true,linked,false}]").await;
        eventually("the end of the linked process", || node.process_info(linked.pid()).is_none()).await;
        conformance::holds(otp, [70]);
    }
}

/// `c:nregs/0`, `net_adm:world/0`, `rpc:pinfo/1,2` at a BEAM that sees the node; Elixir's functions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shells() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let seen = "pong = net_adm:ping(NODE), c:nregs(), {lists:member(NODE, net_adm:world_list(['127.0.0.1'])),
            rpc:pinfo(rpc:call(NODE, erlang, whereis, [rex]), registered_name),
            length(rpc:pinfo(rpc:call(NODE, erlang, whereis, [rex])))}";
        expect(&beam, &node, seen, "{true,{registered_name,rex},17}").await;
        let elixir = "Info = fun(F, A) -> rpc:call(NODE, 'Elixir.Process', F, A) end, Rex = Info(whereis, [rex]),
            {Dead, M} = spawn_monitor(NODE, erlang, node, []), receive {'DOWN', M, _, _, _} -> ok end,
            {Info(info, [Rex, registered_name]), Info(info, [Dead]), Info(info, [Dead, links]), Info('alive?', [Dead]),
             Info(whereis, [nobody]), lists:member(Rex, Info(list, [])), rpc:call(NODE, 'Elixir.Node', self, []) =:= NODE,
             lists:member(node(), rpc:call(NODE, 'Elixir.Node', list, []))}";
        expect(&beam, &node, elixir, "{{registered_name,rex},nil,nil,false,nil,true,true,true}").await;
    }
}

/// What tools ask any node: the answers are those of a BEAM, in their shape, or the unknown value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        beam.load_module(include_str!("observers/questions.erl")).unwrap();
        expect(&beam, &node, "questions:differences(NODE)", "[]").await;
        expect(&beam, &node, "questions:made_up(NODE)", "[]").await;
    }
}

/// What is counted of a peer and of a function, for metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures() {
    let stage = Stage::new();
    let (node, beam) = (stage.node().await, stage.beam(Otp::V25).await);
    export(&node);
    let calls = "[catch erpc:call(NODE, rust, F, A) || {F, A} <- [{add, [1, 2]}, {add, [3, 4]}, {fail, [throw]}, {fail, [exit]},
            {fail, [panic]}, {add, [a, b]}]],
        {P, M} = spawn_monitor(NODE, rust, sleep, [60000]), exit(P, kill), receive {'DOWN', M, _, _, killed} -> ok end";
    expect(&beam, &node, calls, "ok").await;
    let function = |name: &str| {
        let mut all = node.function_figures().into_iter();
        let found =
            all.find(|figures| figures.module == "rust" && figures.function.as_ref().is_some_and(|f| *f == name));
        let found = found.unwrap();
        [found.values, found.errors, found.exits, found.throws, found.ended]
    };
    assert_eq!(function("add"), [2, 1, 0, 0, 0]);
    assert_eq!(function("fail"), [0, 1, 1, 1, 0]);
    eventually("the end of a killed call", || function("sleep") == [0, 0, 0, 0, 1]).await;

    let policy = MailboxPolicy { messages: 1, overflow: Overflow::Drop, ..MailboxPolicy::default() };
    let small = node.process_with(policy);
    small.register(Atom::from_static("small")).unwrap();
    let of_peer =
        || node.peer_figures().into_iter().find(|figures| figures.peer.as_ref() == Some(name(&beam).as_atom()));
    let before = of_peer().unwrap();
    let sends = "[{small, NODE} ! N || N <- lists:seq(1, 5)], [{nobody, NODE} ! N || N <- [1, 2, 3]],
        rpc:call(NODE, erlang, node, []) =:= NODE";
    expect(&beam, &node, sends, "true").await;
    let after = of_peer().unwrap();
    assert_eq!((after.dropped(Dropped::MailboxFull), after.dropped(Dropped::NoProcess)), (4, 3));
    let received = after.messages_received - before.messages_received;
    assert!((9..100).contains(&received), "{received}");
    assert!(after.bytes.received > before.bytes.received);
    // An answer may be with the BEAM before its writer counts it.
    eventually("the counts of the answer", || {
        let now = of_peer().unwrap();
        now.messages_sent > before.messages_sent && now.bytes.sent > before.bytes.sent
    })
    .await;
    // Services of the node may have messages for a moment.
    eventually("one message in all mailboxes", || node.mailbox_totals().0 == 1).await;
    // Nothing is lost with a connection.
    let connection = node.connection(&name(&beam));
    node.disconnect(&name(&beam));
    eventually("the end of the connection", || node.connection(&name(&beam)) != connection).await;
    // The BEAM may learn of the end of the connection only by a first ping.
    expect(&beam, &node, "net_adm:ping(NODE), net_adm:ping(NODE)", "pong").await;
    let again = of_peer().unwrap();
    assert!(again.messages_received > after.messages_received && again.dropped(Dropped::MailboxFull) == 4);
}

/// The span of a caller and that of the handler, at another node, have the same `id`, and the handler's events are in its span.
#[tokio::test]
async fn spans() {
    let seen = Seen::default();
    // For the whole process: with one for this thread alone, other tests would decide that its spans are off.
    tracing_subscriber::registry().with(seen.clone()).init();
    let stage = Stage::new();
    let (caller, server) = (stage.node().await, stage.node().await);
    server
        .export("rust", "greet", |()| async {
            // It goes on in a task of its own.
            tokio::task::yield_now().await;
            tracing::info!(target: "greeting", "hello");
            Ok::<_, Exception>(1)
        })
        .unwrap();
    caller.call::<i64>(server.name(), Mfa::new("rust", "greet", ()).unwrap()).await.unwrap();
    let seen = seen.0.lock().unwrap();
    let greeting = seen.events.first().expect("the event of the handler");
    assert!(greeting.contains("name=serve") && greeting.contains("function=greet"), "{greeting}");
    let id = greeting.split(' ').find(|field| field.starts_with("id=")).expect("the reference of the request");
    let call =
        seen.spans.iter().find(|span| span.contains("name=call") && span.contains(id)).expect("the caller's span");
    assert!(call.contains("function=greet") && call.contains(&format!("peer={}", server.name())), "{call}");
}

/// Records spans of the node and events of the handler.
#[derive(Default, Clone)]
struct Seen(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    spans: Vec<String>,
    /// Each is told by its span.
    events: Vec<String>,
    numbers: HashMap<Id, usize>,
}

/// Writes fields as `name=value`.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {}={value}", field.name()).unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut text = format!("name={}", attributes.metadata().name());
        attributes.record(&mut Fields(&mut text));
        let mut record = self.0.lock().unwrap();
        let number = record.spans.len();
        record.numbers.insert(id.clone(), number);
        record.spans.push(text);
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, _: Context<'_, S>) {
        let mut record = self.0.lock().unwrap();
        let number = record.numbers[id];
        values.record(&mut Fields(&mut record.spans[number]));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "greeting" {
            let mut record = self.0.lock().unwrap();
            let span = context.current_span().id().map(|id| record.spans[record.numbers[id]].clone());
            record.events.push(span.unwrap_or_default());
        }
    }
}
