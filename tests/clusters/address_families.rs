//! Hosts with IPv4, with IPv6, and with both.

use std::process::Command;
use std::time::Duration;

use peerl_test_support::{Beam, COOKIE, Lan, Machine, ProcessGuard, matrix, peerl_command};

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
    // Without a list, as before; a node's own EPMD likewise.
    let _epmd = start(&without_ipv6, "", &["worker", "--name", "w@127.0.0.1", "--epmd", "embedded"]);
    assert!(names(&without_ipv6, "", &[]).1.contains("\nw "));

    // An address that the host could have but lacks is an error.
    let mut command = peerl_command();
    command.arg("epmd").env("ERL_EPMD_ADDRESS", "192.0.2.1,127.0.0.1");
    let refused = with_ipv6.command(command).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot listen on 192.0.2.1"), "{refused:?}");
}

fn start_worker(machine: &Machine, arguments: &[&str]) -> ProcessGuard {
    let mut command = peerl_command();
    command.arg("worker").args(arguments).env("PEERL_COOKIE", COOKIE);
    ProcessGuard::spawn(&mut machine.command(command))
}

fn peerl(machine: &Machine, arguments: &[&str]) -> String {
    let mut command = peerl_command();
    command.args(arguments).env("PEERL_COOKIE", COOKIE);
    let output = machine.command(command).output().unwrap();
    assert!(output.status.success(), "peerl {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Two machines without any IPv4 address: their workers, BEAM nodes and commands reach each other.
#[test]
fn hosts_without_ipv4_have_nodes_like_others() {
    for otp in matrix() {
        let lan = Lan::start();
        let [here, there] = [2, 3].map(|number| lan.machine_without_ipv4(lan.ipv6_address(number)));
        for machine in [&here, &there] {
            assert_eq!(run(machine, "ip", &["-4", "addr"]), "");
            run(machine, "ip", &["-6", "route", "add", "default", "dev", "eth0"]);
        }
        let given = format!("w@{}", here.address());
        let worker = start_worker(&here, &["--name", &given, "--admin", "[::1]:9180"]);
        worker.wait_for_line(&format!("ready {given}"), LIMIT);
        peerl(&here, &["health", "--admin", "[::1]:9180"]);
        peerl(&here, &["demo", "--pages", "12", "--workers", "1"]);

        // Workers that are named after the machine.
        let found = format!("plain@{}", there.address());
        let plain = start_worker(&there, &["--name", "plain"]);
        plain.wait_for_line(&format!("ready {found}"), LIMIT);
        let named = start_worker(&there, &["--name", "auto:ip,basename=auto"]);
        named.wait_for_line(&format!("ready auto@{}", there.address()), LIMIT);

        // The first worker has started the EPMD of that machine.
        let beam = |name: &str| Beam::erlang(otp).name(name).args(["-proto_dist", "inet6_tcp"]).on(&there).start();
        let (far, near) = (beam(&format!("far@{}", there.address())), beam("near@::1"));
        assert!(far.ping(&given) && far.ping(&found) && near.ping(&given), "{}", far.log());
        far.wait_for(&format!("rpc:call('{given}', erlang, node, [])"), &format!("'{given}'"), LIMIT);
        peerl(&here, &["ping", far.name()]);
        peerl(&here, &["ping", "--name", &format!("guest@{}", here.address()), far.name()]);
        peerl(&there, &["ping", near.name()]);
        assert!(peerl(&here, &["names", &there.address().to_string()]).contains("\nfar "));
        let discovered = peerl(&here, &["discover", "--discover", &format!("epmd:{}", there.address())]);
        assert!(discovered.contains(far.name()), "{discovered}");
    }
}

/// A host with both families: nodes are named after addresses of either family, and reached at both.
#[test]
fn hosts_with_both_families_have_nodes_of_both() {
    for otp in matrix() {
        let lan = Lan::start();
        let host = lan.machine(lan.address(2));
        let names = ["six@::1".to_owned(), format!("four@{}", host.address())];
        let workers = names.each_ref().map(|name| {
            let worker = start_worker(&host, &["--name", name]);
            worker.wait_for_line(&format!("ready {name}"), LIMIT);
            worker
        });
        let six = Beam::erlang(otp).name("beam_six@::1").args(["-proto_dist", "inet6_tcp"]).on(&host).start();
        let four = Beam::erlang(otp).name("beam_four@127.0.0.1").on(&host).start();
        assert!(six.ping("six@::1") && four.ping(&names[1]), "{}", six.log());
        for name in [&names[0], &names[1], six.name(), four.name()] {
            peerl(&host, &["ping", name]);
        }
        // Both workers accept connections of both families, and recognize IPv4 addresses.
        let entries: serde_json::Value = serde_json::from_str(&peerl(&host, &["names", "--format", "json"])).unwrap();
        for (worker, stem) in workers.iter().zip(["six", "four"]) {
            let entry = entries.as_array().unwrap().iter().find(|entry| entry["name"] == stem).unwrap();
            let port = &entry["port"];
            for address in ["127.0.0.1", "::1"] {
                let connect = format!("socket.create_connection(('{address}', {port})).sendall(b'GET / HTTP/1.1')");
                run(&host, "python3", &["-c", &format!("import socket; {connect}")]);
            }
            worker.wait_for_error_line("address=127.0.0.1:", LIMIT);
        }
    }
}
