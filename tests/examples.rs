//! The examples work with a real BEAM.

mod intruder;
mod stage;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use intruder::Intruder;
use peerl_term::{Atom, Pid, Term};
use peerl_test_support::{Beam, COOKIE, Epmd, Otp, ProcessGuard, unique_name};

const A_WHILE: Duration = Duration::from_secs(20);

/// The built example: Cargo puts examples beside the tests.
fn example(name: &str, epmd: &Epmd) -> Command {
    let tests = std::env::current_exe().unwrap();
    let target: PathBuf = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(target.exists(), "{} is missing: run `cargo build --examples`", target.display());
    let mut command = Command::new(target);
    command.env("ERL_EPMD_PORT", epmd.port().to_string());
    command
}

#[test]
fn join_and_call() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    let output = example("join_and_call", &epmd).args([beam.name(), COOKIE]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("it runs OTP 25"), "{printed}");
    assert!(printed.contains("lists:sort([3, 1, 2]) = [1, 2, 3]"), "{printed}");
}

#[test]
fn worker() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    let name = format!("{}@127.0.0.1", unique_name("worker"));
    let worker = ProcessGuard::spawn(example("worker", &epmd).args([&name, COOKIE]));
    worker.wait_for_line("ready", A_WHILE);
    let counts = beam.eval(&format!("rpc:call('{name}', rust, word_count, [<<\"so it goes\">>])")).unwrap();
    assert_eq!(counts, "#{<<\"goes\">> => 1,<<\"it\">> => 1,<<\"so\">> => 1}");
    worker.sigint();
    assert!(worker.wait(A_WHILE).success());
}

#[test]
fn supervisor() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    let name = format!("{}@127.0.0.1", unique_name("supervisor"));
    let node = ProcessGuard::spawn(example("supervisor", &epmd).args([&name, COOKIE]));
    node.wait_for_line("ready", A_WHILE);
    let count = format!("gen_server:call({{counter, '{name}'}}, {{increment, 2}})");
    assert_eq!(beam.eval(&format!("2 = {count}, {count}")).unwrap(), "4");
    beam.eval(&format!("exit(rpc:call('{name}', erlang, whereis, [counter]), kill)")).unwrap();
    // A new one counts from the beginning. It may get a call whose caller was told that there was none.
    let is_new = format!("case (catch {count}) of Sum when is_integer(Sum), Sum < 6 -> true; _ -> false end");
    beam.wait_for(&is_new, "true", A_WHILE);
    let ids = format!("[Id || {{Id, _, worker, _}} <- supervisor:which_children({{supervisor, '{name}'}})]");
    assert_eq!(beam.eval(&ids).unwrap(), "[uptime,counter]");
    node.sigint();
    assert!(node.wait(A_WHILE).success());
}

#[test]
fn pmap() {
    let epmd = Epmd::start();
    let output = example("pmap", &epmd).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1000 numbers; the longest way to 1 has 178 steps, from 871"), "{printed}");
}

#[test]
fn cluster_in_memory() {
    let epmd = Epmd::start();
    let output = example("cluster_in_memory", &epmd).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("the sum of 1000 squares is 333833500, after"), "{printed}");
}

#[test]
fn echo_process() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    let name = format!("{}@127.0.0.1", unique_name("echo"));
    let echo = ProcessGuard::spawn(example("echo_process", &epmd).args([&name, COOKIE]));
    let ready = echo.wait_for_line("ready", A_WHILE);
    // A message that is not a term, and one from an unreachable process.
    let port = ready.rsplit(' ').next().unwrap().parse().unwrap();
    let mut intruder = Intruder::connect_to("intruder@127.0.0.1", &name.parse().unwrap(), port);
    let to_echo = Term::tuple([6.into(), intruder.pid().into(), Term::atom(""), Term::atom("echo")]);
    let nobody = Pid { node: Atom::from_static("nobody@nowhere.invalid"), ..intruder.pid() };
    intruder.frame(to_echo.clone(), Some(Term::tuple([nobody.into(), Term::atom("hello")])));
    intruder.raw(to_echo, &[132]);
    intruder.assert_closed("a message that is no term");
    let answer = beam.eval(&format!("gen_server:call({{echo, '{name}'}}, {{hello, 1}})")).unwrap();
    assert_eq!(answer, "{echo,{hello,1}}");
    let echoed = beam.eval(&format!("{{echo, '{name}'}} ! {{self(), hello}}, receive M -> M after 5000 -> none end"));
    assert_eq!(echoed.unwrap(), "hello");
    echo.sigint();
    assert!(echo.wait(A_WHILE).success());
}

#[test]
fn counter() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    let name = format!("{}@127.0.0.1", unique_name("counter"));
    let counter = ProcessGuard::spawn(example("counter", &epmd).args([&name, COOKIE]));
    counter.wait_for_line("ready", A_WHILE);
    let calls = "[gen_server:call({counter, 'NODE'}, {increment, N}) || N <- [2, 3]]".replace("NODE", &name);
    assert_eq!(beam.eval(&calls).unwrap(), "[2,5]");
    beam.eval(&format!("gen_server:stop({{counter, '{name}'}})")).unwrap();
    counter.wait_for_line("the counter has ended", A_WHILE);
    assert!(counter.wait(A_WHILE).success());
}
