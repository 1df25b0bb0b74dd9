//! The web page, and who may see it.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../visitor/mod.rs"]
mod visitor;

mod cli_proto_dist;
mod cli_web;
mod cli_web_browser;
mod cli_web_visitors;
mod http_connections;
