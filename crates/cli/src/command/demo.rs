//! `peerl demo`: a whole cluster on this machine.

mod certificates;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use peerl_discovery::strategy::StaticListSettings;
use peerl_discovery::{Reconciler, Spec};
use peerl_epmd::environment::loopback;
use peerl_epmd::{Client, Config, Server, ServerHandle};
use peerl_node::transport::Tls;
use peerl_node::{Epmd, Node, NodeBuilder, NodeName, Visibility};
use peerl_otp::System;
use peerl_term::text::Syntax;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use self::certificates::Certificates;
use super::checksum::{page_call, page_function};
use crate::checksum::ChecksumRecord;
use crate::failure::{Failure, Status};
use crate::fan_out::{WorkOptions, WorkerNodes};
use crate::items::Item;
use crate::output::{Lines, Output, table};
use crate::page_server::{Expected, Kind, PageServer};
use crate::settings::{Settings, Span};
use crate::shutdown::{self, Signal};
use crate::web::WebOptions;

/// Show a cluster at work on this machine: three workers take the checksums of 200 pages.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl demo
  peerl demo --format json
  peerl demo --workers 2 --pages 50
  peerl demo --web                       the same cluster at work in a browser
  peerl demo --tls                       the same cluster with TLS between its nodes

Starts an EPMD, a page server and the workers, each a process of its own, on free ports of the loopback address; spreads the
work; and compares every sum with one that was reckoned here. Exits with 0 only if all match. With --web it serves a page
instead, and goes on until Ctrl-C. With --tls it makes certificates, by which all nodes verify each other. Nothing is left
behind.")]
pub(super) struct Demo {
    /// How many workers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32))]
    workers: u16,

    /// How many pages.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pages: u32,

    /// Serve a page on which you have the workers take the checksums, at 127.0.0.1:8080 or this address.
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    web: Option<SocketAddr>,

    /// Encrypt the connections between the nodes, with certificates that are made for this run.
    #[arg(long)]
    tls: bool,

    #[command(flatten)]
    options: WebOptions,
}

/// The message after a signal.
const ENDED: &str = "interrupted; all processes of the demo have been ended";

/// How long a worker may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

impl Demo {
    pub(super) async fn run(self, _: &Settings, output: &Output) -> Result<Status, Failure> {
        let signal = shutdown::signal(shutdown::LIMIT)?;
        if let Some(address) = self.web {
            return self.serve(address, signal, output).await;
        }
        tokio::select! {
            // Dropping the future kills the processes.
            signal = signal => Err(Failure::interrupted(ENDED, signal)),
            status = self.work(output) => status,
        }
    }

    async fn work(&self, output: &Output) -> Result<Status, Failure> {
        let start = Instant::now();
        let Cluster { pages, epmd, node, workers, certificates } = self.start(output).await?;
        let nodes = WorkerNodes::of(node, workers.names());
        let records = self.fan_out(&nodes, &pages, output).await?;
        nodes.node.shutdown().await;
        workers.stop().await?;
        epmd.shutdown().await;
        drop(certificates);
        let took = start.elapsed();
        let count = self.pages as usize;
        let expected: Vec<Expected> =
            tokio::task::spawn_blocking(move || (0..count).map(PageServer::expected).collect())
                .await
                .map_err(Failure::new)?;
        report(&records, &expected, took, output)
    }

    /// Serves a page until a signal arrives.
    async fn serve(
        &self,
        address: SocketAddr,
        signal: impl Future<Output = Signal>,
        output: &Output,
    ) -> Result<Status, Failure> {
        let mut signal = std::pin::pin!(signal);
        let reserved = self.options.reserve(address).await?;
        let started = async {
            let cluster = self.start(output).await?;
            let specs = Spec::Static(StaticListSettings {
                nodes: cluster.workers.names().iter().map(ToString::to_string).collect(),
            });
            let mesh = Reconciler::new(cluster.node.clone(), vec![specs.build().map_err(Failure::new)?]);
            Ok::<_, Failure>((cluster, mesh.interval(Duration::from_secs(1))))
        };
        let (cluster, mesh) = tokio::select! {
            signal = &mut signal => return Err(Failure::interrupted(ENDED, signal)),
            started = started => started?,
        };
        let example: String = (0..self.pages as usize).map(|page| cluster.pages.url(page) + "\n").collect();
        let page = reserved.open(&cluster.node, mesh.events(), example)?;
        let _mesh = mesh.start();
        let url = page.url();
        output.value(&Serving { page: &url }, || format!("open {url} in a browser; Ctrl-C ends the demo"))?;
        signal.await;
        page.close().await.iter().for_each(|line| output.note(line));
        cluster.node.shutdown().await;
        cluster.workers.stop().await?;
        cluster.epmd.shutdown().await;
        Ok(Status::Success)
    }

