%% Measures binary_to_term/1 and term_to_binary/1 on request: `decode FILE COUNT` or `encode FILE COUNT` on a
%% line; the answer is the nanoseconds that COUNT rounds took. Each measurement has a process of its own.
%% `rewrite FILE 1` replaces the term in the file by OTP's own encoding of it.
-module(beam_codec).
-export([main/0]).

main() ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            [What, File, Count] = string:lexemes(Line, " \n"),
            {ok, Bytes} = file:read_file(File),
            io:format("~b~n", [measure(What, File, Bytes, list_to_integer(Count))]),
            main()
    end.

measure("rewrite", File, Bytes, _) ->
    ok = file:write_file(File, term_to_binary(binary_to_term(Bytes), [{minor_version, 2}])),
    0;
measure(What, _, Bytes, Count) ->
    {_, Monitor} = spawn_monitor(fun() ->
        Term = case What of "decode" -> none; "encode" -> binary_to_term(Bytes) end,
        Run = fun(Rounds) ->
            case What of
                "decode" -> decode(Bytes, Rounds);
                "encode" -> encode(Term, Rounds)
            end
        end,
        %% The process gets the heap that it needs before the clock starts.
        Run(Count div 2 + 1),
        Start = erlang:monotonic_time(nanosecond),
        Run(Count),
        exit({took, erlang:monotonic_time(nanosecond) - Start})
    end),
    receive {'DOWN', Monitor, _, _, {took, Nanoseconds}} -> Nanoseconds end.

decode(_, 0) -> ok;
decode(Bytes, Count) ->
    _ = binary_to_term(Bytes),
    decode(Bytes, Count - 1).

encode(_, 0) -> ok;
encode(Term, Count) ->
    _ = term_to_binary(Term, [{minor_version, 2}]),
    encode(Term, Count - 1).
