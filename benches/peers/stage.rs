//! The nodes of every benchmark.

use std::time::{Duration, Instant};

use peerl_node::{Node, NodeName, Visibility};
use peerl_test_support::{Beam, Epmd, unique_name};
use tokio::runtime::Runtime;

use super::{Worker, name, start_beam, start_epmd, start_node};
use crate::harness::Settings;

/// Two BEAM nodes, a node of this process, and a peerl worker.
pub(crate) struct Stage<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) epmd: Epmd,
    pub(crate) caller: Beam,
    pub(crate) callee: Beam,
    pub(crate) callee_name: NodeName,
    pub(crate) callee_port: u16,
    pub(crate) worker: Worker,
    pub(crate) node: Node,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(settings: &Settings, runtime: &'a Runtime) -> Self {
        let epmd = start_epmd(settings);
        let (caller, callee) = (start_beam(settings, &epmd), start_beam(settings, &epmd));
        let callee_name = name(&callee);
        let port = epmd.names().into_iter().find(|(name, _)| *name == callee_name.name()).expect("it is registered").1;
        let own_name = format!("{}@127.0.0.1", unique_name("bench"));
        let node = runtime.block_on(start_node(&own_name, epmd.address(), Visibility::Hidden));
        let worker = Worker::start(settings, &epmd);
        Self { runtime, epmd, caller, callee, callee_name, callee_port: port, worker, node }
    }

    /// Tasks that each call one after another; returns the number of calls and their duration.
    pub(crate) fn calls<F>(
        &self,
        callers: usize,
        slice: Duration,
        call: impl Fn() -> F + Clone + Send + 'static,
    ) -> (f64, Duration)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let call = call.clone();
                self.runtime.spawn(async move {
                    let mut calls = 0u64;
                    while start.elapsed() < slice {
                        call().await;
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let calls: u64 = self.runtime.block_on(async {
            let mut calls = 0;
            for task in tasks {
                calls += task.await.expect("the caller does not panic");
            }
            calls
        });
        (calls as f64, start.elapsed())
    }
}
