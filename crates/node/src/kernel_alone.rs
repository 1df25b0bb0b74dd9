#![forbid(unsafe_code)]
//! The root of the package `peerl-kernel-alone` (in `tests/kernel`): the kernel by itself. The dependencies of that package
//! have no sockets (`tokio` without `net`, no `socket2`, no EPMD), so neither can it.
//!
//! `cargo check -p peerl-kernel-alone` shows it. In a build of the whole workspace, its dependencies have the features that
//! others need.

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the layers above use it, and are not compiled here")]
mod kernel;
