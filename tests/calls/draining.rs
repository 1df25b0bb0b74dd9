//! A node that leaves its cluster: it is no longer found, new calls go elsewhere, pending calls are answered, and
//! then all connections close at once.

use std::net::TcpStream;
use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, eventually, expect, export, export_held};
use peerl_epmd::Client;
use peerl_node::{Node, Nodes};
use peerl_test_support::{Beam, COOKIE, Lan, Machine, Otp, ProcessGuard, matrix, peerl_command};

/// One BEAM of each release, or three of the only release.
fn three() -> [Otp; 3] {
    let releases = matrix();
    std::array::from_fn(|index| releases[index % releases.len()])
}

/// Lets the BEAM record when it loses the node, and, if it is to call it, the answer and its time.
fn witness(beam: &Beam, node: &str, call: Option<&str>) {
    let waits = if call.is_some() { "infinity" } else { "0" };
    let call = call.map_or_else(String::new, |call| {
        format!(
            "spawn(fun() ->
                 Answer = (catch erpc:call('{node}', {call})),
                 witness ! {{answer, Answer, erlang:system_time(microsecond)}}
             end),"
        )
    });
    let start = format!(
        "S = self(),
         register(witness, spawn(fun() ->
             ok = net_kernel:monitor_nodes(true),
             S ! watching,
             Answer = receive {{answer, A, T}} -> {{A, T}} after {waits} -> none end,
             Lost = receive {{nodedown, '{node}'}} -> erlang:system_time(microsecond) end,
             Early = receive {{answer, _, _}} -> late after 0 -> ok end,
             receive {{tell, To}} -> To ! {{Answer, Lost, Early}} end
         end)),
         receive watching -> ok end, {call} ok"
    );
    assert_eq!(beam.eval(&start).as_deref(), Ok("ok"));
}

/// The recorded answer with its time, and the time of the loss.
fn testimony(beam: &Beam, value: &str) -> (Option<u64>, u64) {
    let told = beam
        .eval_within("witness ! {tell, self()}, receive {{_, _, _} = All} -> All; {_, _, _} = All -> All end", LIMIT);
    let told = told.unwrap();
    let numbers: Vec<u64> = told.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    match &numbers[..] {
        [answered, lost] if told.contains(value) => (Some(*answered), *lost),
        [lost] if told.contains("none") => (None, *lost),
        _ => panic!("{told}"),
    }
}

const REFUSALS: [(&str, &str); 9] = [
    ("try erpc:call(NODE, rust, add, [1, 2]) catch C:R -> {C, R} end", "{error,{erpc,noconnection}}"),
    ("rpc:call(NODE, rust, add, [1, 2])", "{badrpc,nodedown}"),
    ("rpc:call(NODE, rust, nothing, [])", "{badrpc,nodedown}"),
    ("rpc:block_call(NODE, rust, add, [3, 4])", "{badrpc,nodedown}"),
    ("gen_server:call({rex, NODE}, {call, rust, add, [5, 6], self()})", "{badrpc,nodedown}"),
    ("{rex, NODE} ! {self(), {call, rust, add, [7, 8], user}}, receive {rex, V} -> V end", "{badrpc,nodedown}"),
    ("erpc:multicall([NODE], rust, echo, [x])", "[{error,{erpc,noconnection}}]"),
    ("rpc:multicall([NODE], rust, echo, [x])", "{[],[NODE]}"),
    ("{P, R} = spawn_monitor(NODE, rust, echo, [y]), receive {'DOWN', R, process, P, Why} -> Why end", "noconnection"),
];

async fn is_refused(beam: &Beam, node: &Node) {
    for (call, answer) in REFUSALS {
        let answer = answer.replace("NODE", &format!("'{}'", node.name()));
        assert_eq!(eval(beam, node, call).await, answer, "{call} on {}", beam.otp().number());
    }
    expect(beam, node, "net_adm:ping(NODE)", "pong").await;
}

/// Three connected BEAMs: one waits for a short call, one for a long one, and one for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_are_answered_and_all_links_end_together() {
    for stage in [Stage::new(), Stage::with_tls()] {
        links_end_together_on(&stage).await;
    }
}

