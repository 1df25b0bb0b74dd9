%% The BEAM's part in the benchmark of membership.
-module(membership).
-export([join/2, names/1, members/1, wait/1, broadcast/1, answer/0, links/2, monitors/2, exits/2, sink/0, behind/2]).

%% Joins the mesh of a node: microseconds until so many nodes are connected, and their names known.
join(Node, Count) ->
    Start = now_us(),
    true = net_kernel:connect_node(Node),
    joined(Count),
    now_us() - Start.

joined(Count) ->
    global:sync(),
    case length(nodes()) of
        Count -> ok;
        _ -> timer:sleep(1), joined(Count)
    end.

%% Registers a name for so many milliseconds, and removes it each time: {Registrations, Microseconds}.
names(Ms) ->
    while(Ms, fun() ->
        Name = {name, make_ref()},
        Start = now_us(),
        yes = global:register_name(Name, self()),
        Time = now_us() - Start,
        global:unregister_name(Name),
        {1, Time}
    end).

%% Starts the members of the group. The last one of them that has a message tells its sender.
members(Count) ->
    start_scope(),
    Tally = spawn(fun() -> tally(Count, 0) end),
    Pids = [spawn(fun() -> member(Tally) end) || _ <- lists:seq(1, Count)],
    pg:join(bench, Pids).

start_scope() ->
    case pg:start(pg) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok
    end.

member(Tally) ->
    receive {bench, From} -> Tally ! From, member(Tally) end.

tally(Count, Got) ->
    receive
        From when Got + 1 =:= Count -> From ! all, tally(Count, 0);
        _ -> tally(Count, Got + 1)
    end.

%% Waits until the group has so many members.
wait(Count) ->
    start_scope(),
    case length(pg:get_members(bench)) of
        Count -> ok;
        _ -> timer:sleep(5), wait(Count)
    end.

%% Sends to all members for so many milliseconds, again when all have it: {Broadcasts, Microseconds}.
broadcast(Ms) ->
    Pids = pg:get_members(bench),
    Self = self(),
    timed(Ms, fun() ->
        [Pid ! {bench, Self} || Pid <- Pids],
        receive all -> 1 end
    end).

%% Starts a process that answers.
answer() ->
    Pid = spawn(fun Answer() -> receive {From, Tag} -> From ! Tag, Answer() end end),
    catch unregister(answer),
    register(answer, Pid),
    Pid.

links(Pid, Ms) ->
    signals(Pid, Ms, fun() -> link(Pid), unlink(Pid) end).

monitors(Pid, Ms) ->
    signals(Pid, Ms, fun() -> demonitor(monitor(process, Pid)) end).

exits(Pid, Ms) ->
    signals(Pid, Ms, fun() -> exit(Pid, normal) end).

%% Sends signals for so many milliseconds: {Turns, Microseconds}.
signals(Pid, Ms, Turn) ->
    timed(Ms, fun() -> turns(500, Turn), ask(Pid), 500 end).

turns(0, _) -> ok;
turns(N, Turn) -> Turn(), turns(N - 1, Turn).

ask(Pid) ->
    Pid ! {self(), answered},
    receive answered -> ok end.

%% Starts a process that takes large messages.
sink() ->
    Pid = spawn(fun Sink() -> receive {From, Data} -> From ! {taken, byte_size(Data)}, Sink() end end),
    catch unregister(sink),
    register(sink, Pid),
    Pid.

%% Microseconds for a small message and its answer, while so many bytes of another process are on the way.
behind(Node, Bytes) ->
    Self = self(),
    Data = binary:copy(<<7>>, Bytes),
    spawn(fun() ->
        Self ! begun,
        {sink, Node} ! {Self, Data}
    end),
    receive begun -> timer:sleep(20) end,
    Start = now_us(),
    ask({answer, Node}),
    Time = now_us() - Start,
    receive {taken, Bytes} -> Time end.

timed(Ms, Turn) ->
    while(Ms, fun() ->
        Start = now_us(),
        Count = Turn(),
        {Count, now_us() - Start}
    end).

while(Ms, Turn) ->
    while(now_us() + Ms * 1000, Turn, 0, 0).

while(End, Turn, Counted, Spent) ->
    {Count, Time} = Turn(),
    case now_us() of
        Now when Now >= End -> {Counted + Count, Spent + Time};
        _ -> while(End, Turn, Counted + Count, Spent + Time)
    end.

now_us() -> erlang:monotonic_time(microsecond).
