//! `peerl checksum` and `peerl pmap` as users run them: complete, interrupted, and with hostile input.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use crate::cluster::{A_WHILE, Cluster, Pages, records, wait_for_records};
use peerl_cli::page_client::Sum;
use peerl_test_support::{Beam, Otp, ProcessGuard};

/// Slow pages, and a run of their checksums with a results file.
struct SlowRun<'a> {
    cluster: &'a Cluster,
    pages: Pages,
    urls: Vec<String>,
    file: String,
    out: PathBuf,
}

impl<'a> SlowRun<'a> {
    fn new(cluster: &'a Cluster, count: usize, milliseconds: u64) -> Self {
        let pages = Pages::serve();
        let urls: Vec<String> = (0..count).map(|number| pages.url(&format!("/{milliseconds}/p{number}"))).collect();
        let file = cluster.write("urls.txt", urls.join("\n"));
        Self { cluster, pages, urls, file, out: cluster.path("out.jsonl") }
    }

    fn command(&self, more: &str) -> Command {
        let mut command = self.cluster.command(&["checksum", "--file", &self.file, "--format", "json", "--out"]);
        command.arg(&self.out).args(more.split(' '));
        command
    }

    /// Starts it, and waits for this number of results.
    fn start(&self, more: &str, results: usize) -> ProcessGuard {
        let running = ProcessGuard::spawn(&mut self.command(more));
        wait_for_records(&self.out, results);
        running
    }

    /// The rows that a successful run has printed: the sum of each page.
    fn rows(&self, running: &ProcessGuard) -> Vec<serde_json::Value> {
        assert!(running.wait(A_WHILE).success(), "{}{}", running.stdout(), running.stderr());
        let rows: Vec<serde_json::Value> = serde_json::from_str(&running.stdout()).unwrap();
        assert_eq!(rows.len(), self.urls.len());
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(row["sha256"], sum(&format!("p{number}")), "{row}");
        }
        assert_eq!(records(&self.out).len(), rows.len(), "each is written once");
        rows
    }
}

fn sum(text: &str) -> String {
    Sum::of(text.as_bytes()).to_string()
}

#[test]
fn sums_in_input_order_from_several_workers() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let workers = [cluster.worker(&[]), cluster.worker(&[]), cluster.worker(&[])];
    let urls: Vec<String> = (0..60).map(|number| pages.url(&format!("/{}/p{number}", 20 * (number % 3)))).collect();
    let file = cluster.write("urls.txt", format!("# a comment\n\n{}\n", urls[1..].join("\n")));
    let ran = cluster.run(&[
        "checksum",
        &urls[0],
        "--file",
        &file,
        "--discover",
        "epmd:127.0.0.1",
        "--concurrency",
        "4",
        "--format",
        "json",
    ]);
    let rows = ran.json();
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut nodes = HashSet::new();
    for (number, (row, url)) in rows.as_array().unwrap().iter().zip(&urls).enumerate() {
        assert_eq!((row["url"].as_str(), row["status"].as_u64()), (Some(url.as_str()), Some(200)));
        assert_eq!(row["sha256"], sum(&format!("p{number}")));
        assert_eq!(row["error"], serde_json::Value::Null);
        nodes.insert(row["node"].as_str().unwrap().to_owned());
    }
    assert_eq!(rows.as_array().unwrap().len(), urls.len());
    assert_eq!(nodes, workers.iter().map(|(_, name)| name.clone()).collect());
    assert!(urls.iter().all(|url| pages.count(url) == 1));
}

#[test]
fn a_table_with_sums_and_messages_and_exit_code_2() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (good, bad) = (pages.url("/0/good"), pages.url("/half"));
    let input = format!("{good}\n{bad}\nnot a url\n");
    let ran = cluster.run_with(&["checksum", "--file", "-", "--local", "4"], input.as_bytes());
    assert_eq!(ran.code, 2, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    assert!(lines[0].starts_with("URL"));
    assert!(lines[1].contains(&good) && lines[1].contains(&sum("good")), "{ran:?}");
    assert!(lines[2].contains(&bad) && lines[3].contains("not an http or https URL"), "{ran:?}");
    assert!(ran.err.contains("2 of 3 URLs failed"), "{ran:?}");
    for (format, first) in [("erlang", "[#{"), ("elixir", "[%{")] {
        let ran = cluster.run(&["checksum", &good, "--local", "1", "--format", format]);
        assert!(ran.ok().starts_with(first));
    }
}

