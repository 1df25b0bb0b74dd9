//! The fixtures work: nodes of every release find each other through a separate EPMD.

use std::time::{Duration, Instant};

use peerl_test_support::{Beam, Epmd, EvalError, Otp, matrix};

const A_WHILE: Duration = Duration::from_secs(30);

#[test]
fn two_nodes_ping_each_other() {
    let epmd = Epmd::start();
    for otp in matrix() {
        let a = Beam::erlang(otp).epmd(&epmd).start();
        let b = Beam::erlang(otp).epmd(&epmd).start();
        assert_eq!(epmd.names().len(), 2);
        assert!(a.ping(b.name()));
        assert_eq!(b.eval("nodes()").unwrap(), format!("['{}']", a.name()));
        assert_eq!(a.eval("list_to_integer(erlang:system_info(otp_release))").unwrap(), otp.number().to_string());
    }
}

#[test]
fn an_elixir_node_answers_in_both_languages() {
    let epmd = Epmd::start();
    for otp in matrix() {
        let elixir = Beam::elixir(otp).epmd(&epmd).hidden().start();
        let erlang = Beam::erlang(otp).epmd(&epmd).start();
        assert_eq!(elixir.eval_elixir("%{a: Enum.map([1, 2], & &1 * 2)}").unwrap(), "%{a: [2, 4]}");
        assert_eq!(elixir.eval("{ok, <<\"ä\"/utf8>>}").unwrap(), "{ok,<<\"ä\"/utf8>>}");
        assert_eq!(elixir.eval_elixir(&format!("Node.ping(:\"{}\")", erlang.name())).unwrap(), ":pong");
        assert_eq!(erlang.eval("nodes(hidden)").unwrap(), format!("['{}']", elixir.name()));
        assert!(
            matches!(elixir.eval_elixir("raise \"no\""), Err(EvalError::Exception { class, .. }) if class == "error")
        );
    }
}

#[test]
fn all_releases_form_one_mesh() {
    let epmd = Epmd::start();
    let nodes: Vec<Beam> = matrix().into_iter().map(|otp| Beam::erlang(otp).epmd(&epmd).start()).collect();
    for node in &nodes[1..] {
        assert!(nodes[0].ping(node.name()));
    }
    for node in &nodes {
        node.wait_for("length(nodes())", &(nodes.len() - 1).to_string(), A_WHILE);
    }
}

#[test]
fn evaluation_reports_exceptions_syntax_and_time() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    assert_eq!(beam.name(), "nonode@nohost");
    let exception =
        |class: &str, reason: &str| Err(EvalError::Exception { class: class.to_owned(), reason: reason.to_owned() });
    assert_eq!(beam.eval("throw({no, 1})"), exception("throw", "{no,1}"));
    assert_eq!(beam.eval("erlang:error(badarg)"), exception("error", "badarg"));
    assert_eq!(beam.eval("1 +"), exception("exit", "{syntax,\"syntax error before: '.'\"}"));
    let limit = Duration::from_millis(50);
    assert_eq!(beam.eval_within("timer:sleep(5000)", limit), Err(EvalError::TimedOut(limit)));
    assert_eq!(beam.eval("io:format(\"to the log~n\"), done").unwrap(), "done");
    let end = Instant::now() + A_WHILE;
    while !beam.log().contains("to the log") {
        assert!(Instant::now() < end, "{}", beam.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(beam.eval("halt()"), Err(EvalError::Ended));
    assert_eq!(beam.eval("1"), Err(EvalError::Ended));
    beam.wait_for_end(A_WHILE);
}

#[test]
fn terms_go_in_and_out_in_external_format() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    let seven = [131, 97, 7];
    assert_eq!(beam.eval_with("X * 6", &[("X", &seven)], A_WHILE).unwrap(), "42");
    assert_eq!(beam.eval_external("X", &[("X", &seven)], A_WHILE).unwrap(), seven);
    beam.load_module("-module(twice).\n-export([times/1]).\ntimes(X) -> 2 * X.\n").unwrap();
    assert_eq!(beam.eval("twice:times(21)").unwrap(), "42");
    let large = beam.eval_external("binary:copy(<<7>>, 8000000)", &[], A_WHILE).unwrap();
    assert_eq!(large.len(), 8_000_006);
}

#[test]
fn a_stopped_node_is_silent_and_goes_on() {
    let beam = Beam::erlang(Otp::V25).undistributed().start();
    beam.sigstop();
    let limit = Duration::from_millis(100);
    assert_eq!(beam.eval_within("1", limit), Err(EvalError::TimedOut(limit)));
    beam.sigcont();
    assert_eq!(beam.eval("1").unwrap(), "1");
    beam.kill();
    assert!(!beam.is_running());
}

#[test]
fn a_node_with_short_names_and_one_that_fails() {
    let epmd = Epmd::start();
    let short = Beam::erlang(Otp::V25).short_names().name("short").epmd(&epmd).start();
    assert_eq!(short.name(), "short@localhost");
    let error = Beam::erlang(Otp::V25).name("short").epmd(&epmd).try_start().err().expect("the name is taken");
    assert_eq!(error.reason, EvalError::Ended);
    assert!(error.log.contains("in use"), "{error}");
}

#[test]
fn a_killed_epmd_comes_back_and_nodes_register_again() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start();
    epmd.restart();
    let end = std::time::Instant::now() + A_WHILE;
    while epmd.names().is_empty() {
        assert!(std::time::Instant::now() < end, "{} did not register again", beam.name());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn the_runtime_goes_on_while_a_node_evaluates() {
    let beam = Beam::erlang(Otp::V25).undistributed().start_async().await;
    let answers = (0..8).map(|number| beam.eval_async(format!("timer:sleep(200), {number}")));
    let answers: Vec<_> = answers.map(tokio::spawn).collect();
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap(), number.to_string());
    }
}
