use std::process::Command;

use super::Settings;

/// One line about the machine and the versions.
pub(crate) fn describe(settings: &Settings) -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let rustc = String::from_utf8_lossy(&rustc);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let threads = settings.threads.map_or_else(
        || "each node with its usual threads".to_owned(),
        |threads| format!("each node with so many threads: {threads}"),
    );
    format!(
        "{}, {cores} cores, {threads}, OTP {}, {}, load before {}; {} rounds of {:?}",
        model.unwrap_or("unknown processor"),
        settings.otp.number(),
        rustc.split_whitespace().take(2).collect::<Vec<_>>().join(" "),
        load.split_whitespace().next().unwrap_or("unknown"),
        settings.rounds,
        settings.slice,
    )
}
