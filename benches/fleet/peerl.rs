//! `peerl worker`, and a node of this process that distributes work among workers.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt;
use peerl_epmd::Client;
use peerl_node::{Epmd as Mapper, Mfa, Node, NodeName, Term, Visibility};
use peerl_test_support::{COOKIE, Epmd, ProcessGuard, peerl_command, unique_name};
use tokio::runtime::Runtime;

/// A worker in a separate process.
pub(crate) struct Worker {
    pub(crate) process: ProcessGuard,
    pub(crate) name: NodeName,
}

impl Worker {
    pub(crate) fn start(epmd: &Epmd) -> Self {
        Self::start_with(epmd, &format!("{}@127.0.0.1", unique_name("w")), &[], &[])
    }

    pub(crate) fn start_with(epmd: &Epmd, name: &str, more: &[&str], environment: &[(&'static str, String)]) -> Self {
        let mut command: Command = peerl_command();
        command.args(["worker", "--name", name, "--listen", "127.0.0.1"]).args(more);
        command.env("PEERL_COOKIE", COOKIE).env("ERL_EPMD_PORT", epmd.port().to_string());
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        let process = ProcessGuard::spawn(&mut command);
        process.wait_for_line("ready", Duration::from_secs(60));
        Self { process, name: name.parse().expect("a name") }
    }
}

/// A hidden node of this process.
pub(crate) fn driver(epmd: &Epmd, runtime: &Runtime) -> Node {
    let builder = peerl_otp::node(format!("{}@127.0.0.1", unique_name("bench")))
        .cookie(COOKIE)
        .listen_address(Ipv4Addr::LOCALHOST.into())
        .epmd(Mapper::External)
        .epmd_client(Client::new(epmd.address()))
        .visibility(Visibility::Hidden);
    runtime.block_on(builder.start()).expect("the node starts")
}

/// A job's time, and the number of pages that were requested more than once. After half of the pages, the given
/// process is killed.
pub(crate) fn pmap(
    node: &Node,
    runtime: &Runtime,
    workers: &[NodeName],
    urls: &[String],
    window: usize,
    victim: Option<&ProcessGuard>,
) -> crate::elixir::Job {
    let fetch = |url: &String| Mfa::new("Elixir.ClusterScrape.PageController", "fetch", (url,)).expect("a call");
    let start = Instant::now();
    let (mut done, mut again) = (0, 0);
    runtime.block_on(async {
        let mut results = Box::pin(node.pmap(workers, fetch, urls.to_vec()).window(window).run::<Term>());
        while let Some(mapped) = results.next().await {
            let value = mapped.result.unwrap_or_else(|error| panic!("{}: {error}", mapped.item));
            assert!(value.to_string().starts_with("{ok,"), "{value}");
            done += 1;
            again += usize::from(mapped.attempts > 1);
            if done == urls.len() / 2
                && let Some(victim) = victim
            {
                victim.kill_alone();
            }
        }
    });
    assert_eq!(done, urls.len(), "every page has its sum, once");
    crate::elixir::Job { time: start.elapsed(), again }
}
