//! Commands that ask, act and end.

#[path = "../cluster/mod.rs"]
mod cluster;

mod cli_address_rules;
mod cli_aws_errors;
mod cli_checksum;
mod cli_cluster;
mod cli_completions;
mod cli_cookie;
mod cli_demo;
mod cli_discovery;
mod cli_errors;
mod cli_global;
mod cli_guests;
mod cli_hidden;
mod cli_mesh;
mod cli_observers;
mod cli_pubsub;
mod cli_settings;
mod cli_streams;
mod cli_usage;
