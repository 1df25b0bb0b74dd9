%% Runs in the node under test: evaluates what arrives on file descriptor 3 and answers on 4, every frame with a
%% 4-byte length. Each request has a process of its own. The node halts when the test closes the pipe.
Text = fun(Format, Arguments) -> unicode:characters_to_binary(io_lib:format(Format, Arguments)) end,
Parse = fun(Source) ->
    case erl_scan:string(unicode:characters_to_list(Source)) of
        {ok, Tokens, _} ->
            case erl_parse:parse_exprs(Tokens) of
                {ok, Expressions} -> Expressions;
                {error, {_, Module, Why}} -> exit({syntax, lists:flatten(Module:format_error(Why))})
            end;
        {error, {_, Module, Why}, _} -> exit({syntax, lists:flatten(Module:format_error(Why))})
    end
end,
Bindings = fun Bindings(<<>>) -> erl_eval:new_bindings();
               Bindings(<<NameLength, Name:NameLength/binary, Length:32, Value:Length/binary, Rest/binary>>) ->
    erl_eval:add_binding(binary_to_atom(Name, utf8), binary_to_term(Value), Bindings(Rest))
end,
Evaluate = fun(Source, Bound) -> element(2, erl_eval:exprs(Parse(Source), Bindings(Bound))) end,
Load = fun(Source) ->
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Source)),
    Forms = fun Forms([]) -> [];
                Forms(Left) ->
        {Form, [Dot | Rest]} = lists:splitwith(fun(Token) -> element(1, Token) =/= dot end, Left),
        case erl_parse:parse_form(Form ++ [Dot]) of
            {ok, Parsed} -> [Parsed | Forms(Rest)];
            {error, Why} -> exit({syntax, Why})
        end
    end,
    case compile:forms(Forms(Tokens), [return_errors]) of
        {ok, Module, Code} -> {module, Module} = code:load_binary(Module, "test", Code), Module;
        {error, Errors, _} -> exit({compile, Errors})
    end
end,
Perform = fun($t, Source, Bound) -> Text("~0tp", [Evaluate(Source, Bound)]);
             ($b, Source, Bound) -> term_to_binary(Evaluate(Source, Bound));
             ($m, Source, _) -> Text("~0tp", [Load(Source)]);
             ($x, Source, _) ->
    {Value, _} = 'Elixir.Code':eval_string(Source),
    'Elixir.Kernel':inspect(Value, [{limit, infinity}, {printable_limit, infinity}, {width, infinity}])
end,
spawn(fun() ->
    register(peerl_test_control, self()),
    Port = open_port({fd, 3, 4}, [binary, {packet, 4}, eof]),
    Reply = fun(Id, Status, Body) -> port_command(Port, [<<Id:64, Status>>, Body]) end,
    Reply(0, $o, Text("~ts~n~s", [node(), erlang:system_info(otp_release)])),
    Loop = fun Loop() ->
        receive
            {Port, {data, <<Id:64, Kind, Length:32, Source:Length/binary, Bound/binary>>}} ->
                spawn(fun() ->
                    try Perform(Kind, Source, Bound) of
                        Body -> Reply(Id, $o, Body)
                    catch
                        Class:Reason -> Reply(Id, $e, Text("~s~n~0tp", [Class, Reason]))
                    end
                end),
                Loop();
            {Port, eof} -> halt(0, [{flush, false}]);
            _ -> Loop()
        end
    end,
    Loop()
end).
