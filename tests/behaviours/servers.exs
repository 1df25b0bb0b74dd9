# What a BEAM node runs that is to be compared with a node of peerl: the servers and functions of tests/behaviours.rs.

defmodule Reference.Counter do
  use GenServer

  def init(value), do: {:ok, value}

  def handle_call({:add, by}, _, value), do: {:reply, value + by, value + by}
  def handle_call(:value, _, value), do: {:reply, value, value}
  def handle_call({:sleep, ms}, _, value), do: Process.sleep(ms) && {:reply, value, value}
  def handle_call({:end, reason}, _, value), do: {:stop, reason, value}
  def handle_call({:idle, ms}, _, value), do: {:reply, value, value, ms}
  def handle_call(:double_next, _, value), do: {:reply, value, value, {:continue, :double}}

  def handle_call({:later, ms}, from, value) do
    spawn(fn -> Process.sleep(ms) && GenServer.reply(from, :later) end)
    {:noreply, value}
  end

  def handle_cast({:set, value}, _), do: {:noreply, value}
  def handle_continue(:double, value), do: {:noreply, value * 2}
  def handle_info(:timeout, value), do: {:noreply, value + 100}
  def handle_info({from, by}, value), do: send(from, value + by) && {:noreply, value + by}
  def handle_info(_, value), do: {:noreply, value}
  def code_change(_, _, :bad), do: {:error, :bad}
  def code_change(_, value, by), do: {:ok, value + by}
end

defmodule Reference.Switch do
  def callback_mode, do: :handle_event_function
  def init(state), do: {:ok, state, 0}
  def handle_event({:call, from}, :flip, :off, n), do: {:next_state, :on, n + 1, [{:reply, from, :on}]}
  def handle_event({:call, from}, :flip, :on, n), do: {:next_state, :off, n + 1, [{:reply, from, :off}]}
  def handle_event({:call, from}, :get, state, n), do: {:keep_state_and_data, [{:reply, from, {state, n}}]}
  def handle_event(:cast, :reset, _, _), do: {:next_state, :off, 0}
end

defmodule Reference.Events do
  def init(n), do: {:ok, n}
  def handle_event({:add, by}, n), do: {:ok, n + by}
  def handle_call(:get, n), do: {:ok, n, n}
  def handle_call(:crash, _), do: exit(:no)
  def terminate(argument, n), do: {argument, n}
end

defmodule :rust do
  def add(a, b), do: a + b
  def echo(term), do: term
  def sleep(ms), do: Process.sleep(ms) && :awake
  def wait, do: receive(do: (message -> message))
  def fail(:throw), do: throw(:ball)
  def fail(:exit), do: exit(:gone)
  def fail(_), do: :erlang.error(:wrong)
  def server(value), do: GenServer.start(Reference.Counter, value) |> elem(1)
  def start_link(value), do: GenServer.start_link(Reference.Counter, value)

  def supervisor(strategy) do
    children = for id <- [:a, :b, :c], do: %{id: id, start: {:rust, :start_link, [0]}}
    {:ok, pid} = Supervisor.start_link(children, strategy: strategy, max_restarts: 2, max_seconds: 60)
    Process.unlink(pid)
    pid
  end
end

{:ok, _} = GenServer.start(Reference.Counter, 0, name: :counter)
{:ok, _} = :gen_statem.start({:local, :switch}, Reference.Switch, :off, [])
{:ok, _} = :gen_event.start({:local, :events})
{:ok, _} = Agent.start(fn -> %{limit: 3} end, name: Reference.Settings)

defmodule Reference.Echo do
  def loop do
    receive do
      {from, message} -> send(from, {:echo, node(), message})
    end

    loop()
  end
end

Process.register(spawn(Reference.Echo, :loop, []), :echo)
tasks = %{id: :tasks, start: {Task.Supervisor, :start_link, [[name: Peerl.TaskSupervisor]]}}
{:ok, pid} = Supervisor.start_link([tasks], strategy: :one_for_one, max_restarts: 100)
Process.unlink(pid)
:ok
