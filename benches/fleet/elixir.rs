//! The same work in Elixir: workers that fetch, and a driver that distributes the pages.

use std::time::{Duration, Instant};

use peerl_test_support::{Beam, Epmd};

use crate::harness::Settings;

/// The fetch of the predecessor, with as many connections as requests at a time.
const FETCH: &str = r#"
defmodule ClusterScrape.PageController do
  def start do
    {:ok, _} = Application.ensure_all_started(:inets)
    :httpc.set_options(max_sessions: 1000, max_keep_alive_length: 0)
  end

  def fetch(url) do
    case :httpc.request(:get, {String.to_charlist(url), []}, [], body_format: :binary) do
      {:ok, {{_, 200, _}, _, body}} -> {:ok, url, Base.encode16(:crypto.hash(:sha256, body))}
      {:ok, _} -> {:error, url, "Other failure"}
      {:error, reason} -> {:error, url, reason}
    end
  end
end
ClusterScrape.PageController.start()
"#;

/// The program that distributes the work.
const DRIVER: &str = r#"
defmodule Driver do
  # What a call that finds its worker dead does: asks the next one.
  def call(workers, turn, url, asked \\ 1) do
    worker = elem(workers, rem(turn, tuple_size(workers)))
    try do
      {:ok, _, _} = :erpc.call(worker, ClusterScrape.PageController, :fetch, [url])
      asked
    rescue
      error in ErlangError ->
        if asked > 10, do: reraise(error, __STACKTRACE__)
        call(workers, turn + 1, url, asked + 1)
    end
  end

  # {microseconds, pages, pages asked for more than once}; at half of the pages, that process is killed.
  def async_stream(workers, urls, window, victim) do
    workers = List.to_tuple(workers)
    half = div(length(urls), 2)
    start = System.monotonic_time(:microsecond)
    {done, again} =
      urls
      |> Enum.with_index()
      |> Task.async_stream(fn {url, turn} -> call(workers, turn, url) end,
        max_concurrency: tuple_size(workers) * window, ordered: false, timeout: :infinity)
      |> Enum.reduce({0, 0}, fn {:ok, asked}, {done, again} ->
        if done + 1 == half, do: kill(victim)
        {done + 1, again + if(asked > 1, do: 1, else: 0)}
      end)
    {System.monotonic_time(:microsecond) - start, done, again}
  end

  def pmap(urls) do
    start = System.monotonic_time(:microsecond)
    results = :rpc.pmap({ClusterScrape.PageController, :fetch}, [], urls)
    done = Enum.count(results, &match?({:ok, _, _}, &1))
    {System.monotonic_time(:microsecond) - start, done, 0}
  end

  def kill(nil), do: :ok
  def kill(process), do: System.cmd("kill", ["-9", process])
end
"#;

/// A job's time, and the number of pages that were requested more than once.
pub(crate) struct Job {
    pub(crate) time: Duration,
    pub(crate) again: usize,
}

/// An Elixir node with the fetch.
pub(crate) fn worker(settings: &Settings, epmd: &Epmd) -> Beam {
    let beam = Beam::elixir(settings.otp).epmd(epmd).start();
    eval(&beam, FETCH);
    beam
}

/// An Elixir node that distributes work among others. With `rpc:pmap` it also works itself, since that function
/// includes the caller's node.
pub(crate) fn driver(settings: &Settings, epmd: &Epmd) -> Beam {
    let beam = worker(settings, epmd);
    eval(&beam, DRIVER);
    beam
}

/// Connects the driver to exactly these nodes.
pub(crate) fn connect(driver: &Beam, workers: &[&str]) {
    let list = atoms(workers);
    eval(driver, &format!("for node <- Node.list() -- {list}, do: Node.disconnect(node)"));
    assert_eq!(eval(driver, &format!("Enum.all?({list}, &Node.connect/1)")), "true");
    let end = Instant::now() + Duration::from_secs(10);
    while eval(driver, &format!("Enum.sort(Node.list()) == Enum.sort({list})")) != "true" {
        assert!(Instant::now() < end, "the driver is connected with others than {list}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `Task.async_stream` over `:erpc`, with a number of pending calls for each worker. After half of the pages, the
/// given process is killed.
pub(crate) fn async_stream(
    driver: &Beam,
    workers: &[&str],
    urls: &[String],
    window: usize,
    victim: Option<u32>,
) -> Job {
    let (workers, list) = (atoms(workers), strings(urls));
    job(driver, &format!("Driver.async_stream({workers}, {list}, {window}, {})", process(victim)), urls.len())
}

/// `:rpc.pmap`, with all calls at once.
pub(crate) fn pmap(driver: &Beam, urls: &[String]) -> Job {
    job(driver, &format!("Driver.pmap({})", strings(urls)), urls.len())
}

fn job(driver: &Beam, expression: &str, pages: usize) -> Job {
    let text = eval(driver, expression);
    let mut numbers = text.trim_matches(['{', '}']).split(", ").map(|number| number.parse::<u64>().expect("a number"));
    let mut next = || numbers.next().unwrap_or_else(|| panic!("not three numbers: {text}"));
    let (micros, done, again) = (next(), next() as usize, next() as usize);
    assert_eq!(done, pages, "every page has its sum");
    Job { time: Duration::from_micros(micros), again }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or("nil".to_owned(), |pid| format!("\"{pid}\""))
}

fn atoms(names: &[&str]) -> String {
    format!("[{}]", names.iter().map(|name| format!(":\"{name}\"")).collect::<Vec<_>>().join(", "))
}

fn strings(urls: &[String]) -> String {
    format!("[{}]", urls.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", "))
}

fn eval(beam: &Beam, expression: &str) -> String {
    beam.eval_elixir_within(expression, Duration::from_secs(120))
        .unwrap_or_else(|error| panic!("{error}: {expression}"))
}
