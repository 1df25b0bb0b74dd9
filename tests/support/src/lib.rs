//! Fixtures for tests with real BEAM nodes, EPMD, and the `peerl` binary; and with a simulation of AWS, behind a
//! proxy that makes it fail.
//!
//! All that a fixture starts listens on its own port of 127.0.0.1, has a temporary home directory, and is killed with
//! its whole process group when the fixture is dropped, or when the test process dies. A missing tool is a panic that
//! names the command which installs it.
//!
//! ```no_run
//! use peerl_test_support::{Beam, Epmd, Otp};
//!
//! let epmd = Epmd::start();
//! let erlang = Beam::erlang(Otp::V25).epmd(&epmd).start();
//! let elixir = Beam::elixir(Otp::V25).epmd(&epmd).hidden().start();
//!
//! assert_eq!(erlang.eval("lists:sum([1, 2, 3])").unwrap(), "6");
//! assert_eq!(elixir.eval_elixir("Enum.sum([1, 2, 3])").unwrap(), "6");
//! assert!(erlang.ping(elixir.name()));
//! ```
//!
//! The calls block. A test whose runtime must continue meanwhile (a BEAM calls the node under test) uses the `_async`
//! ones.

#![forbid(unsafe_code)]

mod beam;
pub use beam::{Beam, BeamBuilder, COOKIE, StartError};

mod certificates;
pub use certificates::{Authority, Identity, KeyKind};

pub mod conformance;

mod control;
pub use control::EvalError;

mod epmd;
pub use epmd::Epmd;

mod exit_watch;

mod fault_proxy;
pub use fault_proxy::{Fault, FaultProxy, Times};

mod foreign_node;
pub use foreign_node::{ForeignNode, Rex};

mod held_thread;
pub use held_thread::HeldThread;

mod http;
pub use http::{Answer, HttpServer, Request, Response};

mod metadata_service;
pub use metadata_service::MetadataService;

mod moto;
pub use moto::{Moto, aws_env};

mod lan;
pub use lan::{Lan, Machine};

mod name;
pub use name::unique_name;

mod otp;
pub use otp::{Otp, matrix, neighbours, observer, suites};

mod output;

mod peerl;
pub use peerl::{peerl_binary, peerl_command};

mod phoenix;
pub use phoenix::PHOENIX;

mod playwright;
pub use playwright::{playwright, specifications};

mod port;
pub use port::{free_port, free_ports};

mod process;
pub use process::ProcessGuard;

mod task_metadata_service;
pub use task_metadata_service::{TaskFacts, TaskMetadataService};
mod python;
pub use python::python_tool;

mod tool;
