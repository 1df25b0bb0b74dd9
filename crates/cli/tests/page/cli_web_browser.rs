//! The web page in a browser: each test runs one specification of `tests/web`, which starts its own nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cluster::Cluster;
use peerl_test_support::{COOKIE, ProcessGuard, peerl_binary, playwright, specifications};

/// A specification's own limits are much shorter, and name the failed step.
const LIMIT: Duration = Duration::from_secs(280);

fn run(specification: &str) {
    let cluster = Cluster::start();
    let mut command = playwright();
    command
        .arg(format!("{specification}.spec.js"))
        .env("HOME", cluster.home.path())
        .env("PEERL_BIN", peerl_binary())
        .env("PEERL_COOKIE", COOKIE)
        .env("ERL_EPMD_PORT", cluster.epmd.port().to_string());
    let playwright = ProcessGuard::spawn(&mut command);
    let status = playwright.wait(LIMIT);
    assert!(status.success(), "{specification}.spec.js");
}

macro_rules! specifications {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })+

        const TESTED: &[&str] = &[$(stringify!($name)),+];
    };
}

specifications! {
    accessibility,
    cluster,
    demo,
    jobs,
    keyboard,
    large_jobs_alone,
    load_balancer,
    markup,
    no_script,
    results,
    screenshots,
    sessions,
    worker_loss,
}

#[test]
fn every_specification_has_its_test() {
    let files = std::fs::read_dir(specifications()).unwrap();
    let files = files.filter_map(|file| {
        file.unwrap().file_name().into_string().unwrap().strip_suffix(".spec.js").map(str::to_owned)
    });
    assert_eq!(files.collect::<BTreeSet<_>>(), TESTED.iter().map(|&name| name.to_owned()).collect());
}