#[test]
fn resume_after_kill_9_repeats_nothing_that_is_whole() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let job = SlowRun::new(&cluster, 40, 50);
    let options = format!("--node {name} --concurrency 2 --resume");
    let running = job.start(&options, 7);
    running.kill();
    running.wait(A_WHILE);
    // As if the machine had failed in the middle of a line.
    let mut content = std::fs::read(&job.out).unwrap();
    content.truncate(content.len() - 9);
    std::fs::write(&job.out, &content).unwrap();
    let whole: Vec<_> = records(&job.out).iter().map(|record| record["url"].as_str().unwrap().to_owned()).collect();
    assert!((6..40).contains(&whole.len()));
    let counts = || whole.iter().map(|url| job.pages.count(url)).collect::<Vec<_>>();
    let before = counts();

    job.rows(&ProcessGuard::spawn(&mut job.command(&options)));
    assert_eq!(counts(), before, "nothing is fetched again");
    let text = std::fs::read_to_string(&job.out).unwrap();
    let mut done = HashSet::new();
    let header =
        r#"{"peerl":{"version":1,"command":"checksum","call":"peerl_page:checksum(_)","items_format":"lines"}}"#;
    assert_eq!(text.lines().next(), Some(header));
    for line in text.lines().skip(1) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let keys: HashSet<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, HashSet::from(["url", "status", "sha256", "bytes", "node", "ms", "error"]));
        let url = record["url"].as_str().unwrap();
        assert_eq!(record["sha256"], sum(url.rsplit('/').next().unwrap()));
        done.insert(url.to_owned());
    }
    assert_eq!(done.len(), job.urls.len());
    // A third run has nothing to do.
    job.rows(&ProcessGuard::spawn(&mut job.command(&options)));
    assert_eq!(std::fs::read_to_string(&job.out).unwrap(), text);
}

#[test]
fn a_worker_that_is_killed_in_mid_fan_out_loses_nothing() {
    let cluster = Cluster::start();
    let workers = [cluster.worker(&[]), cluster.worker(&[]), cluster.worker(&[])];
    let job = SlowRun::new(&cluster, 60, 100);
    let running = job.start("--discover epmd:127.0.0.1 --concurrency 2", 6);
    workers[1].0.kill();
    job.rows(&running);
}

#[test]
fn ctrl_c_keeps_what_is_done() {
    let cluster = Cluster::start();
    let job = SlowRun::new(&cluster, 200, 50);
    let running = job.start("--local 2", 3);
    running.sigint();
    assert_eq!(running.wait(A_WHILE).code(), Some(130));
    assert!(running.stderr().contains("--resume"), "{}", running.stderr());
    assert!(std::fs::read_to_string(&job.out).unwrap().ends_with("}\n"));
}

#[test]
fn hostile_servers_end_within_their_limits() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (worker, name) = cluster.worker(&[]);
    let paths = ["/endless-body", "/endless-head", "/garbage", "/silence", "/circle", "/to-file", "/half"];
    let urls: Vec<String> = paths.iter().map(|path| pages.url(path)).collect();
    let input = urls.join("\n");
    let arguments = ["checksum", "--file", "-", "--node", &name, "--timeout", "8s", "--format", "json"];
    let ran = cluster.run_with(&arguments, input.as_bytes());
    assert_eq!(ran.code, 2, "{ran:?}");
    for (row, path) in ran.json().as_array().unwrap().iter().zip(paths) {
        assert!(row["error"].is_string() && row["sha256"].is_null(), "{path}: {row}");
    }
    assert_eq!(ran.json()[5]["error"], "not an http or https URL: \"file:///etc/passwd\"");
    assert!(worker.is_running());
    assert_eq!(cluster.run(&["call", &name, "erlang:node()"]).ok().trim(), format!("'{name}'"));
}

