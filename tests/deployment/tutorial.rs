//! The README and the tutorial, executed in terminals on a separate machine.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::kit::page::{Page, Session};
use peerl_test_support::{HttpServer, Lan, Machine, ProcessGuard, Response};

const A_WHILE: Duration = Duration::from_secs(60);

/// A page whose web pages come from a test server, and whose `cargo` has already built peerl.
fn open(name: &str, lan: &Lan) -> (Page, HttpServer) {
    let mut page = Page::open(name);
    let server = HttpServer::start(|request: peerl_test_support::Request| Response::text(200, &request.path));
    let address = lan.expose(&server.endpoint());
    for site in ["example.org", "www.erlang.org", "elixir-lang.org"] {
        page.replace(&format!("https://{site}"), &format!("{address}/{site}"));
    }
    page.program(
        "cargo",
        "case \"$1\" in run) shift; while [ \"$1\" != -- ]; do shift; done; shift; exec peerl \"$@\";; esac",
    );
    page.set("HOME", page.at("bin").to_str().unwrap());
    (page, server)
}

/// `sha256sum` of `/example.org`, in upper case.
const EXAMPLE: &str = "60A75303B90EF452BDCFFF18250929467A37FC940D7899EFAE8B33EAAD4138B4";

#[test]
fn the_tutorial() {
    let lan = Lan::start();
    let (mut page, _server) = open("tutorial.md", &lan);
    let here = lan.machine(lan.address(2));
    for file in ["urls.txt", "sums.jsonl"] {
        page.replace(file, page.at(file).to_str().unwrap());
    }
    page.replace("$PWD/target/debug", page.at("bin").to_str().unwrap());
    page.run();
    page.run();
    let iex = Session::start(&mut page, &here);
    let worker = page.start_on(&here);
    worker.wait_for_line("ready rust@127.0.0.1", A_WHILE);
    worker.wait_for_error_line("app@127.0.0.1", A_WHILE);
    assert_eq!(iex.work_through(&page), 3);
    assert_eq!(page.run_on(&here).lines().next(), Some("6"));
    let printed = page.run_on(&here);
    assert_eq!(printed.matches("example.org").count(), 1, "{printed}");
    let sums = fs::read_to_string(page.at("sums.jsonl")).unwrap();
    assert_eq!(sums.matches("\"sha256\":\"").count(), 3, "{sums}");
    page.end();
}

#[test]
fn the_readme() {
    let lan = Lan::start();
    let (mut page, _server) = open("../README.md", &lan);
    let here = lan.machine(lan.address(2));
    let shown = page.run_on(&here);
    assert!(shown.contains("200"), "{shown}");
    page.run();
    let iex = Session::start(&mut page, &here);
    let worker = page.start_on(&here);
    worker.wait_for_line("ready rust@127.0.0.1", A_WHILE);
    worker.wait_for_error_line("app@127.0.0.1", A_WHILE);
    assert_eq!(iex.work_through(&page), 3);
    let shown = page.run_on(&here);
    assert!(shown.to_uppercase().contains(EXAMPLE) && shown.contains("\n6\n"), "{shown}");

    let fleet = [5, 6].map(|number| lan.machine(lan.address(number)));
    let apps = fleet.each_ref().map(|machine| app(machine, &page));
    for (machine, of_page) in fleet.iter().zip(["10.0.0.5", "10.0.0.6"]) {
        page.replace(of_page, &machine.address().to_string());
    }
    let mesh = page.start_on(&here);
    mesh.wait_for_line("whole", A_WHILE);
    mesh.kill();
    let sidecar = page.start_on(&fleet[0]);
    sidecar.wait_for_line(&format!("app@{}", fleet[1].address()), A_WHILE);
    assert!(apps.iter().all(ProcessGuard::is_running));
    page.end();
}

fn app(machine: &Machine, page: &Page) -> ProcessGuard {
    let mut command = Command::new("erl");
    command.args(["-noinput", "-name", &format!("app@{}", machine.address()), "-setcookie", "secret"]);
    ProcessGuard::spawn(machine.command(command).env("HOME", page.at("bin")))
}
