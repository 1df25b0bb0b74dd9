%% What is asked of a node from outside. Each question is asked of a BEAM and of a node of peerl, and the answers have to be alike:
%% the same exceptions, and values of the same kind, unless that of peerl is the unknown value.
-module(questions).
-export([differences/1, made_up/1]).

%% The questions whose answers differ: [{Question, AnswerOfTheBeam, AnswerOfPeerl}].
differences(Node) ->
    [{Q, Reference, Answer}
     || {Q, Reference, Answer} <- lists:zip3(questions(), answers(node(), Node), answers(Node, node())),
        not alike(Q, Reference, Answer)].

%% The items of which peerl claims more than it can know.
made_up(Node) ->
    Unknown = [backtrace, catchlevel, error_handler, fullsweep_after, max_heap_size, min_heap_size, parent, status],
    [Net] = pids([net_kernel], Node),
    [{Item, Value} || {Item, Value} <- call(Node, erlang, process_info, [Net, Unknown]), Value =/= undefined] ++
        [{Item, Value} || Item <- [atom_limit, ets_limit, port_limit, process_limit, start_time, thread_pool_size],
            (Value = call(Node, erlang, system_info, [Item])) =/= undefined].

answers(Node, Other) ->
    Ended = call(Node, erlang, whereis, [net_kernel]), true = is_pid(Ended),
    {Gone, Monitor} = spawn_monitor(Node, erlang, node, []),
    receive {'DOWN', Monitor, process, Gone, _} -> ok end,
    put(ended, Gone), put(foreign, call(Other, erlang, whereis, [net_kernel])),
    [call(Node, M, F, pids(Arguments, Node)) || {M, F, Arguments} <- questions()].

pids(Arguments, Node) ->
    [case Argument of
         net_kernel -> call(Node, erlang, whereis, [net_kernel]);
         rex -> call(Node, erlang, whereis, [rex]);
         ended -> get(ended);
         foreign -> get(foreign);
         _ -> Argument
     end || Argument <- Arguments].

call(Node, M, F, Arguments) ->
    try erpc:call(Node, M, F, Arguments)
    catch
        error:{exception, Reason, _} -> {'$error', Reason};
        throw:{error, Text} -> {'$throw', is_list(Text)};
        Class:Reason -> {'$other', Class, Reason}
    end.

alike(_, Same, Same) -> true;
%% An older release does not know the question.
alike({erlang, F, _}, {'$error', badarg}, Answer) when F =:= process_info; F =:= system_info ->
    list_to_integer(erlang:system_info(otp_release)) < 29 andalso element(1, wrapped(Answer)) =/= '$error';
alike(_, Reference, Answer) when element(1, Reference) =:= '$error'; element(1, Answer) =:= '$error' -> false;
alike(_, _, undefined) -> true;
%% That of the BEAM is switched off.
alike({erlang, statistics, _}, undefined, _) -> true;
alike({erlang, process_info, _}, {Item, _}, {Item, undefined}) -> true;
alike(Q, {A, B}, {C, D}) -> alike(Q, A, C) andalso alike(Q, B, D);
alike(_, A, B) when is_tuple(A), is_tuple(B) -> tuple_size(A) =:= tuple_size(B) orelse is_atom(element(1, A));
alike(_, A, B) when is_list(A), is_list(B) -> true;
alike(_, A, B) when is_integer(A), is_integer(B) -> true;
alike(_, A, B) when is_boolean(A) -> is_boolean(B);
alike(_, A, B) when is_atom(A), is_atom(B) -> true;
alike(_, A, B) -> (is_pid(A) andalso is_pid(B)) orelse (is_map(A) andalso is_map(B)).

wrapped(Answer) when is_tuple(Answer), tuple_size(Answer) > 0 -> Answer;
wrapped(Answer) -> {Answer}.

