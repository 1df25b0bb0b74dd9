//! A web page on which visitors have the nodes of a cluster take checksums.
//!
//! ```text
//!   routes ──▶ visitor, session, origin, rate     who asks, and what they may do
//!     ├──▶ pages ──▶ html ──▶ matrix, assets      for browsers, with or without script
//!     ├──▶ events                                 what changes, as it changes
//!     └──▶ api, export                            for programs
//!            └──▶ site ──▶ jobs ──▶ job ──▶ work  the jobs of this node
//!                  │  └──▶ shared_jobs            those of other web nodes
//!                  └────▶ cluster, workers        who is there, and who takes checksums
//! ```

mod address;
mod api;
mod assets;
mod cluster;
mod events;
mod export;
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
mod routes;
mod row;
mod session;
mod shared_jobs;
mod site;
mod urls;
mod visitor;
mod work;
mod workers;
