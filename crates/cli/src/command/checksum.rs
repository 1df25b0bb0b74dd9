//! `peerl checksum`: SHA-256 sums of web pages, computed by the nodes of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream::BoxStream;
use peerl_node::Mfa;
use peerl_term::text::{Syntax, Template};
use peerl_term::{Atom, Term};

use crate::answer::Answer;
use crate::bulk_run::{self, BulkRun, Work};
use crate::checksum::{ChecksumRecord, ClientAnswer};
use crate::exception::Function;
use crate::failure::{Failure, Status};
use crate::fan_out::{PeerOptions, RequiredFunction, WorkOptions, WorkerNodes, call_text, called, filled};
use crate::items::{Item, ItemSource, ItemsFormat};
use crate::out_file::Header;
use crate::output::Output;
use crate::page_client::{PageClient, PageLimits};
use crate::results::OutOptions;
use crate::settings::Settings;

/// Take the SHA-256 sums of web pages, spread over the nodes of a cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl checksum https://example.org https://example.com --node w1@10.0.0.7 --node w2@10.0.0.8
  peerl checksum --file urls.txt --discover epmd:10.0.0.7,10.0.0.8 --out sums.jsonl
  peerl checksum --file urls.txt --discover epmd:10.0.0.7,10.0.0.8 --out sums.jsonl --resume
  generate-urls | peerl checksum --file - --discover epmd:10.0.0.7 --format jsonl | consume
  peerl checksum https://example.org --local 4
  peerl checksum --file - --node app@10.0.0.5 --function ClusterScrape.PageController.fetch/1

A page with a status other than 2xx counts as failed. If some URLs failed, the exit code is 2.")]
pub(super) struct Checksum {
    /// The URLs.
    #[arg(value_name = "URL", required_unless_present = "file")]
    urls: Vec<String>,

    /// A file with URLs, one per line; - is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    peers: PeerOptions,

    /// Work without a cluster: fetch the pages on this machine, N at a time.
    #[arg(long, value_name = "N", conflicts_with_all = ["nodes", "discover", "function", "concurrency"],
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    local: Option<u32>,

    /// The function that takes a URL and returns its sum [default: that of peerl's workers].
    #[arg(long, value_name = "M:F/1")]
    function: Option<String>,

    #[command(flatten)]
    work: WorkOptions,

    #[command(flatten)]
    out: OutOptions,
}

/// How much longer the call may take than the fetch.
const GRACE: Duration = Duration::from_secs(2);

impl Checksum {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let function = self.function.as_deref().map(template).transpose()?;
        if self.local.is_none() && self.peers.strategies(settings)?.is_empty() {
            return Err(Failure::usage("no nodes are given to do the work")
                .hint("name workers with --node, find them with --discover, or do it here with --local 8"));
        }
        let call = match &function {
            Some(template) => call_text(template),
            None => format!("{PAGE}:{CHECKSUM}(_)"),
        };
        let run = BulkRun {
            items: ItemSource { arguments: self.urls, file: self.file, format: ItemsFormat::Lines },
            header: Header::new("checksum", call, ItemsFormat::Lines),
            out: &self.out,
            syntax: Syntax::Erlang,
            none: Failure::usage("there are no URLs").hint("give some as arguments, or with --file"),
            noun: "URLs",
        };
        let timeout = self.work.timeout.0;
        if let Some(at_a_time) = self.local {
            let begin = async |urls| Ok(Work { answers: local(urls, at_a_time as usize, timeout), workers: None });
            return bulk_run::run(run, output, begin, ChecksumRecord::of_client).await;
        }
        let begin = async |urls| {
            let required =
                function.is_none().then_some(RequiredFunction { module: PAGE, function: CHECKSUM, arity: 2 });
            let workers = WorkerNodes::assemble(settings, &self.peers, required).await?;
            let mut work = self.work.clone();
            let answers = match function {
                Some(template) => {
                    let called = called(&template);
                    workers.map(urls, filled(template), &work, called, Syntax::Erlang)
                }
                None => {
                    work.timeout.0 += GRACE;
                    workers.map(urls, page_call(timeout), &work, page_function(), Syntax::Erlang)
                }
            };
            Ok(Work { answers, workers: Some(workers) })
        };
        bulk_run::run(run, output, begin, ChecksumRecord::of_call).await
    }
}

const PAGE: &str = "peerl_page";
const CHECKSUM: &str = "checksum";

/// `peerl_page:checksum/2`.
pub(super) fn page_function() -> Function {
    Function { module: Atom::from_static(PAGE), name: Atom::from_static(CHECKSUM), arity: 2 }
}

/// Makes the call of `peerl_page:checksum/2` for a URL.
pub(super) fn page_call(timeout: Duration) -> impl Fn(&Item) -> Mfa + Send + Sync + 'static {
    let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let options = Term::map([(Term::atom("timeout"), Term::from(milliseconds))]);
    move |url| {
        Mfa::with_terms(Atom::from_static(PAGE), Atom::from_static(CHECKSUM), vec![url.term.clone(), options.clone()])
    }
}

fn template(function: &str) -> Result<Template, Failure> {
    let wrong = || {
        Failure::usage(format!("{function:?} is not a function of one argument"))
            .hint("write it as module:function/1 or Module.function/1")
    };
    let head = function.strip_suffix("/1").ok_or_else(wrong)?;
    // An Elixir alias may precede Erlang's colon, too.
    let head = match head.split_once(':') {
        Some((module, function)) if module.starts_with(|c: char| c.is_ascii_uppercase()) => {
            format!("{module}.{function}")
        }
        _ => head.to_owned(),
    };
    let call = format!("{head}(_)");
    Syntax::detect_call(&call).parse_template(&call).map_err(|_| wrong())
}

fn local(
    urls: BoxStream<'static, (usize, Item)>,
    at_a_time: usize,
    timeout: Duration,
) -> BoxStream<'static, Answer<ClientAnswer>> {
    let client = PageClient::new();
    let limits = PageLimits { timeout, ..PageLimits::default() };
    urls.map(move |(index, item)| {
        let client = client.clone();
        async move {
            let start = std::time::Instant::now();
            let result = client.checksum(&item.name, limits).await;
            Answer { index, item, node: None, elapsed: start.elapsed(), result }
        }
    })
    .buffer_unordered(at_a_time)
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_in_both_syntaxes() {
        for (text, module) in [
            ("peerl_page:checksum/1", "peerl_page"),
            ("'Elixir.ClusterScrape.PageController':fetch/1", "Elixir.ClusterScrape.PageController"),
            ("ClusterScrape.PageController.fetch/1", "Elixir.ClusterScrape.PageController"),
            (":peerl_page.checksum/1", "peerl_page"),
        ] {
            let call = template(text).unwrap().fill(&Term::from("u"));
            assert_eq!((call.module.as_str(), call.arguments), (module, vec![Term::from("u")]));
        }
        for wrong in ["", "/1", "a:b", "a:b/2", "a/1", "a:b(_)/1", "a:b(1)/1"] {
            assert!(template(wrong).is_err(), "{wrong}");
        }
    }
}
