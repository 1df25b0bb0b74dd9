%% The BEAM's part in the benchmarks.
-module(bench).
-export([echo/1, callers/6, send/2, sink/1, sunk/0]).

echo(X) -> X.

%% Calls Module:Function(Argument) from so many processes for so many milliseconds: {Calls, Microseconds}.
callers(Node, Count, Ms, Module, Function, Argument) ->
    Self = self(),
    Start = erlang:monotonic_time(microsecond),
    End = erlang:monotonic_time() + erlang:convert_time_unit(Ms, millisecond, native),
    Pids = [spawn_link(fun() -> Self ! {self(), call(Node, Module, Function, [Argument], End, 0)} end)
            || _ <- lists:seq(1, Count)],
    Calls = lists:sum([receive {Pid, N} -> N end || Pid <- Pids]),
    {Calls, erlang:monotonic_time(microsecond) - Start}.

call(Node, Module, Function, Arguments, End, N) ->
    _ = erpc:call(Node, Module, Function, Arguments),
    case erlang:monotonic_time() of
        Now when Now >= End -> N + 1;
        _ -> call(Node, Module, Function, Arguments, End, N + 1)
    end.

%% Sends so many messages to the sink of a node.
send(_, 0) -> ok;
send(Node, N) ->
    {sink, Node} ! {bench, 42},
    send(Node, N - 1).

%% Starts a process that takes so many messages.
sink(Count) ->
    Parent = self(),
    Pid = spawn_opt(fun() ->
        register(sink, self()),
        Parent ! {self(), ready},
        take(Count),
        unregister(sink),
        receive {wanted, From} -> From ! {sunk, Count} end
    end, [{message_queue_data, off_heap}]),
    receive {Pid, ready} -> persistent_term:put(sink, Pid), ok end.

%% Waits until it has them.
sunk() ->
    persistent_term:get(sink) ! {wanted, self()},
    receive {sunk, Count} -> Count end.

take(0) -> ok;
take(N) -> receive {bench, _} -> take(N - 1) end.
