//! Workers that die during a run: the others take over their share, and no item is lost or done twice.

use std::collections::BTreeSet;
use std::process::Command;

use crate::cluster::{A_WHILE, Cluster, records, wait_for_records};
use peerl_test_support::{Beam, Otp, ProcessGuard, matrix};

const ITEMS: usize = 600;
const WINDOW: usize = 4;

/// A BEAM with a function that takes 50 ms, and counts its pending calls.
fn worker(cluster: &Cluster, otp: Otp) -> Beam {
    let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
    beam.load_module(
        "-module(busy).\n-export([start/0, page/1, most/0, now/0, go_on/0]).\n\
         start() -> persistent_term:put(busy, counters:new(2, [atomics])).\n\
         page(<<\"item \", Number/binary>> = X) ->\n\
             Counts = persistent_term:get(busy),\n\
             counters:add(Counts, 1, 1),\n\
             Now = counters:get(Counts, 1),\n\
             Now > counters:get(Counts, 2) andalso counters:put(Counts, 2, Now),\n\
             binary_to_integer(Number) < 300 orelse held(),\n\
             timer:sleep(50),\n\
             counters:sub(Counts, 1, 1),\n\
             X.\n\
         held() -> persistent_term:get(on, false) orelse begin timer:sleep(10), held() end.\n\
         go_on() -> persistent_term:put(on, true).\n\
         now() -> counters:get(persistent_term:get(busy), 1).\n\
         most() -> counters:get(persistent_term:get(busy), 2).\n",
    )
    .unwrap();
    beam.eval("busy:start()").unwrap();
    beam
}

fn most(beam: &Beam) -> usize {
    beam.eval("busy:most()").unwrap().parse().unwrap()
}

fn kill(beam: &Beam) {
    // The process of the BEAM itself; the fixture's may be a shell.
    let pid = beam.eval("list_to_integer(os:getpid())").unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
}

#[test]
fn the_others_have_its_share_under_way() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let workers = [(); 3].map(|()| worker(&cluster, otp));
        let items: String = (0..ITEMS).map(|number| format!("item {number}\n")).collect();
        let (items, out) = (cluster.write("items", items), cluster.path("out.jsonl"));
        let window = WINDOW.to_string();
        let mut arguments = vec!["pmap", "busy:page(_)", "--items", &items, "--out", out.to_str().unwrap()];
        arguments.extend(["--concurrency", &window, "--format", "jsonl"]);
        arguments.extend(workers.iter().flat_map(|worker| ["--node", worker.name()]));
        let job = ProcessGuard::spawn(&mut cluster.command(&arguments));
        wait_for_records(&out, ITEMS / 4);
        let [dead, others @ ..] = &workers;
        assert!(workers.iter().all(|worker| most(worker) <= WINDOW), "no more than was asked for at each");
        kill(dead);
        // 4 + 4 + 4 become 6 + 6; the held items keep the job from its end until then.
        for worker in others {
            worker.wait_for("busy:now()", &(WINDOW * 3 / 2).to_string(), A_WHILE);
        }
        for worker in others {
            worker.eval("busy:go_on()").unwrap();
        }
        assert!(job.wait(A_WHILE).success(), "{}", job.stderr());
        for worker in others {
            assert!(most(worker) <= WINDOW * 3 / 2, "{} on {otp:?}", worker.name());
        }
        let records = records(&out);
        let names: BTreeSet<&str> = records.iter().map(|record| record["item"].as_str().unwrap()).collect();
        assert_eq!((records.len(), names.len()), (ITEMS, ITEMS), "each item once");
        assert!(records.iter().all(|record| record["error"].is_null()), "on {otp:?}");
    }
}

#[test]
fn half_of_the_workers_die() {
    let cluster = Cluster::start();
    let workers = [(); 4].map(|()| cluster.worker(&[]));
    let items: String = (0..ITEMS).map(|number| format!("{}.\n", 20 + number % 7)).collect();
    let (items, out) = (cluster.write("items", items), cluster.path("out.jsonl"));
    let mut arguments = vec!["pmap", "timer:sleep(_)", "--items-format", "erlang"];
    arguments.extend(["--items", &items, "--out", out.to_str().unwrap()]);
    arguments.extend(workers.iter().flat_map(|(_, name)| ["--node", name.as_str()]));
    let job = ProcessGuard::spawn(&mut cluster.command(&arguments));
    for (number, (worker, _)) in workers.iter().take(2).enumerate() {
        wait_for_records(&out, ITEMS / 5 * (number + 1));
        worker.kill_alone();
    }
    assert!(job.wait(A_WHILE).success(), "{}", job.stderr());
    let records = records(&out);
    assert_eq!(records.len(), ITEMS);
    assert!(records.iter().all(|record| record["error"].is_null()), "{records:?}");
}