async fn links_end_together_on(stage: &Stage) {
    let node = stage.node().await;
    export(&node);
    let [short, long] = ["short", "long"].map(|name| export_held(&node, name));
    let mut beams = Vec::new();
    for otp in three() {
        beams.push(stage.beam(otp).await);
    }
    let stranger = stage.beam(Otp::V25).await;
    for beam in &beams {
        expect(beam, &node, "net_adm:ping(NODE)", "pong").await;
        for other in &beams {
            expect(beam, &node, &format!("net_adm:ping('{}')", other.name()), "pong").await;
        }
    }
    for (beam, call) in beams.iter().zip([Some("rust, short, []"), Some("rust, long, []"), None]) {
        let (beam, name) = (beam.clone(), node.name().to_string());
        tokio::task::spawn_blocking(move || witness(&beam, &name, call)).await.unwrap();
    }
    eventually("two calls", || node.calls_served() == 2).await;

    let leaving = tokio::spawn({
        let node = node.clone();
        async move {
            node.drain().await;
            let served = node.calls_served();
            node.shutdown().await;
            served
        }
    });
    let client = Client::new(stage.epmd.address());
    while client.lookup(node.name().name()).await.unwrap().is_some() {
        assert_eq!(node.calls_served(), 2, "the name goes before any call has ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(node.is_draining());
    assert!(TcpStream::connect(("127.0.0.1", node.port())).is_err(), "nobody listens");
    expect(&stranger, &node, "net_adm:ping(NODE)", "pang").await;
    expect(&stranger, &node, "rpc:call(NODE, rust, add, [1, 2])", "{badrpc,nodedown}").await;
    for beam in &beams {
        is_refused(beam, &node).await;
    }
    assert_eq!((node.calls_served(), node.nodes(Nodes::Visible).len()), (2, 3));
    short.add_permits(1);
    eventually("the end of the short call", || node.calls_served() == 1).await;
    assert_eq!(node.nodes(Nodes::Visible).len(), 3);
    long.add_permits(1);

    assert_eq!(tokio::time::timeout(LIMIT, leaving).await.unwrap().unwrap(), 0);
    let mut told = Vec::new();
    for beam in &beams {
        let witness = beam.clone();
        told.push(tokio::task::spawn_blocking(move || testimony(&witness, "awake")).await.unwrap());
        // None has lost another.
        let others = beams.iter().filter(|other| other.name() != beam.name()).count();
        expect(beam, &node, "length(nodes())", if others == 2 { "2" } else { "?" }).await;
    }
    let answers: Vec<u64> = told.iter().filter_map(|(answered, _)| *answered).collect();
    assert_eq!(answers.len(), 2);
    let last = answers.iter().max().unwrap();
    for (_, lost) in &told {
        assert!(lost > last, "a node was lost before the last answer: {told:?}");
    }
}

/// When the time limit for calls has passed, the connections close, and pending calls fail like those to a dead node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_take_too_long_are_given_up() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let call = "try erpc:call(NODE, rust, sleep, [600000]) catch C:R -> {C, R} end";
        let given_up = async {
            eventually("the call", || node.calls_served() == 1).await;
            tokio::time::timeout(Duration::from_millis(200), node.drain()).await.unwrap_err();
            node.shutdown().await;
        };
        let (answer, ()) = tokio::join!(eval(&beam, &node, call), given_up);
        assert_eq!(answer, "{error,{erpc,noconnection}}");
    }
}

fn worker_on(machine: &Machine, name: &str) -> ProcessGuard {
    let mut command = peerl_command();
    command.args(["worker", "--name", name]).env("PEERL_COOKIE", COOKIE).env("HOME", "/nonexistent");
    let worker = ProcessGuard::spawn(&mut machine.command(command));
    worker.wait_for_line("ready", Duration::from_secs(60));
    worker
}

/// Between machines, with the EPMD that a worker runs for its whole host: its own name goes at once, that of another
/// worker only after the last call has been answered.
#[test]
fn a_worker_with_the_epmd_of_its_host() {
    let lan = Lan::start();
    let [serving, calling] = [2, 3].map(|number| lan.machine(lan.address(number)));
    let names = ["courier", "porter"].map(|name| format!("{name}@{}", serving.address()));
    let worker = worker_on(&serving, &names[0]);
    let _other = worker_on(&serving, &names[1]);
    let _epmd = worker_on(&calling, &format!("mapper@{}", calling.address()));
    let beams = matrix().into_iter().map(|otp| {
        let name = format!("app{}@{}", otp.number(), calling.address());
        Beam::erlang(otp).on(&calling).name(&name).start()
    });
    let beams: Vec<Beam> = beams.collect();
    let count = format!("rpc:call('{}', erlang, system_info, [process_count])", names[0]);
    for beam in &beams {
        beam.wait_for(&format!("net_adm:ping('{}')", names[0]), "pong", LIMIT);
    }
    let idle: usize = beams[0].eval(&count).unwrap().parse().unwrap();
    for beam in &beams {
        witness(beam, &names[0], Some("timer, sleep, [15000]"));
    }
    beams[0].wait_for(&format!("{count} >= {}", idle + beams.len()), "true", LIMIT);
    // The querying call may have been counted.
    std::thread::sleep(Duration::from_secs(2));
    let known = format!(
        "{{ok, All}} = erl_epmd:names({{{}}}), lists:sort([N || {{N, _}} <- All])",
        serving.address().to_string().replace('.', ",")
    );
    assert_eq!(beams[0].eval(&known).as_deref(), Ok("[\"courier\",\"porter\"]"));

    worker.sigterm();
    beams[0].wait_for(&known, "[\"porter\"]", LIMIT);
    assert_eq!(beams[0].eval(&count).as_deref(), Ok("{badrpc,nodedown}"));
    assert!(beams.iter().all(|beam| beam.eval("is_process_alive(whereis(witness))").as_deref() == Ok("true")));
    assert!(worker.is_running(), "it answers the calls");
    for beam in &beams {
        let (answered, lost) = testimony(beam, "ok");
        assert!(answered.is_some_and(|answered| answered < lost));
    }
    assert_eq!(worker.wait(LIMIT).code(), Some(0), "{}", worker.stderr());
    // The other worker has started an EPMD instead.
    beams[0].wait_for(&known, "[\"porter\"]", LIMIT);
}