    async fn start(&self, output: &Output) -> Result<Cluster, Failure> {
        let pages = PageServer::start().await.map_err(|error| Failure::new(format!("cannot serve pages: {error}")))?;
        let here = loopback();
        let epmd = Server::bind([SocketAddr::new(here, 0)], Config::default()).await?.spawn();
        let cookie = cookie()?;
        let port = epmd.local_addr().port();
        output.note(&format!("EPMD at port {port}, {} pages at {}", self.pages, pages.url(0)));
        let certificates = if self.tls { Some(Certificates::make(here)?) } else { None };
        let workers = Workers::start(self.workers, epmd.local_addr(), &cookie, certificates.as_ref()).await?;
        let mut node = NodeBuilder::new(format!("demo_{}@{here}", std::process::id()))
            .cookie(cookie)
            .listen_address(here)
            .visibility(Visibility::Hidden)
            .epmd(Epmd::Unregistered)
            .epmd_client(Client::new(epmd.local_addr()))
            .service(System::new());
        if let Some(certificates) = &certificates {
            node = node.transport(Tls::new(certificates.config())?);
        }
        let node = node.start().await?;
        for (name, child) in &workers.0 {
            let pid = child.id().map_or_else(String::new, |pid| format!(", process {pid}"));
            output.note(&format!("worker {name}{pid}"));
        }
        Ok(Cluster { pages, epmd, node, workers, certificates })
    }

    async fn fan_out(
        &self,
        nodes: &WorkerNodes,
        pages: &PageServer,
        output: &Output,
    ) -> Result<Vec<ChecksumRecord>, Failure> {
        let urls = (0..self.pages as usize).map(|number| (number, Item::of_line(&pages.url(number))));
        let timeout = Duration::from_secs(30);
        let work = WorkOptions { concurrency: 8, timeout: Span(timeout + Duration::from_secs(2)), retries: 3 };
        let urls: Vec<_> = urls.collect();
        let progress = output.progress();
        let mut answers =
            nodes.map(futures::stream::iter(urls), page_call(timeout), &work, page_function(), Syntax::Erlang);
        let mut records: Vec<Option<ChecksumRecord>> = vec![None; self.pages as usize];
        while let Some(answer) = answers.next().await {
            progress.inc(1);
            let index = answer.index;
            records[index] = Some(ChecksumRecord::of_call(answer));
        }
        progress.finish_and_clear();
        Ok(records.into_iter().flatten().collect())
    }
}

/// The demo's cluster and its pages.
struct Cluster {
    pages: PageServer,
    epmd: ServerHandle,
    node: Node,
    workers: Workers,
    /// Those of its nodes, if they have TLS.
    certificates: Option<Certificates>,
}

/// The address of the demo's page.
#[derive(Serialize)]
struct Serving<'a> {
    page: &'a str,
}

/// A random cookie.
fn cookie() -> Result<String, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Failure::new)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The worker processes. They are killed when this is dropped, and end by themselves if this process is killed.
struct Workers(Vec<(NodeName, Child)>);

impl Workers {
    async fn start(
        count: u16,
        epmd: SocketAddr,
        cookie: &str,
        certificates: Option<&Certificates>,
    ) -> Result<Self, Failure> {
        let starting = (1..=count).map(|number| start_worker(number, epmd, cookie, certificates));
        Ok(Self(futures::future::try_join_all(starting).await?))
    }

    fn names(&self) -> Vec<NodeName> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Ends the workers like a service manager.
    async fn stop(self) -> Result<(), Failure> {
        for (_, child) in &self.0 {
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // One that has died already is detected below.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for (name, mut child) in self.0 {
            let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
            match ended {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => tracing::warn!("the worker {name} ended with {status}"),
                Ok(Err(error)) => tracing::warn!(%error, "the worker {name} cannot be waited for"),
                Err(_) => tracing::warn!("the worker {name} does not end, and is killed"),
            }
        }
        Ok(())
    }
}

