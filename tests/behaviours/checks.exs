# What users of Elixir and Erlang do with the servers, tasks and functions of another node. `Checks.run/2` does it with one
# node, and gives what came of each check, without what differs from node to node.

defmodule Checks do
  def run(target, names) do
    groups = [servers(target), sys(target) ++ supervisors(target), tasks(target), nodes(target) ++ calls(target)]

    groups
    |> Enum.map(fn checks ->
      Task.async(fn -> for {name, check} <- checks, names == :all or name in names, do: {name, outcome(target, check)} end)
    end)
    |> Task.await_many(:infinity)
    |> Enum.concat()
  end

  # Each check has a process of its own, so that no message is left for the next one.
  defp outcome(target, check) do
    this = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        Logger.disable(self())
        value =
          try do
            {:value, check.()}
          catch
            class, reason -> {class, reason, if(class == :error, do: __STACKTRACE__ |> Enum.take(1), else: [])}
          end

        send(this, {self(), shown(target, value)})
      end)

    receive do
      {^pid, value} -> value
      {:DOWN, ^monitor, _, _, reason} -> {:down, shown(target, reason)}
    after
      30_000 ->
        Process.exit(pid, :kill)
        :no_end
    end
  end

  # A term without what differs from run to run: pids, references, the name of the node, places in files.
  def shown(target, term) do
    case term do
      ^target -> :target
      pid when is_pid(pid) -> if node(pid) == target, do: :its_pid, else: :own_pid
      reference when is_reference(reference) -> :reference
      fun when is_function(fun) -> :fun
      {module, function, arity, place} when is_atom(module) and is_atom(function) and is_list(place) ->
        {:frame, module, function, if(is_list(arity), do: length(arity), else: arity)}
      tuple when is_tuple(tuple) -> tuple |> Tuple.to_list() |> Enum.map(&shown(target, &1)) |> List.to_tuple()
      [{_, _, _, place} = first | _] when is_list(place) -> [shown(target, first)]
      [head | tail] -> [shown(target, head) | shown(target, tail)]
      map when is_struct(map) -> map |> Map.from_struct() |> Map.put(:struct, map.__struct__) |> then(&shown(target, &1))
      map when is_map(map) -> Map.new(map, fn {key, value} -> {shown(target, key), shown(target, value)} end)
      other -> other
    end
  end

  defp new(target, value \\ 0), do: :rpc.call(target, :rust, :server, [value])

  # The reason with which a new server ends.
  defp reason(target, end_it) do
    pid = new(target)
    monitor = Process.monitor(pid)
    told = try do end_it.(pid) catch class, reason -> {class, reason} end
    {told, down(monitor)}
  end

  # A closure that every BEAM can evaluate, whatever modules it has.
  defp closure(text), do: text |> Code.eval_string() |> elem(0)

  defp down(monitor) do
    receive do
      {:DOWN, ^monitor, :process, _, reason} -> reason
    after
      10_000 -> :alive
    end
  end

  defp until(condition, times \\ 1000) do
    cond do
      condition.() -> :ok
      times == 0 -> :never
      true -> Process.sleep(10) && until(condition, times - 1)
    end
  end

  defp servers(target) do
    counter = {:counter, target}

    [
      call: fn -> GenServer.cast(counter, {:set, 1}); for(by <- [1, 2], do: GenServer.call(counter, {:add, by})) end,
      call_of_pid: fn -> GenServer.call(new(target, 7), :value) end,
      call_as_erlang: fn -> :gen_server.call(new(target, 7), {:add, 3}) end,
      global: fn ->
        :yes = :global.register_name({:counter, target}, new(target, 3))
        name = {:counter, target}
        values = [GenServer.call({:global, name}, :value), GenServer.call({:via, :global, name}, {:add, 1})]
        GenServer.stop({:global, name})
        {values, until(fn -> :global.whereis_name(name) == :undefined end)}
      end,
      multi_call: fn -> GenServer.multi_call([target, :nobody@localhost], :counter, {:add, 0}, 10_000) |> elem(1) end,
      multi_call_replies: fn ->
        GenServer.cast(counter, {:set, 5})
        GenServer.multi_call([target], :counter, :value)
      end,
      multi_call_without_end: fn -> :gen_server.multi_call([target], :counter, {:add, 0}, :infinity) |> elem(1) end,
      multi_call_of_nobody: fn -> GenServer.multi_call([target], :no_such_server, :value) end,
      multi_call_too_slow: fn -> :gen_server.multi_call([target], :counter, {:sleep, 2000}, 50) end,
      abcast: fn ->
        told = GenServer.abcast([target], :counter, {:set, 12})
        {told, GenServer.call(counter, :value)}
      end,
      responses: fn ->
        pid = new(target, 1)
        request = :gen_server.send_request(pid, {:later, 3000})
        early = {:gen_server.wait_response(request, 0), :gen_server.check_response(:message, request)}
        {early, :gen_server.receive_response(request, 10_000)}
      end,
      response_too_late: fn ->
        request = :gen_server.send_request(new(target), {:sleep, 60_000})
        :gen_server.receive_response(request, 20)
      end,
      response_of_nobody: fn ->
        :gen_server.receive_response(:gen_server.send_request({:no_such_server, target}, :value), 10_000)
      end,
      response_of_one_that_ends: fn ->
        :gen_server.receive_response(:gen_server.send_request(new(target), {:end, :why}), 10_000)
      end,
      collection: fn ->
        pid = new(target)
        requests =
          Enum.reduce(1..3, :gen_server.reqids_new(), fn n, requests ->
            :gen_server.send_request(pid, {:add, n}, n, requests)
          end)
        {one, label, requests} = :gen_server.receive_response(requests, 10_000, true)
        {two, _, requests} = :gen_server.wait_response(requests, 10_000, true)
        {one, label, two, :gen_server.reqids_size(requests)}
      end,
      later: fn -> GenServer.call(new(target), {:later, 10}) end,
      continue: fn -> pid = new(target, 4); for(request <- [:double_next, :value], do: GenServer.call(pid, request)) end,
      timeout: fn ->
        pid = new(target, 4)
        GenServer.call(pid, {:idle, 20})
        early = :sys.get_state(pid) in [4, 104]
        # Each question begins the time anew.
        told = until(fn -> Process.sleep(500) && :sys.get_state(pid) == 104 end, 20)
        {early, told, GenServer.call(pid, :value)}
      end,
      too_late: fn -> GenServer.call(new(target), {:sleep, 60_000}, 20) end,
      of_nobody: fn -> GenServer.call({:no_such_server, target}, :value) end,
      of_one_that_has_ended: fn -> pid = new(target); GenServer.stop(pid); GenServer.call(pid, :value) end,
      ends_in_a_call: fn -> GenServer.call(new(target), {:end, :why}) end,
      messages: fn -> send(new(target, 1), {self(), 2}); receive do value -> value after 10_000 -> :none end end,
      stop: fn -> reason(target, &GenServer.stop/1) end,
      stop_for_a_reason: fn -> reason(target, &GenServer.stop(&1, {:shutdown, :done}, 10_000)) end,
      stop_for_a_failure: fn -> reason(target, &:gen_server.stop(&1, :bye, 10_000)) end,
      stop_of_nobody: fn -> GenServer.stop({:no_such_server, target}) end,
      stop_by_proc_lib: fn -> reason(target, &:proc_lib.stop/1) end,
      exits: fn ->
        for why <- [:shutdown, {:shutdown, 1}, :kill, :other], do: reason(target, &Process.exit(&1, why))
      end,
      exit_normal: fn -> pid = new(target); Process.exit(pid, :normal); GenServer.call(pid, :value) end,
      ends: fn ->
        for why <- [:normal, :shutdown, {:shutdown, 1}, :other], do: reason(target, &GenServer.call(&1, {:end, why}))
      end,
      linked: fn ->
        Process.flag(:trap_exit, true)
        pid = new(target)
        Process.link(pid)
        GenServer.stop(pid, :bye)
        receive do message -> message after 10_000 -> :none end
      end,
      linked_the_other_way: fn ->
        pid = new(target)
        monitor = Process.monitor(pid)
        spawn(fn -> Process.link(pid); exit(:over) end)
        down(monitor)
      end,
      monitored: fn ->
        pid = new(target)
        monitors = for _ <- 1..2, do: Process.monitor(pid)
        Process.demonitor(hd(monitors))
        GenServer.stop(pid)
        down(List.last(monitors))
      end,
      monitored_by_name: fn ->
        monitor = Process.monitor({:no_such_server, target})
        receive do {:DOWN, ^monitor, :process, object, reason} -> {object, reason} after 10_000 -> :none end
      end,
      old_tags: fn ->
        # As a node of C, or an OTP before 24, marks its calls.
        pid = new(target, 6)
        tags = [make_ref(), {make_ref(), :multi}, [:alias | make_ref()], 7]
        for tag <- tags do
          send(pid, {:"$gen_call", {self(), tag}, :value})
          receive do {^tag, value} -> value after if(match?([_ | _], tag), do: 100, else: 10_000) -> :none end
        end
      end
    ]
  end

  defp sys(target) do
    [
      get_state: fn -> :sys.get_state(new(target, 3)) end,
      get_state_by_name: fn -> :sys.get_state({:counter, target}, 10_000) |> is_integer() end,
      replace_state: fn ->
        pid = new(target, 3)
        {:sys.replace_state(pid, closure("fn state -> state + 4 end")), GenServer.call(pid, :value)}
      end,
      replace_state_by_function: fn -> :sys.replace_state(new(target, -3), &:erlang.abs/1) end,
      replace_state_fails: fn ->
        pid = new(target, 3)
        {:error, {:callback_failed, _, why}} =
          try do :sys.replace_state(pid, closure("fn _ -> exit(:no) end")) catch :error, reason -> {:error, reason} end
        {why, GenServer.call(pid, :value)}
      end,
      get_status: fn ->
        {:status, pid, {:module, module}, [dictionary, state, parent, debug, misc]} = :sys.get_status(new(target, 3))
        {pid, module, is_list(dictionary), state, parent, debug, for({:data, pairs} <- misc, do: pairs), hd(misc) |> elem(0)}
      end,
      suspend: fn ->
        pid = new(target, 3)
        told = :sys.suspend(pid)
        request = :gen_server.send_request(pid, {:add, 1})
        early = :gen_server.wait_response(request, 50)
        {:status, _, _, [_, state | _]} = :sys.get_status(pid)
        value = :sys.get_state(pid)
        {told, early, state, value, :sys.resume(pid), :gen_server.receive_response(request, 10_000), :sys.get_state(pid)}
      end,
      terminate_suspended: fn -> reason(target, &(:sys.suspend(&1) && :sys.terminate(&1, :bye))) end,
      terminate: fn -> reason(target, &:sys.terminate(&1, :normal)) end,
      change_code: fn ->
        pid = new(target, 3)
        early = try do :sys.change_code(pid, :some_module, :old, 1) catch class, reason -> {class, reason} end
        :sys.suspend(pid)
        late = for extra <- [10, :bad], do: :sys.change_code(pid, :some_module, :old, extra)
        {early, late, :sys.get_state(pid)}
      end,
      statistics: fn ->
        pid = new(target)
        none = :sys.statistics(pid, :get)
        :sys.statistics(pid, true)
        GenServer.call(pid, :value)
        GenServer.cast(pid, {:set, 1})
        {:ok, figures} = :sys.statistics(pid, :get)
        counts = for key <- [:messages_in, :messages_out], do: figures[key]
        {{_, _, _}, {_, _, _}} = figures[:start_time]
        {none, counts, Keyword.keys(figures), :sys.statistics(pid, false), :sys.statistics(pid, :get)}
      end,
      log: fn ->
        pid = new(target)
        none = :sys.log(pid, :get)
        :sys.log(pid, true)
        GenServer.call(pid, {:add, 2})
        GenServer.cast(pid, {:set, 1})
        {:ok, events} = :sys.log(pid, :get)
        {none, events, :sys.log(pid, :print), :sys.log(pid, false), :sys.log(pid, :get)}
      end,
      log_of_some: fn ->
        pid = new(target)
        told = :sys.log(pid, {true, 3})
        for n <- 1..5, do: GenServer.call(pid, {:add, n})
        {told, :sys.log(pid, :get), :sys.no_debug(pid), :sys.log(pid, :get)}
      end,
      trace: fn -> pid = new(target); [:sys.trace(pid, true), GenServer.call(pid, :value), :sys.trace(pid, false)] end,
      debug_that_is_not_known: fn -> :gen.call(new(target), :system, {:debug, :nonsense}) end,
      remove: fn -> :sys.remove(new(target), :nothing) end,
      not_known: fn -> for what <- [:nonsense, {:nonsense, 1}, 7], do: :gen.call(new(target), :system, what, 10_000) end,
      of_nobody: fn -> :sys.get_state({:no_such_server, target}) end,
      install: fn -> :sys.install(new(target), {fn state, _, _ -> state end, 0}) end,
      log_to_file: fn -> :sys.log_to_file(new(target), String.to_charlist("/no/such/directory/file")) end
    ]
  end

  defp supervisor(target, strategy \\ :one_for_one), do: :rpc.call(target, :rust, :supervisor, [strategy])

  defp children(pid), do: Map.new(Supervisor.which_children(pid), fn {id, child, _, _} -> {id, child} end)

  # The children that are others after one of them has been killed.
  defp changed(pid, killed) do
    old = children(pid)
    Process.exit(old[killed], :kill)
    told = until(fn -> is_pid(children(pid)[killed]) and children(pid)[killed] != old[killed] end)
    new = children(pid)
    {told, for(id <- Map.keys(old), new[id] != old[id], do: id), Enum.all?(Map.values(new), &is_pid/1)}
  end

  defp supervisors(target) do
    [
      which_children: fn ->
        pid = supervisor(target)
        {for({id, child, type, _} <- Supervisor.which_children(pid), do: {id, child, type}), Supervisor.count_children(pid)}
      end,
      strategies: fn ->
        for strategy <- [:one_for_one, :rest_for_one, :one_for_all], do: changed(supervisor(target, strategy), :b)
      end,
      intensity: fn ->
        pid = supervisor(target, :one_for_all)
        twice = for _ <- 1..2, do: changed(pid, :a)
        monitors = [Process.monitor(pid), Process.monitor(children(pid)[:c])]
        Process.exit(children(pid)[:a], :other)
        {twice, Enum.map(monitors, &down/1)}
      end,
      terminate_restart_delete: fn ->
        pid = supervisor(target)
        {:ok, _} = Supervisor.restart_child(pid, :a) |> then(&if(&1 == {:error, :running}, do: {:ok, 1}, else: &1))
        monitor = Process.monitor(children(pid)[:a])
        told = [Supervisor.delete_child(pid, :a), Supervisor.terminate_child(pid, :a), down(monitor), children(pid)[:a]]
        again = [Supervisor.restart_child(pid, :a), Supervisor.terminate_child(pid, :a), Supervisor.delete_child(pid, :a)]
        nobody = [Supervisor.restart_child(pid, :x), Supervisor.terminate_child(pid, :x), Supervisor.delete_child(pid, :x)]
        {told, again, nobody, Map.keys(children(pid)), Supervisor.count_children(pid)}
      end,
      get_childspec: fn ->
        pid = supervisor(target)
        {:ok, spec} = :supervisor.get_childspec(pid, :b)
        {Map.take(spec, [:id, :restart, :shutdown, :type]), :supervisor.get_childspec(pid, :x)}
      end,
      start_child: fn ->
        pid = supervisor(target)
        spec = %{id: :d, start: {:rust, :start_link, [5]}}
        {:ok, child} = Supervisor.start_child(pid, spec)
        value = GenServer.call(child, :value)
        again = [Supervisor.start_child(pid, spec), changed(pid, :d), Supervisor.terminate_child(pid, :d), Supervisor.start_child(pid, spec)]
        temporary = Supervisor.start_child(pid, {:t, {:rust, :start_link, [6]}, :temporary, 100, :worker, [:rust]})
        {value, again, temporary, Supervisor.terminate_child(pid, :t), children(pid)[:t]}
      end,
      start_child_that_fails: fn ->
        pid = supervisor(target)
        for {module, function} <- [{:no_such_module, :f}, {:rust, :nothing}] do
          {:error, {why, child}} = Supervisor.start_child(pid, %{id: :e, start: {module, function, [1]}})
          {why, child |> Tuple.to_list() |> Enum.drop(-1), children(pid)[:e]}
        end
      end,
      start_child_that_is_none: fn ->
        pid = supervisor(target)
        start = {:rust, :start_link, [1]}
        for spec <- [
              %{id: :x}, %{start: start}, %{id: :x, start: 7}, :nonsense, %{id: :x, start: start, restart: :bad},
              %{id: :x, start: start, shutdown: :bad}, %{id: :x, start: start, type: :bad}
            ],
            do: :supervisor.start_child(pid, spec)
      end,
      stop_supervisor: fn ->
        pid = supervisor(target)
        monitors = for who <- [pid | Map.values(children(pid))], do: Process.monitor(who)
        {Supervisor.stop(pid), Enum.map(monitors, &down/1)}
      end,
      kill_supervisor: fn ->
        pid = supervisor(target)
        monitors = for who <- [pid | Map.values(children(pid))], do: Process.monitor(who)
        Process.exit(pid, :kill)
        Enum.map(monitors, &down/1)
      end,
      exit_of_a_stranger: fn -> pid = supervisor(target); Process.exit(pid, :shutdown); Supervisor.count_children(pid) end,
      children_are_linked: fn ->
        pid = supervisor(target)
        {:links, links} = :rpc.call(target, :erlang, :process_info, [pid, :links])
        Enum.sort(links) == Enum.sort(Map.values(children(pid)))
      end,
      supervisor_by_sys: fn ->
        pid = supervisor(target)
        {:status, _, module, [_, state | _]} = :sys.get_status(pid)
        told = :sys.suspend(pid)
        {module, state, told, :sys.resume(pid), :sys.terminate(pid, :shutdown)}
      end
    ]
  end

  defp tasks(target) do
    tasks = {Peerl.TaskSupervisor, target}

    [
      async: fn -> Task.Supervisor.async(tasks, :rust, :add, [1, 2]) |> Task.await(20_000) end,
      async_many: fn ->
        for(n <- 1..50, do: Task.Supervisor.async(tasks, :rust, :add, [n, 1])) |> Task.await_many(20_000) |> Enum.sum()
      end,
      async_large: fn ->
        large = :binary.copy(<<7>>, 3_000_000)
        (Task.Supervisor.async(tasks, :rust, :echo, [large]) |> Task.await(20_000)) == large
      end,
      async_fails: fn ->
        Process.flag(:trap_exit, true)
        for how <- [:error, :exit, :throw] do
          task = Task.Supervisor.async(tasks, :rust, :fail, [how])
          got = try do Task.await(task, 20_000) catch class, reason -> {class, reason} end
          {got, receive do {:EXIT, pid, why} when pid == task.pid -> why after 10_000 -> :none end}
        end
      end,
      async_of_nothing: fn ->
        Process.flag(:trap_exit, true)
        task = Task.Supervisor.async(tasks, :no_such_module, :function, [1])
        try do Task.await(task, 20_000) catch class, reason -> {class, reason} end
      end,
      async_of_a_closure: fn ->
        task = Task.Supervisor.async_nolink(tasks, fn -> 1 end)
        Task.yield(task, 20_000) |> elem(0)
      end,
      async_is_linked: fn ->
        this = self()
        caller = spawn(fn ->
          task = Task.Supervisor.async(tasks, :rust, :sleep, [60_000])
          send(this, task.pid)
          Process.sleep(:infinity)
        end)
        monitor = receive do pid -> Process.monitor(pid) end
        Process.exit(caller, :over)
        down(monitor)
      end,
      async_nolink: fn ->
        for how <- [:error, :exit, :throw] do
          Task.Supervisor.async_nolink(tasks, :rust, :fail, [how]) |> Task.yield(20_000)
        end
      end,
      async_nolink_outlives: fn ->
        this = self()
        caller = spawn_monitor(fn -> send(this, Task.Supervisor.async_nolink(tasks, :rust, :wait, []).pid) end)
        pid = receive do pid when is_pid(pid) -> pid end
        monitor = Process.monitor(pid)
        why = down(elem(caller, 1))
        send(pid, :go_on)
        {why, down(monitor)}
      end,
      shutdown: fn ->
        for how <- [:brutal_kill, 5000] do
          task = Task.Supervisor.async_nolink(tasks, :rust, :sleep, [60_000])
          monitor = Process.monitor(task.pid)
          {Task.yield(task, 10), Task.shutdown(task, how), down(monitor)}
        end
      end,
      await_too_long: fn ->
        Process.flag(:trap_exit, true)
        Task.Supervisor.async(tasks, :rust, :sleep, [500]) |> Task.await(20)
      end,
      receives: fn ->
        task = Task.Supervisor.async(tasks, :rust, :wait, [])
        shown = fn -> :rpc.call(target, :erlang, :process_info, [task.pid, :current_function]) end
        told = until(fn -> shown.() == {:current_function, {:rust, :wait, 0}} end)
        send(task.pid, :hello)
        {told, Task.await(task, 20_000)}
      end,
      receives_and_is_ended: fn ->
        for how <- [:shutdown, :kill] do
          task = Task.Supervisor.async_nolink(tasks, :rust, :wait, [])
          Process.exit(task.pid, how)
          Task.yield(task, 20_000)
        end
      end,
      nonsense: fn ->
        # No caller ends the supervisor for others by what it sends.
        pid = :rpc.call(target, :erlang, :whereis, [Peerl.TaskSupervisor])
        send(pid, :nonsense)
        GenServer.cast(pid, :nonsense)
        send(pid, {:EXIT, self(), :normal})
        {:ok, lost} = GenServer.call(pid, {:start_task, [{node(), self(), self()}, :monitor], :temporary, nil})
        monitor = Process.monitor(lost)
        for message <- [:nonsense, {self(), 1}, {:other, 1, 2, [], {:rust, :add, [1, 2]}}], do: send(lost, message)
        send(lost, {self(), 1, self(), [], {:rust, :add, [1 | 2]}})
        {down(monitor) |> elem(0), Task.Supervisor.async(tasks, :rust, :add, [1, 2]) |> Task.await(20_000)}
      end,
      start_child: fn ->
        {:ok, pid} = Task.Supervisor.start_child(tasks, :rust, :wait, [])
        monitor = Process.monitor(pid)
        send(pid, :go_on)
        down(monitor)
      end,
      start_child_that_fails: fn ->
        {:ok, pid} = Task.Supervisor.start_child(tasks, :rust, :fail, [:error])
        # It may have ended before it is monitored.
        case pid |> Process.monitor() |> down() do
          :noproc -> :fails
          {:wrong, [{:rust, :fail, _, _} | _]} -> :fails
          other -> other
        end
      end,
      start_child_again: fn ->
        until(fn -> Task.Supervisor.children(tasks) == [] end)
        {:ok, first} = Task.Supervisor.start_child(tasks, :rust, :sleep, [60_000], restart: :transient)
        Process.exit(first, :kill)
        until(fn -> Task.Supervisor.children(tasks) not in [[], [first]] end)
        [second] = Task.Supervisor.children(tasks)
        {Task.Supervisor.terminate_child(tasks, second), Task.Supervisor.children(tasks)}
      end,
      children: fn ->
        until(fn -> Task.Supervisor.children(tasks) == [] end)
        none = DynamicSupervisor.count_children(tasks)
        {:ok, pid} = Task.Supervisor.start_child(tasks, :rust, :sleep, [60_000], shutdown: :brutal_kill)
        monitor = Process.monitor(pid)
        some = {Task.Supervisor.children(tasks) == [pid], DynamicSupervisor.which_children(tasks), DynamicSupervisor.count_children(tasks)}
        told = Task.Supervisor.terminate_child(tasks, pid)
        {none, some, told, down(monitor), Task.Supervisor.terminate_child(tasks, pid), Task.Supervisor.children(tasks)}
      end,
      terminate_child: fn ->
        task = Task.Supervisor.async_nolink(tasks, :rust, :sleep, [60_000])
        {Task.Supervisor.terminate_child(tasks, task.pid), Task.yield(task, 20_000)}
      end,
      stream: fn -> Task.Supervisor.async_stream(tasks, 1..20, :rust, :add, [1], max_concurrency: 4) |> Enum.to_list() end,
      stream_nolink: fn ->
        Task.Supervisor.async_stream_nolink(tasks, [:error, :exit], :rust, :fail, []) |> Enum.to_list()
      end,
      stream_too_slow: fn ->
        Task.Supervisor.async_stream_nolink(tasks, [1, 60_000], :rust, :sleep, [], timeout: 6000, on_timeout: :kill_task)
        |> Enum.to_list()
      end,
      stream_is_left: fn ->
        one = Task.Supervisor.async_stream(tasks, [1 | List.duplicate(60_000, 3)], :rust, :sleep, [], max_concurrency: 4) |> Enum.take(1)
        {one, until(fn -> Task.Supervisor.children(tasks) == [] end)}
      end,
      caller_says_nothing: fn ->
        # A caller that asks for a task, and ends before it says what the task is to do.
        this = self()
        caller = spawn(fn ->
          {:ok, pid} = GenServer.call(tasks, {:start_task, [{node(), self(), self()}, :monitor], :temporary, nil})
          send(this, pid)
          Process.sleep(:infinity)
        end)
        task = receive do pid -> pid end
        monitor = Process.monitor(task)
        until(fn -> task in (Process.info(caller, :monitored_by) |> elem(1)) end)
        Process.exit(caller, :over)
        down(monitor)
      end,
      state: fn -> is_map(:sys.get_state(tasks)) end,
      stop: fn ->
        pid = :rpc.call(target, :erlang, :whereis, [Peerl.TaskSupervisor])
        {:ok, child} = Task.Supervisor.start_child(tasks, :rust, :sleep, [60_000])
        monitors = [Process.monitor(pid), Process.monitor(child)]
        {Supervisor.stop(pid, :shutdown), Enum.map(monitors, &down/1)}
      end,
      started_too_often: fn ->
        until(fn -> is_pid(:rpc.call(target, :erlang, :whereis, [Peerl.TaskSupervisor])) end)
        {:ok, bystander} = Task.Supervisor.start_child(tasks, :rust, :sleep, [60_000])
        monitor = Process.monitor(bystander)
        {:ok, _} = Task.Supervisor.start_child(tasks, :rust, :fail, [:exit], restart: :transient)
        down(monitor)
      end,
      # At a BEAM, the supervisor of the supervisor starts it again.
      started_again: fn ->
        until(fn -> is_pid(:rpc.call(target, :erlang, :whereis, [Peerl.TaskSupervisor])) end)
        Task.Supervisor.async(tasks, :rust, :add, [1, 2]) |> Task.await(20_000)
      end
    ]
  end

  defp nodes(target) do
    [
      ping: fn -> {Node.ping(target), Node.connect(target), target in Node.list(), target in Node.list(:connected)} end,
      spawn: fn -> {_, monitor} = Node.spawn_monitor(target, :rust, :sleep, [10]); down(monitor) end,
      spawn_fails: fn ->
        for how <- [:error, :exit, :throw] do
          {_, monitor} = Node.spawn_monitor(target, :rust, :fail, [how])
          down(monitor)
        end
      end,
      spawn_nothing: fn -> {_, monitor} = Node.spawn_monitor(target, :no_such_module, :f, [1]); down(monitor) end,
      spawn_link: fn ->
        Process.flag(:trap_exit, true)
        pid = Node.spawn_link(target, :rust, :fail, [:exit])
        receive do {:EXIT, ^pid, why} -> why after 10_000 -> :none end
      end,
      monitor: fn -> {Node.monitor(target, true), Node.monitor(target, false)} end
    ]
  end

  defp calls(target) do
    [
      rpc: fn -> [:rpc.call(target, :rust, :add, [1, 2]), :rpc.block_call(target, :rust, :add, [1, 2]), :rpc.cast(target, :rust, :add, [1, 2])] end,
      rpc_fails: fn -> for how <- [:error, :exit, :throw], do: :rpc.call(target, :rust, :fail, [how]) end,
      rpc_block_fails: fn -> for how <- [:error, :exit, :throw], do: :rpc.block_call(target, :rust, :fail, [how]) end,
      rpc_of_nothing: fn -> for m <- [:no_such_module, :rust], do: :rpc.call(target, m, :nothing, [1]) end,
      rpc_too_slow: fn -> :rpc.call(target, :rust, :sleep, [60_000], 20) end,
      rpc_multicall: fn -> :rpc.multicall([target, :nobody@localhost, target], :rust, :add, [1, 2], 10_000) end,
      rpc_eval_everywhere: fn -> :rpc.eval_everywhere([target], :rust, :add, [1, 2]) end,
      rpc_async: fn ->
        key = :rpc.async_call(target, :rust, :sleep, [3000])
        {:rpc.nb_yield(key, 0), :rpc.yield(key)}
      end,
      rpc_pinfo: fn ->
        pid = new(target)
        names = for item <- [:message_queue_len, :registered_name], do: :rpc.pinfo(:rpc.call(target, :erlang, :whereis, [:counter]), item)
        GenServer.stop(pid)
        {names, until(fn -> :rpc.pinfo(pid, :status) == :undefined end)}
      end,
      rpc_server_call: fn -> :rpc.server_call(target, :no_such_server, :wrapper, 1) end,
      rpc_abcast: fn ->
        told = :rpc.abcast([target], :counter, {self(), 0})
        {told, receive do value -> is_integer(value) after 10_000 -> :none end}
      end,
      rpc_sbcast: fn -> {:rpc.sbcast([target], :counter, :nothing), :rpc.sbcast([target], :no_such_server, :nothing)} end,
      rpc_multi_server_call: fn -> :rpc.multi_server_call([target], :no_such_server, 1) end,
      erpc: fn -> :erpc.call(target, :rust, :add, [1, 2], 10_000) end,
      erpc_fails: fn ->
        for how <- [:error, :exit, :throw] do
          try do :erpc.call(target, :rust, :fail, [how]) catch class, reason -> {class, reason} end
        end
      end,
      erpc_too_slow: fn -> :erpc.call(target, :rust, :sleep, [60_000], 20) end,
      erpc_deadline: fn -> :erpc.multicall([target], :rust, :sleep, [60_000], 20) end,
      erpc_multicall: fn -> :erpc.multicall([target, :nobody@localhost], :rust, :echo, [[1]], 20_000) end,
      erpc_multicall_fails: fn -> for how <- [:error, :exit, :throw], do: :erpc.multicall([target], :rust, :fail, [how]) end,
      erpc_cast: fn -> {:erpc.cast(target, :rust, :add, [1, 2]), :erpc.multicast([target, target], :rust, :add, [1, 2])} end,
      erpc_requests: fn ->
        request = :erpc.send_request(target, :rust, :sleep, [3000])
        early = {:erpc.wait_response(request, 0), :erpc.check_response(:message, request)}
        {early, :erpc.receive_response(request, 10_000)}
      end,
      erpc_collection: fn ->
        requests =
          Enum.reduce(1..3, :erpc.reqids_new(), fn n, requests -> :erpc.send_request(target, :rust, :sleep, [elem({100, 2_000, 10_000}, n - 1)], n, requests) end)
        {one, label, requests} = :erpc.receive_response(requests, 10_000, true)
        {{:response, two}, 2, requests} = :erpc.wait_response(requests, 10_000, true)
        {one, label, two, :erpc.reqids_size(requests), requests |> :erpc.reqids_to_list() |> Keyword.values() |> length()}
      end,
      erpc_of_a_closure: fn ->
        try do :erpc.call(target, fn -> 1 end) catch :error, {:exception, reason, _} -> reason end
      end
    ]
  end
end
