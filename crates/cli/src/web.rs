//! A web page on which visitors let the nodes of a cluster take checksums.
//!
//! ```text
//!   routes ──▶ requester, session, origin, rate   authorization
//!     ├──▶ pages ──▶ html ──▶ matrix, assets      for browsers, with or without script
//!     ├──▶ events ──▶ feed                        event streams, and what is made once for many
//!     └──▶ api, export                            for programs
//!            └──▶ site ──▶ jobs ──▶ job ──▶ work  the jobs of this node
//!                  │  └──▶ shared_jobs            the jobs of other web nodes
//!                  └────▶ cluster, workers        the nodes, and those that take checksums
//! ```

mod address;
mod api;
mod assets;
mod cluster;
mod event_text;
mod events;
mod export;
mod feed;
mod html;
mod job;
mod jobs;
mod matrix;
mod options;
pub use options::{Reserved, WebOptions, WebPage};
mod origin;
mod pages;
mod problem;
mod rate;
mod requester;
mod routes;
mod row;
mod session;
mod shared_jobs;
mod site;
mod urls;
mod work;
mod workers;
