//! `peerl checksum`: SHA-256 sums of web pages, taken by the nodes of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use peerl_node::{CallError, Mfa};
use peerl_term::Term;
use peerl_term::text::{Syntax, Template};

use crate::checksum::{ChecksumRecord, ClientAnswer};
use crate::failure::{Failure, Status};
use crate::fan_out::{Answer, Crew, Duty, OutOptions, PeerOptions, WorkOptions, collect};
use crate::items;
use crate::output::{Output, table};
use crate::page_client::{PageClient, PageLimits};
use crate::results::{Record, Results};
use crate::settings::Settings;

/// Take the SHA-256 sums of web pages, spread over the nodes of a cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl checksum https://example.org https://example.com --node w1@10.0.0.7 --node w2@10.0.0.8
  peerl checksum --file urls.txt --discover epmd:10.0.0.7,10.0.0.8 --out sums.jsonl
  peerl checksum --file urls.txt --discover epmd:10.0.0.7,10.0.0.8 --out sums.jsonl --resume
  peerl checksum https://example.org --local 4
  peerl checksum --file - --node app@10.0.0.5 --function ClusterScrape.PageController.fetch/1

A page with a status other than 2xx counts as failed. If some URLs failed, the exit code is 2.")]
pub(super) struct Checksum {
    /// The URLs.
    #[arg(value_name = "URL", required_unless_present = "file")]
    urls: Vec<String>,

    /// A file with URLs, one a line; - is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    peers: PeerOptions,

    /// Do without a cluster: fetch the pages here, so many at a time.
    #[arg(long, value_name = "N", conflicts_with_all = ["nodes", "discover", "function", "concurrency"],
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    local: Option<u32>,

    /// The function that takes a URL and gives its sum [default: that of peerl's workers].
    #[arg(long, value_name = "M:F/1")]
    function: Option<String>,

    #[command(flatten)]
    work: WorkOptions,

    #[command(flatten)]
    out: OutOptions,
}

/// How much longer than the fetch the call of it may take.
const GRACE: Duration = Duration::from_secs(2);

impl Checksum {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let function = self.function.as_deref().map(template).transpose()?;
        let mut urls = self.urls.clone();
        if let Some(path) = &self.file {
            urls.extend(items::lines(&items::read(path)?).map(str::to_owned));
        }
        if urls.is_empty() {
            return Err(Failure::usage("there are no URLs").hint("give some as arguments, or with --file"));
        }
        if self.local.is_none() && self.peers.strategies(settings)?.is_empty() {
            return Err(Failure::usage("there is nobody to do the work")
                .hint("name workers with --node, find them with --discover, or do it here with --local 8"));
        }
        let mut results = Results::<ChecksumRecord>::open(urls.iter().map(String::as_str), &self.out)?;
        let missing: Vec<(usize, String)> =
            results.missing().into_iter().map(|index| (index, urls[index].clone())).collect();
        if results.done() > 0 {
            output.note(&format!("{} of {} were done before", results.done(), urls.len()));
        }
        if !missing.is_empty() {
            let progress = output.progress(missing.len());
            match self.local {
                Some(at_a_time) => {
                    let answers = local(missing, at_a_time, self.work.timeout.0);
                    let record = |answer: Answer<ClientAnswer>| ChecksumRecord::of_client(&urls[answer.index], answer);
                    collect(answers, record, &mut results, &progress).await?;
                }
                None => {
                    let (crew, answers) = self.remote(settings, function, missing).await?;
                    let record =
                        |answer: Answer<Result<Term, CallError>>| ChecksumRecord::of_call(&urls[answer.index], answer);
                    let collected = collect(answers, record, &mut results, &progress).await;
                    crew.node.shutdown().await;
                    collected?;
                }
            }
        }
        show(&results.into_records(), output)
    }

    async fn remote(
        &self,
        settings: &Settings,
        function: Option<Template>,
        missing: Vec<(usize, String)>,
    ) -> Result<(Crew, BoxStream<'static, Answer<Result<Term, CallError>>>), Failure> {
        let duty = function.is_none().then_some(Duty { module: "peerl_page", function: "checksum", arity: 2 });
        let crew = Crew::assemble(settings, &self.peers, duty).await?;
        let mut work = self.work.clone();
        let answers = match function {
            Some(template) => {
                let call = move |url: &String| {
                    let call = template.fill(&Term::from(url.as_str()));
                    Mfa::with_terms(call.module, call.function, call.arguments)
                };
                crew.map(missing, call, &work)
            }
            None => {
                let call = page_call(work.timeout.0);
                work.timeout.0 += GRACE;
                crew.map(missing, call, &work)
            }
        };
        Ok((crew, answers))
    }
}

/// The call of `peerl_page:checksum/2` for a URL.
pub(super) fn page_call(timeout: Duration) -> impl Fn(&String) -> Mfa + Send + Sync + 'static {
    let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let options = Term::map([(Term::atom("timeout"), Term::from(milliseconds))]);
    move |url| {
        Mfa::with_terms(
            peerl_term::Atom::from_static("peerl_page"),
            peerl_term::Atom::from_static("checksum"),
            vec![Term::from(url.as_str()), options.clone()],
        )
    }
}

fn template(function: &str) -> Result<Template, Failure> {
    let wrong = || {
        Failure::usage(format!("{function:?} is no function of one argument"))
            .hint("write it as module:function/1 or Module.function/1")
    };
    let head = function.strip_suffix("/1").ok_or_else(wrong)?;
    // An alias of Elixir may stand before Erlang's colon, too.
    let head = match head.split_once(':') {
        Some((module, function)) if module.starts_with(|c: char| c.is_ascii_uppercase()) => {
            format!("{module}.{function}")
        }
        _ => head.to_owned(),
    };
    let call = format!("{head}(_)");
    Syntax::detect_call(&call).parse_template(&call).map_err(|_| wrong())
}

fn local(urls: Vec<(usize, String)>, at_a_time: u32, timeout: Duration) -> BoxStream<'static, Answer<ClientAnswer>> {
    let client = PageClient::new();
    let limits = PageLimits { timeout, ..PageLimits::default() };
    stream::iter(urls)
        .map(move |(index, url)| {
            let client = client.clone();
            async move {
                let start = std::time::Instant::now();
                let result = client.checksum(&url, limits).await;
                Answer { index, node: None, elapsed: start.elapsed(), result }
            }
        })
        .buffer_unordered(at_a_time as usize)
        .boxed()
}

fn show(records: &[ChecksumRecord], output: &Output) -> Result<Status, Failure> {
    output.rows(records, || {
        let row = |record: &ChecksumRecord| {
            let sum = record.sha256.as_ref().or(record.error.as_ref()).cloned().unwrap_or_default();
            let node = record.node.clone().unwrap_or_else(|| "-".to_owned());
            vec![record.url.clone(), sum, node, record.ms.to_string()]
        };
        table(&["URL", "SHA-256", "NODE", "MS"], records.iter().map(row))
    })?;
    let failed = records.iter().filter(|record| record.has_failed()).count();
    if failed > 0 {
        output.note(&format!("{failed} of {} URLs failed", records.len()));
        if records.iter().any(|record| !record.is_answered()) {
            output.note("the workers were gone before the end; with --out FILE --resume, a later run does the rest");
        }
        return Ok(Status::Partial);
    }
    Ok(Status::Success)
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
