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

defmodule :rust do
  def add(a, b), do: a + b
  def echo(term), do: term
  def sleep(ms), do: Process.sleep(ms) && :awake
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
{:ok, tasks} = Task.Supervisor.start_link(name: Peerl.TaskSupervisor)
Process.unlink(tasks)
:ok