#[test]
fn hostile_input_is_an_error_or_a_failed_item() {
    let cluster = Cluster::start();
    let (worker, name) = cluster.worker(&[]);
    let not_text = cluster.write("binary", b"http://a/\n\xff\xfe\n");
    assert!(cluster.run(&["checksum", "--file", &not_text, "--local", "1"]).failure(1).contains("line 2"));
    assert!(cluster.run(&["checksum", "--file", "/", "--local", "1"]).failure(1).contains("cannot read /"));
    assert!(cluster.run(&["checksum", "--file", "/dev/null", "--local", "1"]).failure(64).contains("no URLs"));
    let long = format!("http://127.0.0.1/{}", "a".repeat(5_000_000));
    let strange =
        ["http://\u{1b}[2J/", "http://[", "javascript:alert(1)", "http://127.0.0.1:99999/", &long, "\u{202e}"];
    let input = strange.join("\n");
    let ran = cluster.run_with(&["checksum", "--file", "-", "--node", &name], input.as_bytes());
    assert_eq!(ran.code, 2);
    assert!(!ran.out.contains('\u{1b}'));
    // Nesting that would overflow the stack of a recursive parser.
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let items = cluster.write("deep", &deep);
    let pmap = |format: &str| {
        let arguments = ["pmap", "peerl:echo(_)", "--items", &items, "--items-format", format, "--node", &name];
        cluster.run(&arguments).code
    };
    assert!([0, 64].contains(&pmap("erlang")));
    assert!([0, 64].contains(&pmap("elixir")));
    assert_eq!(pmap("json"), 64);
    let notes = cluster.write("notes", "buy milk\n");
    let failure =
        cluster.run(&["checksum", "http://127.0.0.1:1/", "--local", "1", "--out", &notes, "--resume"]).failure(1);
    assert!(failure.contains("notes") && failure.contains("hint"), "{failure}");
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "buy milk\n");
    assert!(worker.is_running());
}

#[test]
fn pmap_over_a_beam_and_a_worker() {
    let cluster = Cluster::start();
    let beam = Beam::elixir(Otp::V25).epmd(&cluster.epmd).start();
    let (_worker, worker) = cluster.worker(&["--node", beam.name()]);
    let tasks = format!(
        "Task.Supervisor.async_stream({{Peerl.TaskSupervisor, :\"{worker}\"}}, [1, 2], :peerl, :echo, []) |> Enum.to_list()"
    );
    assert_eq!(beam.eval_elixir(&tasks).unwrap(), "[ok: 1, ok: 2]");
    let numbers: String = (1..=300).map(|number| format!("{number}\n")).collect();
    let arguments = ["pmap", "String.to_integer(_)", "--items", "-", "--node", beam.name(), "--format", "json"];
    let ran = cluster.run_with(&arguments, numbers.as_bytes());
    let values: Vec<i64> = ran.json().as_array().unwrap().iter().map(|row| row["value"].as_i64().unwrap()).collect();
    assert_eq!(values, (1..=300).collect::<Vec<_>>());
    // The same function with both commands; and items that are terms.
    let items = "{a, 1}.\n[1,\n 2].\n<<\"x\">>.\n";
    let arguments = ["pmap", "crypto:hash(sha256, erlang)", "--items", "-", "--node", beam.name()];
    assert_eq!(cluster.run_with(&arguments, b"x").code, 64, "no place for the item");
    let arguments = [
        "pmap",
        "crypto:hash(sha256, [_, \"-\", _])",
        "--items",
        "-",
        "--items-format",
        "erlang",
        "--node",
        beam.name(),
        "--node",
        &worker,
        "--format",
        "json",
    ];
    let ran = cluster.run_with(&arguments, items.as_bytes());
    let rows = ran.json();
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(rows[0]["error"].as_str().unwrap().contains("badarg"), "{ran:?}");
    assert!(rows[1]["value"]["$binary"].is_string() && rows[2]["value"]["$binary"].is_string(), "{ran:?}");
    assert_eq!(rows[1]["item"], "[1,2]");
    // Results written as JSON are shown as terms again when a run is resumed.
    let out = cluster.path("echoed.jsonl");
    let items = r#"[{"$tuple": [{"$atom": "ok"}, 1]}, "s", {"k": null}]"#;
    let arguments = [
        "pmap",
        "peerl:echo({_, x})",
        "--items",
        "-",
        "--items-format",
        "json",
        "--node",
        &worker,
        "--out",
        out.to_str().unwrap(),
        "--resume",
    ];
    let first = cluster.run_with(&arguments, items.as_bytes()).ok();
    for shown in ["{{ok,1},x}", "{<<\"s\">>,x}", "{#{<<\"k\">> => nil},x}"] {
        assert!(first.contains(shown), "{first}");
    }
    assert_eq!(cluster.run_with(&arguments, items.as_bytes()).ok(), first);
    let erlang = cluster.run_with(&[&arguments[..], &["--format", "erlang"]].concat(), items.as_bytes()).ok();
    assert!(erlang.contains("value => {{ok,1},x}"), "{erlang}");
}

