#![forbid(unsafe_code)]
// The futures of the commands nest more deeply than the default limit.
#![recursion_limit = "256"]
//! The command line `peerl`.
//!
//! ```text
//!   command ──▶ bulk_run ──▶ fan_out ──▶ peerl_node    the work of a command: one file each in `command`
//!      │           ├────▶ items
//!      │           └────▶ results ──▶ out_file, row_writer
//!      ├──▶ fleet, sidecar                other nodes, inspected and connected
//!      ├──▶ settings, command_node        the settings, and the command's own node
//!      └──▶ output, explain, failure      output and errors; `printable` escapes text for terminals
//!   command::worker ──▶ function          the functions of a worker: one file per Erlang module
//!                          └──▶ page_client
//!   command::web, command::worker ──▶ web ──▶ http      a page for browsers
//!   service_manager ──▶ self_check     notifications for systemd, and the check behind them
//!   admin ──▶ http                     the admin endpoint, and the HTTP server of all parts
//! ```

mod command;
pub use command::run;

pub mod admin;
pub mod answer;
pub mod bulk_run;
pub mod call_errors;
pub mod checksum;
pub mod command_node;
pub mod exception;
pub mod explain;
pub mod failure;
pub mod fan_out;
pub mod fleet;
pub mod function;
pub mod http;
pub mod item_error;
pub mod items;
pub mod log;
pub mod out_file;
pub mod output;
pub mod page_client;
pub mod page_server;
pub mod phoenix;
pub mod printable;
pub mod remote_log;
pub mod results;
pub mod row_writer;
pub mod self_check;
pub mod service_manager;
pub mod settings;
pub mod shutdown;
pub mod sidecar;
pub mod transport;
pub mod web;
