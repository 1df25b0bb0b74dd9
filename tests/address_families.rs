//! Hosts with IPv4, with IPv6, with both.

use std::process::Command;
use std::time::Duration;

use peerl_test_support::{COOKIE, Lan, Machine, ProcessGuard, peerl_command};

const LIMIT: Duration = Duration::from_secs(60);

fn run(machine: &Machine, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = machine.command(command).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `ERL_EPMD_ADDRESS` names addresses of both families, and the host has one or both.
#[test]
fn addresses_of_a_missing_family_are_left_out() {
    let lan = Lan::start();
    let [with_ipv6, without_ipv6] = [2, 3].map(|number| lan.machine(lan.address(number)));
    run(&without_ipv6, "sh", &["-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"]);
    let start = |machine: &Machine, addresses: &str, arguments: &[&str]| {
        let mut command = peerl_command();
        command.args(arguments).env("ERL_EPMD_ADDRESS", addresses).env("PEERL_COOKIE", COOKIE);
        let process = ProcessGuard::spawn(&mut machine.command(command));
        process.wait_for_line("ready", LIMIT);
        process
    };
    let names = |machine: &Machine, addresses: &str, host: &[&str]| {
        let mut command = peerl_command();
        command.arg("names").args(host).env("ERL_EPMD_ADDRESS", addresses);
        let output = machine.command(command).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    for addresses in ["::1,127.0.0.1", "127.0.0.1 ::1", "::1"] {
        for machine in [&with_ipv6, &without_ipv6] {
            let epmd = start(machine, addresses, &["epmd"]);
            let has_ipv6 = std::ptr::eq(machine, &with_ipv6);
            match has_ipv6 {
                true => assert_eq!(epmd.stderr(), "", "{addresses}"),
                false => drop(epmd.wait_for_error_line("EPMD listens at its other addresses only", LIMIT)),
            }
            let _worker = start(machine, addresses, &["worker", "--name", "w@127.0.0.1", "--epmd", "external"]);
            let (listed, table) = names(machine, addresses, &[]);
            assert!(listed && table.contains("\nw "), "{addresses}: {table}");
            assert!(names(machine, addresses, &["127.0.0.1"]).0, "{addresses}");
            assert_eq!(names(machine, addresses, &["::1"]).0, has_ipv6, "{addresses}");
        }
    }
    // Without a list, as before; and a node's own EPMD likewise.
    let _epmd = start(&without_ipv6, "", &["worker", "--name", "w@127.0.0.1", "--epmd", "embedded"]);
    assert!(names(&without_ipv6, "", &[]).1.contains("\nw "));

    // An address that the host could have and has not is an error.
    let mut command = peerl_command();
    command.arg("epmd").env("ERL_EPMD_ADDRESS", "192.0.2.1,127.0.0.1");
    let refused = with_ipv6.command(command).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("can't listen on 192.0.2.1"), "{refused:?}");
}
