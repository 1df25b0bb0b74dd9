//! Workers and sidecars: how they start, serve, lose peers and leave.

#[path = "../cluster/mod.rs"]
mod cluster;

mod cli_admin;
mod cli_certificates;
mod cli_dead_peers;
mod cli_dead_workers;
mod cli_foreign_nodes;
mod cli_foreign_protocols;
mod cli_removal;
mod cli_service;
mod cli_sidecar;
mod cli_tls;
mod cli_worker_groups;
mod cli_worker_log;
