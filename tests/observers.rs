//! What the tabs of observer ask a node for.

mod stage;

use peerl_test_support::{Otp, matrix};
use stage::{Stage, eval, expect, until};

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
        expect(&beam, &node, no_number, "[]").await;
        let grows = "Of = fun(Key) -> proplists:get_value(Key, rpc:call(NODE, observer_backend, sys_info, [])) end,
            In = Of(io_input), rpc:call(NODE, peerl, echo, [binary:copy(<<1>>, 100000)]), Of(io_input) - In >= 100000";
        expect(&beam, &node, grows, "true").await;
        // The tables and ports of a BEAM do not exist here.
        let none =
            "[rpc:call(NODE, observer_backend, F, A) || {F, A} <- [{get_table_list, [ets, []]}, {get_port_list, []},
            {get_socket_list, []}, {socket_info, []}]]";
        expect(&beam, &node, none, "[[],[],[],[]]").await;
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
        // The window of a process.
        let window = "Pid = rpc:call(NODE, erlang, whereis, [rex]),
            {rpc:call(NODE, proc_lib, translate_initial_call, [Pid]), rpc:call(NODE, erlang, garbage_collect, [Pid])}";
        expect(&beam, &node, window, "{{proc_lib,init_p,5},true}").await;
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
    let unknown = eval(&beam, &node, &call("microstate_accounting")).await;
    assert!(unknown.contains("no statistics that are known here"), "{unknown}");
    expect(&beam, &node, "rpc:call(NODE, erlang, ports, [])", "[]").await;
}
