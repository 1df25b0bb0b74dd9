//! `peerl mesh`: makes a mesh of the nodes of a fleet, from outside.

use std::future::Future;

use clap::Args;
use peerl_discovery::Reconciler;
use peerl_node::NodeName;
use tokio::sync::broadcast;

use crate::command_node::{self, Role};
use crate::failure::{Failure, Status};
use crate::fan_out::{Found, PeerOptions};
use crate::fleet::{FleetEvent, Healer, HealerMode, HealerOptions, Report};
use crate::output::Output;
use crate::settings::{Settings, Span};
use crate::shutdown::{self, Signal};

/// Connect the nodes of a fleet to each other, and show their connections.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl mesh --discover epmd:10.0.0.5,10.0.0.6 --dry-run        the connections, and the necessary actions
  peerl mesh --node a@10.0.0.5 --node b@10.0.0.6
  peerl mesh --discover epmd:10.0.0.5,10.0.0.6 --watch --format json

The nodes need no code for this: they are told to connect by net_kernel:connect_node/1. No connection is ever ended.
peerl itself is a hidden guest. Hidden nodes are left as they are, unless --with-hidden is given.
Exit codes: 0 the mesh is whole, 2 a connection is missing, a node does not answer, or a
strategy fails or finds no nodes, 1 no node answers.")]
pub(super) struct Mesh {
    #[command(flatten)]
    peers: PeerOptions,

    /// Keep running: print events, one per line, and restore lost connections. A signal ends it, with exit code 0.
    #[arg(long)]
    watch: bool,

    /// How often nodes and discovery are polled, with --watch.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    interval: Span,

    /// Show the necessary actions without doing them.
    #[arg(long)]
    dry_run: bool,

    /// Connect hidden nodes, too.
    #[arg(long)]
    with_hidden: bool,

    /// The time-out of a node's answers. A node that hangs delays the others by at most a second.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Span,

    /// How many connections are made in parallel.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
}

impl Mesh {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        match self.watch {
            true => self.watch(settings, output).await,
            false => self.once(settings, output).await,
        }
    }

    /// Inspects the fleet, heals it and inspects it again, until nothing is left to do.
    async fn once(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        const ROUNDS: u32 = 4;
        let mut end = std::pin::pin!(shutdown::signal(shutdown::LIMIT)?);
        let Found { peers, failed } = self.peers.find_by_each(settings).await?;
        let found: Vec<NodeName> = peers.into_iter().collect();
        let node = command_node::start(settings, Role::Guest, &found).await?;
        let mut healer = Healer::new(node.clone(), self.options());
        found.into_iter().for_each(|peer| healer.look(peer));
        let mut done = Vec::new();
        for _ in 0..ROUNDS {
            loop {
                tokio::select! {
                    event = healer.next() => match event {
                        Some(event) => {
                            tracing::info!("{event}");
                            done.push(event);
                        }
                        None => break,
                    },
                    signal = &mut end => {
                        node.shutdown().await;
                        return Err(Failure::interrupted("interrupted", signal));
                    }
                }
            }
            if healer.joined() == 0 {
                break;
            }
            healer.verify();
        }
        let report = Report::new(&healer, &done, failed);
        node.shutdown().await;
        output.value(&report, || report.text())?;
        Ok(match report.has_reached_any() {
            true if report.is_whole() => Status::Success,
            true => Status::Partial,
            false => Status::Failed,
        })
    }

    async fn watch(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let mut end = std::pin::pin!(shutdown::signal(shutdown::LIMIT)?);
        let strategies = self.peers.strategies(settings)?;
        let Some(found) = self.wait_for_some(settings, output, end.as_mut()).await? else {
            return Ok(Status::Success);
        };
        let node = command_node::start(settings, Role::Guest, &found).await?;
        let mut healer = Healer::new(node.clone(), self.options());
        let reconciler = Reconciler::new(node.clone(), strategies).interval(self.interval.0);
        let mut events = reconciler.events();
        let reconciler = reconciler.start();
        let mut ticks = tokio::time::interval(self.interval.0);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            let told = tokio::select! {
                _ = &mut end => break Ok(Status::Success),
                Some(event) = healer.next() => output.value(&event, || event.to_string()),
                event = events.recv() => match event {
                    Ok(event) => healer.heed(event).map_or(Ok(()), |event| output.value(&event, || event.to_string())),
                    // The next inspection covers missed events.
                    Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                    Err(broadcast::error::RecvError::Closed) => break Err(Failure::new("discovery has ended")),
                },
                _ = ticks.tick() => {
                    healer.look_again();
                    Ok(())
                }
            };
            if let Err(failure) = told {
                break Err(failure);
            }
        };
        reconciler.stop().await;
        node.shutdown().await;
        result
    }

    /// Waits until discovery finds nodes, whose names tell which kind of name to use; `None` after a signal.
    async fn wait_for_some(
        &self,
        settings: &Settings,
        output: &Output,
        mut end: std::pin::Pin<&mut impl Future<Output = Signal>>,
    ) -> Result<Option<Vec<NodeName>>, Failure> {
        let mut told = None;
        loop {
            let found = tokio::select! {
                found = self.peers.find(settings) => found,
                _ = &mut end => return Ok(None),
            };
            match found {
                Ok(found) => return Ok(Some(found.into_iter().collect())),
                Err(failure) if failure.status() == Status::Usage => return Err(failure),
                Err(failure) => {
                    if told.as_ref() != Some(&failure) {
                        let event =
                            FleetEvent::DiscoveryFailed { strategy: "all".to_owned(), error: failure.to_string() };
                        output.value(&event, || event.to_string())?;
                        told = Some(failure);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.interval.0) => {}
                _ = &mut end => return Ok(None),
            }
        }
    }

    fn options(&self) -> HealerOptions {
        HealerOptions {
            mode: if self.dry_run { HealerMode::Report } else { HealerMode::Heal },
            with_hidden: self.with_hidden,
            timeout: self.timeout.0,
            patience: HealerOptions::default().patience.min(self.timeout.0),
            joins: self.concurrency as usize,
            ..HealerOptions::default()
        }
    }
}
