# A stand-in for phoenix_pubsub, of our own words: the groups, processes and messages that other nodes see of it, and the modules
# by which a node of Phoenix dispatches. Subscribers are kept in one agent.

defmodule Phoenix.PubSub do
  def dispatch(pids, _from, message), do: Enum.each(pids, &send(&1, message))
end

defmodule Phoenix.Socket.Broadcast do
  defstruct [:topic, :event, :payload]
end

defmodule Phoenix.Channel.Server do
  def dispatch(pids, _from, %Phoenix.Socket.Broadcast{event: event, payload: payload}) do
    Enum.each(pids, &send(&1, {:pushed, event, payload}))
  end
end

defmodule StandIn do
  @scope Phoenix.PubSub

  # Starts the workers of a pool of this size; `first` says what the first group is called.
  def start(pubsub, size, first \\ :adapter) do
    _ = Agent.start(fn -> [] end, name: StandIn.Subscribers)
    _ = :pg.start(@scope)
    for number <- 1..size, do: start_worker(group(pubsub, number, first))
    :ok
  end

  def group(pubsub, number, first \\ :adapter)
  def group(pubsub, 1, :adapter), do: adapter(pubsub)
  def group(pubsub, number, _), do: :"#{adapter(pubsub)}_#{number}"

  def members(pubsub, number), do: :pg.get_members(@scope, group(pubsub, number))

  # As a process would whose hash chooses this group.
  def broadcast(pubsub, topic, message, number \\ 1, dispatcher \\ Phoenix.PubSub) do
    message = {:forward_to_local, topic, message, dispatcher}
    for pid <- members(pubsub, number), node(pid) != node(), do: send(pid, message)
    :ok
  end

  def direct(pubsub, node, topic, message, number \\ 1) do
    send({group(pubsub, number), node}, {:forward_to_local, topic, message, Phoenix.PubSub})
    :ok
  end

  # A process that keeps what the topic brings, under this name.
  def listen(name, topic) do
    parent = self()

    pid =
      spawn(fn ->
        listener = self()
        Process.register(listener, name)
        Agent.update(StandIn.Subscribers, &[{topic, listener} | &1])
        send(parent, {self(), :listens})
        keep([])
      end)

    receive do
      {^pid, :listens} -> :ok
    end
  end

  # What has come, in its order.
  def heard(name) do
    send(name, {:tell, self()})

    receive do
      {:heard, messages} -> messages
    end
  end

  defp keep(messages) do
    receive do
      {:tell, from} ->
        send(from, {:heard, Enum.reverse(messages)})
        keep(messages)

      message ->
        keep([message | messages])
    end
  end

  defp adapter(pubsub), do: Module.concat(pubsub, "Adapter")

  defp start_worker(group) do
    if Process.whereis(group) == nil do
      parent = self()

      pid =
        spawn(fn ->
          Process.register(self(), group)
          :ok = :pg.join(@scope, group, self())
          send(parent, {self(), :works})
          work()
        end)

      receive do
        {^pid, :works} -> :ok
      end
    end
  end

  defp work do
    receive do
      {:forward_to_local, topic, message, dispatcher} ->
        pids = for {^topic, pid} <- Agent.get(StandIn.Subscribers, & &1), do: pid
        if pids != [], do: dispatcher.dispatch(pids, :none, message)
    end

    work()
  end
end