questions() ->
    Wrong = [7, "text", <<"binary">>, {}, nonsense],
    lists:append([
        [{erlang, F, []} || F <- [node, nodes, processes, registered, ports, memory, garbage_collect]],
        [{erlang, nodes, [Which]} || Which <- [visible, hidden, connected, this, known, [], [this, hidden], [this, x] | Wrong]],
        [{erlang, F, [Pid]} || F <- [process_info, is_process_alive, garbage_collect],
            Pid <- [net_kernel, rex, ended, foreign | Wrong]],
        [{erlang, process_info, [Pid, Item]} || Pid <- [net_kernel, ended, foreign, nonsense], Item <- process_items()],
        [{erlang, process_info, [Pid, Items]} || Pid <- [net_kernel, ended], Items <- item_lists()],
        [{erlang, whereis, [Name]} || Name <- [nobody | Wrong]],
        [{erlang, memory, [Which]} || Which <- [total, processes, processes_used, system, atom, atom_used, binary, code, ets,
            [], [ets, ets], [ets, x] | Wrong]],
        [{erlang, statistics, [Item]} || Item <- statistics() ++ Wrong],
        [{erlang, system_info, [Item]} || Item <- system_items() ++ Wrong],
        [{erlang, port_info, [Port]} || Port <- [nobody, "text", {}]],
        [{erlang, function_exported, Arguments} || Arguments <- [[erlang, processes, 0], [nobody, f, 0], [erlang, processes, 1],
            ["erlang", processes, 0], [erlang, "processes", 0], [erlang, processes, -1], [erlang, processes, x],
            [erlang, processes, 1000]]],
        [{code, ensure_loaded, [Module]} || Module <- [no_such_module, "text"]],
        [{code, is_loaded, [no_such_module]}, {code, which, [no_such_module]}, {code, all_loaded, []}],
        [{application, which_applications, []}, {application, which_applications, [5000]}],
        [{init, get_status, []}, {init, get_argument, [nobody]}, {net_kernel, get_net_ticktime, []}],
        [{proc_lib, translate_initial_call, [Pid]} || Pid <- [rex]],
        [{observer_backend, vsn, []}, {observer_backend, sys_info, []}, {observer_backend, get_port_list, []},
         {observer_backend, get_socket_list, []}, {observer_backend, socket_info, []},
         {observer_backend, get_table_list, [ets, []]}, {observer_backend, get_table_list, [mnesia, []]}]]).

process_items() ->
    [async_dist, backtrace, binary, catchlevel, current_function, current_location, current_stacktrace, dictionary,
     {dictionary, x}, error_handler, garbage_collection, garbage_collection_info, group_leader, heap_size, initial_call, label,
     last_calls, links, max_heap_size, memory, message_queue_data, message_queue_len, messages, min_bin_vheap_size,
     min_heap_size, monitored_by, monitors, parent, priority, priority_messages, reductions, registered_name,
     sequential_trace_token, stack_size, status, suspending, total_heap_size, trace, trap_exit,
     nonsense, {dictionary}, {nonsense, x}, "text", 7].

item_lists() ->
    [[], [links], [links, links], [registered_name, messages, label], [links, nonsense], [{dictionary, x}, links], [links | memory]].

statistics() ->
    [active_tasks, active_tasks_all, context_switches, exact_reductions, garbage_collection, io, microstate_accounting,
     reductions, run_queue, run_queue_lengths, run_queue_lengths_all, runtime, scheduler_wall_time, scheduler_wall_time_all,
     total_active_tasks, total_active_tasks_all, total_run_queue_lengths, total_run_queue_lengths_all, wall_clock].

system_items() ->
    [allocated_areas, allocator, alloc_util_allocators, async_dist, atom_count, atom_limit, build_type, c_compiler_used, check_io,
     compat_rel, cpu_topology, cpu_quota, creation, debug_compiled, delayed_node_table_gc, dirty_cpu_schedulers,
     dirty_cpu_schedulers_online, dirty_io_schedulers, dist, dist_buf_busy_limit, dist_ctrl, driver_version, dynamic_trace,
     dynamic_trace_probes, eager_check_io, emu_flavor, emu_type, end_time, endian, ets_count, ets_limit, fullsweep_after,
     garbage_collection, heap_sizes, heap_type, info, kernel_poll, loaded, logical_processors, logical_processors_available,
     logical_processors_online, machine, max_heap_size, message_queue_data, min_bin_vheap_size, min_heap_size,
     modified_timing_level, multi_scheduling, multi_scheduling_blockers, nif_version, normal_multi_scheduling_blockers,
     os_monotonic_time_source, os_system_time_source, otp_release, outstanding_system_requests_limit, port_count, port_limit,
     port_parallelism, process_count, process_limit, procs, scheduler_bind_type, scheduler_bindings, scheduler_id, schedulers,
     schedulers_active, schedulers_online, schedulers_state, sequential_tracer, smp_support, start_time, system_architecture,
     system_logger, system_version, taints, thread_pool_size, threads, time_correction, time_offset, time_warp_mode,
     tolerant_timeofday, trace_control_word, update_cpu_info, version, wordsize, {wordsize, internal}, {wordsize, external},
     {wordsize, x}, {cpu_topology, defined}, {cpu_topology, detected}, {cpu_topology, used}, {cpu_topology, x},
     {allocator, ll_alloc}, {allocator_sizes, binary_alloc}].