#[test]
fn a_function_of_a_beam_takes_the_sums() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    beam.load_module(
        "-module(summer).\n-export([sum/1]).\n\
         sum(<<\"http://bad\", _/binary>> = Url) -> {error, Url, <<\"URL Not Found\">>};\n\
         sum(Url) -> {ok, Url, list_to_binary([io_lib:format(\"~2.16.0B\", [B]) || <<B>> <= erlang:md5(Url), _ <- [1, 2]])}.\n",
    )
    .unwrap();
    let ran = cluster.run(&[
        "checksum",
        &pages.url("/0/x"),
        "http://bad/",
        "--node",
        beam.name(),
        "--function",
        "summer:sum/1",
        "--format",
        "json",
    ]);
    let rows = ran.json();
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(rows[0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(rows[1]["error"], "URL Not Found");
    assert_eq!(rows[0]["node"], beam.name());
}

/// The name of the Elixir module, in the notation of either language or a mix.
#[test]
fn the_function_of_the_ancestor_takes_the_sums() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (_worker, name) = cluster.worker(&[]);
    let url = pages.url("/0/x");
    let sum = |arguments: &[&str]| {
        let ran = cluster.run(&[&["checksum", &url, "--node", &name, "--format", "json"], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()[0]["sha256"].as_str().unwrap().to_owned()
    };
    let expected = sum(&[]);
    for function in [
        "ClusterScrape.PageController.fetch/1",
        "'Elixir.ClusterScrape.PageController':fetch/1",
        "ClusterScrape.PageController:fetch/1",
    ] {
        assert_eq!(sum(&["--function", function]), expected, "{function}");
    }
}

#[test]
fn workers_that_come_later_join_in() {
    let cluster = Cluster::start();
    let (_first, first_name) = cluster.worker(&[]);
    let job = SlowRun::new(&cluster, 120, 200);
    let running = job.start("--discover epmd:127.0.0.1 --concurrency 1", 2);
    let (_second, second_name) = cluster.worker(&[]);
    let rows = job.rows(&running);
    let by = |name: &str| rows.iter().filter(|row| row["node"] == *name).count();
    assert!(by(&first_name) > 0 && by(&second_name) > 0, "{} {}", by(&first_name), by(&second_name));
}

#[test]
fn a_large_page_costs_no_memory() {
    let (cluster, pages) = (Cluster::start(), Pages::serve());
    let (worker, name) = cluster.worker(&[]);
    let url = pages.url("/megabytes/256");
    let ran = cluster.run(&["checksum", &url, "--node", &name, "--timeout", "60s", "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()[0]["bytes"], 256 << 20);
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 64 * 1024, "{kilobytes} kB");
}

#[test]
fn a_worker_that_dies_and_comes_back_goes_on() {
    let cluster = Cluster::start();
    let (worker, name) = cluster.worker(&[]);
    let job = SlowRun::new(&cluster, 30, 50);
    let running = job.start(&format!("--node {name} --concurrency 2"), 3);
    worker.kill();
    worker.wait(A_WHILE);
    let again = ProcessGuard::spawn(&mut cluster.command(&["worker", "--name", &name, "--listen", "127.0.0.1"]));
    again.wait_for_line("ready", A_WHILE);
    job.rows(&running);
}

#[test]
fn what_nobody_answered_is_done_by_a_later_run() {
    let cluster = Cluster::start();
    let (worker, name) = cluster.worker(&[]);
    // Half a minute, one at a time: it is in the middle when the worker dies. All at once afterwards.
    let job = SlowRun::new(&cluster, 60, 500);
    let options = |concurrency: u32| format!("--node {name} --concurrency {concurrency} --resume");
    let running = job.start(&options(1), 3);
    worker.kill();
    assert_eq!(running.wait(A_WHILE).code(), Some(2), "{}", running.stderr());
    let done = records(&job.out);
    assert!(done.len() < job.urls.len() && done.iter().all(|record| record["error"].is_null()), "{done:?}");
    let again = ProcessGuard::spawn(&mut cluster.command(&["worker", "--name", &name, "--listen", "127.0.0.1"]));
    again.wait_for_line("ready", A_WHILE);
    job.rows(&ProcessGuard::spawn(&mut job.command(&options(30))));
}