async fn start_worker(
    number: u16,
    epmd: SocketAddr,
    cookie: &str,
    certificates: Option<&Certificates>,
) -> Result<(NodeName, Child), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot start a worker: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let host = epmd.ip().to_string();
    let name = format!("demo_worker_{number}@{host}");
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars_os() {
        let hinders = variable.to_str().is_some_and(|name| {
            let name = name.to_ascii_uppercase();
            name.starts_with("PEERL_") || name.starts_with("ERL_") || name.ends_with("_PROXY")
        });
        if hinders {
            command.env_remove(variable);
        }
    }
    let strategy = format!("epmd:{host}");
    command
        .args(["worker", "--name", &name, "--listen", &host, "--epmd", "external", "--discover", &strategy])
        .args(["--config", "/dev/null", "--interval", "1s", "--until-eof", "--quiet"])
        .env("PEERL_COOKIE", cookie)
        .env("ERL_EPMD_PORT", epmd.port().to_string())
        // Ctrl-C is for the demo, which then ends its workers.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for (option, file) in certificates.iter().flat_map(|certificates| certificates.options()) {
        command.arg(option).arg(file);
    }
    let mut child = command.spawn().map_err(failed)?;
    let mut lines = child.stdout.take().map(|out| BufReader::new(out).lines());
    let ready = async {
        match &mut lines {
            Some(lines) => lines.next_line().await.ok().flatten(),
            None => None,
        }
    };
    match tokio::time::timeout(START_LIMIT, ready).await {
        Ok(Some(line)) if line.starts_with("ready ") => {}
        Ok(_) => return Err(Failure::new(format!("the worker {name} ended instead of getting ready"))),
        Err(_) => return Err(Failure::new(format!("the worker {name} did not get ready within 30 s"))),
    }
    Ok((NodeName::new(&name).map_err(Failure::new)?, child))
}

#[derive(Serialize)]
struct Report<'a> {
    pages: &'a [ChecksumRecord],
    nodes: BTreeMap<&'a str, usize>,
    matching: usize,
    mismatches: Vec<Mismatch<'a>>,
    ms: u64,
}

#[derive(Serialize)]
struct Mismatch<'a> {
    url: &'a str,
    expected: String,
    got: String,
}

fn report(
    records: &[ChecksumRecord],
    expected: &[Expected],
    took: Duration,
    output: &Output,
) -> Result<Status, Failure> {
    let mut nodes = BTreeMap::new();
    for node in records.iter().filter_map(|record| record.node.as_deref()) {
        *nodes.entry(node).or_insert(0_usize) += 1;
    }
    let mismatches: Vec<Mismatch<'_>> = records
        .iter()
        .zip(expected)
        .filter(|(record, expected)| !matches(record, expected))
        .map(|(record, expected)| Mismatch {
            url: &record.url,
            expected: format!("{} {}", expected.status, expected.sha256),
            got: record.sha256.clone().or(record.error.clone()).unwrap_or_default(),
        })
        .collect();
    let matching = expected.len().min(records.len()) - mismatches.len();
    let all = matching == expected.len();
    let report =
        Report { pages: records, nodes, matching, mismatches, ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) };
    output.value(&report, || text(&report, expected))?;
    if !all {
        return Err(Failure::new(format!("{} of {} pages do not match", expected.len() - matching, expected.len())));
    }
    Ok(Status::Success)
}

/// Whether the outcome is as expected: the same sum and size, or an error for a missing page.
fn matches(record: &ChecksumRecord, expected: &Expected) -> bool {
    let status_and_size = record.status == Some(expected.status) && record.bytes == Some(expected.bytes);
    let sum = match expected.status {
        200 => record.sha256.as_deref() == Some(expected.sha256.to_string().as_str()) && record.error.is_none(),
        _ => record.sha256.is_none() && record.error.is_some(),
    };
    status_and_size && sum
}

fn text(report: &Report<'_>, expected: &[Expected]) -> Lines {
    let rows = report.pages.iter().zip(expected).enumerate().map(|(number, (record, expected))| {
        let outcome = record.sha256.as_ref().or(record.error.as_ref()).cloned().unwrap_or_default();
        let kind = match PageServer::kind(number) {
            Kind::Usual => "",
            Kind::Missing => "missing",
            Kind::Redirect(_) => "redirect",
            Kind::Slow(_) => "slow",
            Kind::Large => "20 MB",
        };
        let verdict = if matches(record, expected) { "matches" } else { "DIFFERS" };
        let page = record.url.rsplit_once("/page").map_or(record.url.as_str(), |(_, page)| page);
        vec![
            format!("/page{page}"),
            kind.to_owned(),
            outcome,
            record.node.clone().unwrap_or_default(),
            record.ms.to_string(),
            verdict.to_owned(),
        ]
    });
    let mut lines = table(&["PAGE", "KIND", "SHA-256", "NODE", "MS", "LOCAL SUM"], rows);
    let nodes =
        table(&["NODE", "PAGES"], report.nodes.iter().map(|(node, pages)| vec![(*node).to_owned(), pages.to_string()]));
    let verdict =
        format!("{} of {} pages match the local sums, {} ms in all", report.matching, expected.len(), report.ms);
    lines.push("");
    lines.append(nodes);
    lines.extend(["", &verdict]);
    lines
}
