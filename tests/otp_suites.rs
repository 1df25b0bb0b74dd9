//! OTP's own tests of `global`, `pg` and `erpc`, with a node of ours as a bystander that is connected to them.
//!
//! They take ten minutes, and are fetched on request: docs/how-to-test.md says how.

mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use peerl_test_support::{Beam, COOKIE, Epmd, Otp, ProcessGuard, peerl_command, suites, unique_name};
use stage::LIMIT;

/// Longer than the suite of `global` takes.
const PATIENCE: Duration = Duration::from_secs(3_000);

/// Writes the result of each case to a file.
const RECORDER: &str = "
    -module(recorder).
    -export([init/2, post_end_per_testcase/5, on_tc_skip/4]).

    init(_, File) -> {ok, File}.

    post_end_per_testcase(Suite, Case, _Config, Return, File) ->
        write(File, Suite, Case, case Return of
            {Failed, _} when Failed =:= error; Failed =:= 'EXIT'; Failed =:= fail; Failed =:= failed; Failed =:= timetrap_timeout -> failed;
            {Skipped, _} when Skipped =:= skip; Skipped =:= skipped -> skipped;
            _ -> passed
        end),
        {Return, File}.

    on_tc_skip(Suite, Case, _Reason, File) ->
        write(File, Suite, Case, skipped),
        File.

    write(File, _Suite, Case, Result) ->
        ok = file:write_file(File, io_lib:format(\"~p ~p~n\", [Case, Result]), [append]).
";

/// Who is connected to the node that runs the tests.
#[derive(Clone, Copy, Debug)]
enum Bystander {
    Nobody,
    HiddenWorker,
    VisibleBeam,
    VisibleWorker,
}

/// The result of each case of a suite.
fn run(suite: &str, bystander: Bystander) -> BTreeMap<String, String> {
    let (epmd, suites) = (Epmd::start(), suites());
    let (tests, libraries) = (suites.join("tests"), suites.join("usr/lib/erlang/lib"));
    let tester = Beam::erlang(Otp::V25).short_names().epmd(&epmd).env("ERL_LIBS", libraries);
    let tester = tester.args(["-pa", tests.to_str().unwrap()]).start();
    tester.load_module(RECORDER).unwrap();
    let file = tester.home().join("results");
    // The nodes that the tests start have their cookie from here.
    std::fs::write(tester.home().join(".erlang.cookie"), COOKIE).unwrap();
    let mut permissions = std::fs::metadata(tester.home().join(".erlang.cookie")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o400);
    std::fs::set_permissions(tester.home().join(".erlang.cookie"), permissions).unwrap();

    let worker = |visibility: &[&str]| {
        let mut command = peerl_command();
        let name = format!("{}@localhost", unique_name("bystander"));
        command.args(["worker", "--sname", &name, "--node", tester.name(), "--interval", "1s", "--pg", "pg"]);
        command.args(visibility).env("PEERL_COOKIE", COOKIE).env("ERL_EPMD_PORT", epmd.port().to_string());
        let worker = ProcessGuard::spawn(&mut command);
        worker.wait_for_line("ready", LIMIT);
        tester.wait_for("length(nodes(connected))", "1", LIMIT);
        worker
    };
    let (mut beams, mut workers) = (Vec::new(), Vec::new());
    match bystander {
        Bystander::Nobody => {}
        Bystander::HiddenWorker => workers.push(worker(&["--hidden"])),
        Bystander::VisibleBeam => {
            let beam = Beam::erlang(Otp::V25).short_names().epmd(&epmd).start();
            assert!(beam.ping(tester.name()));
            beams.push(beam);
        }
        Bystander::VisibleWorker => workers.push(worker(&[])),
    }

    let run = format!(
        "ct:run_test([{{dir, \"{}\"}}, {{suite, {suite}}}, {{logdir, \"{}\"}}, {{auto_compile, false}}, {{ct_hooks, [{{recorder, \"{}\"}}]}}])",
        tests.display(),
        tester.home().display(),
        file.display()
    );
    let counts = tester.eval_within(&run, PATIENCE).unwrap();
    assert!(workers.iter().all(ProcessGuard::is_running) && beams.iter().all(Beam::is_running));
    let results = std::fs::read_to_string(file).unwrap();
    let results = results.lines().filter_map(|line| line.split_once(' '));
    let results: BTreeMap<String, String> =
        results.map(|(case, result)| (case.to_owned(), result.to_owned())).collect();
    let others: Vec<_> = results.iter().filter(|(_, result)| *result != "passed").collect();
    println!("{suite} with {bystander:?}: {counts}, {others:?}");
    results
}

/// What passes without a bystander passes with a hidden one; and what passes with a visible BEAM node, which some of the
/// tests see, passes with one of ours.
fn passes_beside_a_worker(suite: &'static str) {
    let bystanders = [Bystander::Nobody, Bystander::HiddenWorker, Bystander::VisibleBeam, Bystander::VisibleWorker];
    let runs = bystanders.map(|bystander| std::thread::spawn(move || run(suite, bystander)));
    let [alone, hidden, beam, visible] = runs.map(|run| run.join().unwrap());
    assert!(alone.values().filter(|result| *result == "passed").count() > 10, "{alone:?}");
    let lost = |before: &BTreeMap<String, String>, after: &BTreeMap<String, String>| -> Vec<String> {
        let passed = before.iter().filter(|(_, result)| *result == "passed").map(|(case, _)| case);
        passed.filter(|case| after.get(*case).is_none_or(|result| result != "passed")).cloned().collect()
    };
    let lost = [("a hidden worker", lost(&alone, &hidden)), ("a visible worker", lost(&beam, &visible))];
    assert!(lost.iter().all(|(_, cases)| cases.is_empty()), "these do not pass beside {lost:?}");
}

#[ignore = "takes minutes, and needs OTP's tests"]
#[test]
fn of_pg() {
    passes_beside_a_worker("pg_SUITE");
}

#[ignore = "takes minutes, and needs OTP's tests"]
#[test]
fn of_erpc() {
    passes_beside_a_worker("erpc_SUITE");
}

#[ignore = "takes minutes, and needs OTP's tests"]
#[test]
fn of_global() {
    passes_beside_a_worker("global_SUITE");
}
