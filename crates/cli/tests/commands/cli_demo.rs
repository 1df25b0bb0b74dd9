//! `peerl demo`: a cluster that starts, works, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, run};
use peerl_test_support::{ProcessGuard, peerl_command};

#[test]
fn all_sums_match() {
    let mut command = peerl_command();
    command.args(["demo", "--format", "json"]);
    let ran = run(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["matching"], 200);
    assert_eq!(report["pages"].as_array().unwrap().len(), 200);
    let nodes = report["nodes"].as_object().unwrap();
    assert_eq!(nodes.len(), 3);
    assert_eq!(nodes.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 200);
    let missing = report["pages"].as_array().unwrap().iter().filter(|page| page["status"] == 404).count();
    assert_eq!(missing, 20);
    assert!(report["pages"].as_array().unwrap().iter().any(|page| page["bytes"] == 20_000_000));
}

#[test]
fn the_table_ends_with_the_verdict() {
    let mut command = peerl_command();
    // Settings that would mislead other commands do not affect the demo.
    command
        .args(["demo", "--workers", "2", "--pages", "20"])
        .env("HTTP_PROXY", "http://127.0.0.1:1/")
        .env("http_proxy", "http://127.0.0.1:1/")
        .env("PEERL_NAME", "somebody@10.0.0.1")
        .env("PEERL_COOKIE", "x");
    let ran = run(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.lines().last().unwrap().starts_with("20 of 20 pages match"), "{ran:?}");
    assert!(ran.out.contains("demo_worker_2@127.0.0.1"));
}

#[test]
fn with_tls_the_certificates_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = peerl_command();
    command.args(["demo", "--tls", "--workers", "2", "--pages", "20"]).env("TMPDIR", directory.path());
    let ran = run(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.lines().last().unwrap().starts_with("20 of 20 pages match"), "{ran:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn nothing_is_left_behind_however_it_ends() {
    for end in ["SIGINT", "SIGTERM", "SIGKILL"] {
        let mut command = peerl_command();
        // Enough pages that it is still at work when it is ended.
        let demo = ProcessGuard::spawn(command.args(["demo", "--pages", "100000"]));
        let workers: Vec<u32> = (1..=3)
            .map(|number| {
                let line = demo.wait_for_error_line(&format!("worker demo_worker_{number}"), A_WHILE);
                line.rsplit(' ').next().unwrap().parse().unwrap()
            })
            .collect();
        assert!(workers.iter().all(|pid| is_running(*pid)));
        match end {
            "SIGINT" => demo.sigint(),
            "SIGTERM" => demo.sigterm(),
            _ => demo.kill_alone(),
        }
        let status = demo.wait(A_WHILE);
        match end {
            "SIGINT" => assert_eq!(status.code(), Some(130)),
            "SIGTERM" => assert_eq!(status.code(), Some(143)),
            _ => assert_eq!(status.code(), None),
        }
        let limit = Instant::now() + A_WHILE;
        while workers.iter().any(|pid| is_running(*pid)) {
            assert!(Instant::now() < limit, "workers go on after {end}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    // The state follows the name, which can contain anything.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
