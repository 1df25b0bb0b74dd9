//! The metrics of this process in Prometheus' format.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::describe_counter;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;
use crate::printable::printable_lines;

/// How often recorded values are sorted into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bucket bounds in seconds, from a local answer to a time-out.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The recorder; there is one per process.
#[derive(Clone)]
pub(super) struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// Records metrics from here on.
    pub(super) fn install() -> Result<Self, Failure> {
        static INSTALLED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(|error| error.to_string())?;
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
            describe_counter!("peerl_admin_requests_total", "Requests at the admin endpoint, by path and status");
            super::member::describe();
            Ok(handle)
        });
        let handle = installed.clone().map_err(|error| Failure::new(format!("cannot record metrics: {error}")))?;
        tokio::spawn({
            let handle = handle.clone();
            async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    handle.run_upkeep();
                }
            }
        });
        Ok(Self(handle))
    }

    pub(super) fn render(&self) -> String {
        printable_lines(&self.0.render())
    }
}
