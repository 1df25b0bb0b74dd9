#![forbid(unsafe_code)]
// The futures of the commands nest deeper than the default.
#![recursion_limit = "256"]
//! The command line `peerl`.
//!
//! ```text
//!   command ──▶ job ──▶ fan_out ──▶ peerl_node    what a command does: one file each in `command`
//!      │         ├────▶ items
//!      │         └────▶ results ──▶ out_file, row_writer
//!      ├──▶ fleet, sidecar                the nodes of others, looked at and connected
//!      ├──▶ settings, session             what the user wants, and the node that is started for it
//!      └──▶ output, explain, failure      what the user is told; `printable` makes it fit for a terminal
//!   command::worker ──▶ function          what a worker serves: one file for each Erlang module
//!                          └──▶ page_client
//!   command::web, command::worker ──▶ web ──▶ http      a page for browsers
//!   service_manager ──▶ self_check     what systemd is told, and whether it is true
//!   admin ──▶ http                     what is asked over HTTP, and the server of all of it
//! ```

mod command;
pub use command::run;

pub mod admin;
pub mod answer;
pub mod call_errors;
pub mod checksum;
pub mod exception;
pub mod explain;
pub mod failure;
pub mod fan_out;
pub mod fleet;
pub mod function;
pub mod http;
pub mod item_error;
pub mod items;
pub mod job;
pub mod log;
pub mod out_file;
pub mod output;
pub mod page_client;
pub mod page_server;
pub mod printable;
pub mod remote_log;
pub mod results;
pub mod row_writer;
pub mod self_check;
pub mod service_manager;
pub mod session;
pub mod settings;
pub mod shutdown;
pub mod sidecar;
pub mod web;
