//! The addresses from which a worker fetches, tested through calls of nodes.

use crate::cluster::{A_WHILE, Cluster, Pages};
use peerl_test_support::{Beam, Otp, ProcessGuard, matrix, unique_name};

/// The reason of a page that was not fetched, or `fetched`.
fn outcome(beam: &Beam, worker: &str, url: &str, options: &str) -> String {
    let call = format!("rpc:call('{worker}', peerl_page, checksum, [<<\"{url}\">>, {options}])");
    let read = "case V of #{status := 200} -> fetched; {error, #{reason := R}} -> R; {badrpc, {'EXIT', {badarg, _}}} -> badarg end";
    beam.eval(&format!("begin V = {call}, {read} end")).unwrap()
}

#[test]
fn a_caller_names_the_addresses_that_a_worker_may_fetch_from() {
    let pages = Pages::serve();
    let url = pages.url("/0/page");
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
        let (_worker, worker) = cluster.worker(&[]);
        for (options, expected) in [
            ("#{}", "fetched"),
            ("#{addresses => all}", "fetched"),
            ("#{addresses => public}", "refusedaddress"),
            ("[{addresses, public}, {allow, [\"127.0.0.1\"]}]", "fetched"),
            ("#{addresses => public, allow => [<<\"10.0.0.0/8\">>]}", "refusedaddress"),
            ("#{addresses => public, allow => [<<\"127.0.0.0/8\">>], deny => [<<\"127.0.0.1\">>]}", "refusedaddress"),
            ("#{deny => [<<\"10.0.0.0/8\">>]}", "fetched"),
            ("#{addresses => private}", "badarg"),
            ("#{allow => [<<\"example.org\">>]}", "badarg"),
            ("#{allow => <<\"10.0.0.0/8\">>}", "badarg"),
        ] {
            assert_eq!(outcome(&beam, &worker, &url, options), expected, "{options}");
        }
        let message = format!(
            "begin {{error, #{{message := M}}}} = rpc:call('{worker}', peerl_page, checksum, \
             [<<\"{url}\">>, #{{addresses => public}}]), M end"
        );
        let message = beam.eval(&message).unwrap();
        assert!(message.contains("127.0.0.1 is refused by the caller's rule: it is not public"), "{message}");
    }
}

#[test]
fn a_worker_applies_its_rule_to_every_caller() {
    let pages = Pages::serve();
    let url = pages.url("/0/page");
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let settings = cluster.write("rule.toml", "allow = ['127.0.0.0/8']\ndeny = ['127.0.0.1', '10.0.0.0/8']\n");
    for (options, expected) in [
        (&["--allow", "public"][..], "refusedaddress"),
        (&["--allow", "127.0.0.0/8"], "fetched"),
        (&["--allow", "10.0.0.0/8", "--allow", "127.0.0.1"], "fetched"),
        (&["--deny", "127.0.0.0/8"], "refusedaddress"),
        (&["--allow", "127.0.0.0/8", "--deny", "127.0.0.1"], "refusedaddress"),
        (&["--deny", "10.0.0.0/8"], "fetched"),
        (&["--config", &settings], "refusedaddress"),
    ] {
        let (_worker, worker) = cluster.worker(options);
        assert_eq!(outcome(&beam, &worker, &url, "#{}"), expected, "{options:?}");
        // A caller cannot loosen the worker's rule, and it applies to `ClusterScrape`'s function too.
        let loose = "#{addresses => public, allow => [<<\"127.0.0.0/8\">>]}";
        assert_eq!(outcome(&beam, &worker, &url, loose), expected, "{options:?}");
        let fetch = format!("rpc:call('{worker}', 'Elixir.ClusterScrape.PageController', fetch, [<<\"{url}\">>])");
        let fetch = beam.eval(&format!("element(1, {fetch})")).unwrap();
        assert_eq!(fetch, if expected == "fetched" { "ok" } else { "error" }, "{options:?}");
    }
    for wrong in ["10.0.0.0/33", "example.org", ""] {
        for option in ["--allow", "--deny"] {
            assert_eq!(cluster.run(&["worker", option, wrong]).code, 64, "{option} {wrong}");
        }
    }
}

/// A proxy would choose the address.
#[test]
fn with_a_rule_no_proxy_of_the_environment_is_used() {
    let (pages, proxy) = (Pages::serve(), Pages::serve());
    let cluster = Cluster::start();
    let beam = Beam::erlang(Otp::V25).epmd(&cluster.epmd).start();
    let name = format!("{}@127.0.0.1", unique_name("w"));
    let mut command = cluster.command(&["worker", "--name", &name, "--listen", "127.0.0.1"]);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        command.env(variable, proxy.url(""));
    }
    let worker = ProcessGuard::spawn(command.env_remove("NO_PROXY").env_remove("no_proxy"));
    worker.wait_for_line("ready", A_WHILE);
    let url = pages.url("/0/page");
    assert_eq!(outcome(&beam, &name, &url, "#{addresses => public}"), "refusedaddress");
    assert_eq!(outcome(&beam, &name, "http://localhost:1/0/page", "#{addresses => public}"), "refusedaddress");
    assert_eq!(outcome(&beam, &name, &url, "#{allow => [<<\"127.0.0.0/8\">>]}"), "fetched");
    assert_eq!(pages.count(&url), 1);
    outcome(&beam, &name, &url, "#{}");
    assert_eq!(pages.count(&url), 1, "without a rule the proxy is asked");
}
