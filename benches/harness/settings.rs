use std::time::Duration;

use peerl_test_support::Otp;
use tokio::runtime::{Builder, Runtime};

/// The arguments: `cargo bench -p peerl --bench NAME -- [--rounds N] [--slice SECONDS] [--otp 25|27|29] [--threads N]
/// [--epmd-port PORT] [--only WORDS] [--nodes N]`.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The number of turns of each contestant.
    pub(crate) rounds: usize,
    /// The length of a turn.
    pub(crate) slice: Duration,
    /// The release of the BEAM nodes.
    pub(crate) otp: Otp,
    /// The number of threads of a node: schedulers of a BEAM, threads of the runtime of a peerl process. By default
    /// each has one for each core.
    pub(crate) threads: Option<usize>,
    /// The port of the benchmark's EPMD. `edp_node` only uses port 4369, and takes part only then.
    pub(crate) epmd_port: Option<u16>,
    /// The largest mesh.
    pub(crate) nodes: usize,
    /// Only the contests whose title contains this.
    pub(crate) only: Option<String>,
}

impl Settings {
    /// The usual length of a turn.
    pub(crate) const SLICE: Duration = Duration::from_millis(300);

    /// # Panics
    /// If the arguments are invalid.
    pub(crate) fn from_args() -> Self {
        let mut settings = Self {
            rounds: 21,
            slice: Self::SLICE,
            otp: Otp::V25,
            threads: None,
            epmd_port: None,
            nodes: 200,
            only: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            if argument == "--bench" {
                continue;
            }
            let value = arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => settings.rounds = value.parse().expect("a number of rounds"),
                "--slice" => settings.slice = Duration::from_secs_f64(value.parse().expect("a time in seconds")),
                "--otp" => settings.otp = otp(&value),
                "--threads" => settings.threads = Some(value.parse().expect("a number of threads")),
                "--epmd-port" => settings.epmd_port = Some(value.parse().expect("a port")),
                "--nodes" => settings.nodes = value.parse().expect("a number of nodes"),
                "--only" => settings.only = Some(value),
                other => panic!("unknown option {other}"),
            }
        }
        settings
    }

    /// The runtime of a peerl process.
    pub(crate) fn runtime(&self) -> Runtime {
        let mut builder = Builder::new_multi_thread();
        if let Some(threads) = self.threads {
            builder.worker_threads(threads);
        }
        builder.enable_all().build().expect("a runtime")
    }

    pub(crate) fn wants(&self, title: &str) -> bool {
        self.only.as_ref().is_none_or(|only| title.contains(only.as_str()))
    }
}

fn otp(number: &str) -> Otp {
    match number {
        "25" => Otp::V25,
        "27" => Otp::V27,
        "29" => Otp::V29,
        _ => panic!("OTP 25, 27 or 29"),
    }
}
