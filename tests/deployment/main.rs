//! The files of `deploy/` and the pages of the book that are worked through.

#[path = "../kit/mod.rs"]
mod kit;

mod deploy_host;
mod deploy_image;
mod deploy_stacks;
mod deploy_templates;
mod how_to;
mod tutorial;
