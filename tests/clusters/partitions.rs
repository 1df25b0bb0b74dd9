//! A mesh on three machines, one of which loses the network for a while: BEAM nodes of all releases, and workers.

use std::process::Command;
use std::time::{Duration, Instant};

use peerl_test_support::{
    Beam, COOKIE, Lan, Machine, Otp, ProcessGuard, conformance, matrix, peerl_command, unique_name,
};

/// Longer than nodes take to notice a partition, and to find together after it, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of all nodes, in seconds.
const TICK_TIME: &str = "4";

/// How many workers each machine has.
const WORKERS: [usize; 3] = [2, 2, 1];

/// What a test asks of the BEAM nodes, and through them of the workers on their machine.
const PROGRAM: &str = "
    -module(mesh).
    -export([nodes_at/1, names_at/1, members_at/1, register_at/2, join_at/2]).

    call(Node, M, F, A) -> erpc:call(Node, M, F, A, 20000).

    nodes_at(Node) -> length(call(Node, erlang, nodes, [])).

    names_at(Node) -> lists:sort([{N, shown(call(Node, global, whereis_name, [N]))} || N <- call(Node, global, registered_names, [])]).

    members_at(Node) -> lists:sort([{G, lists:sort([shown(P) || P <- call(Node, pg, get_members, [G])])} || G <- call(Node, pg, which_groups, [])]).

    %% The same at each node, unlike the text of a pid.
    shown(Pid) when is_pid(Pid) -> {node(Pid), tl(string:split(pid_to_list(Pid), \".\"))};
    shown(undefined) -> undefined.

    %% A name of a new process of a worker or of this node; one of two with the same name is ended.
    register_at(Node, Name) when Node =:= node() -> global:register_name(Name, spawn(fun() -> receive never -> ok end end));
    register_at(Node, Name) -> call(Node, global, register_name, [Name, spawn(Node, timer, sleep, [infinity])]).

    join_at(Node, Group) -> call(Node, pg, join, [Group, call(Node, erlang, whereis, [rex])]).
";

struct Site {
    machine: Machine,
    beam: Beam,
    /// The names of its workers.
    workers: Vec<String>,
    _programs: Vec<ProcessGuard>,
}

impl Site {
    fn start(lan: &Lan, number: u8, otp: Otp, workers: usize, seeds: &str) -> Self {
        let machine = lan.machine(lan.address(number));
        let address = machine.address();
        let mut programs = vec![ProcessGuard::spawn(&mut machine.command(Command::new("epmd")))];
        // EPMD may not listen yet.
        let beam = Beam::erlang(otp).name(&format!("beam{number}@{address}")).on(&machine);
        let beam = beam.args(["-kernel", "net_ticktime", TICK_TIME]);
        let end = Instant::now() + PATIENCE;
        let beam = loop {
            match beam.clone().try_start() {
                Ok(beam) => break beam,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
        };
        beam.load_module(PROGRAM).unwrap();
        let workers: Vec<String> = (0..workers).map(|_| format!("{}@{address}", unique_name("w"))).collect();
        for name in &workers {
            let mut command = peerl_command();
            command.args(["worker", "--name", name, "--pg", "pg", "--discover", seeds, "--interval", "1s"]);
            command.args(["--net-ticktime", &format!("{TICK_TIME}s")]).env("PEERL_COOKIE", COOKIE);
            let program = ProcessGuard::spawn(&mut machine.command(command));
            program.wait_for_line("ready", PATIENCE);
            programs.push(program);
        }
        Self { machine, beam, workers, _programs: programs }
    }

    /// Its BEAM node and its workers.
    fn nodes(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.beam.name()).chain(self.workers.iter().map(String::as_str))
    }

    fn value(&self, function: &str, node: &str) -> String {
        self.beam.eval_within(&format!("mesh:{function}('{node}')"), PATIENCE).unwrap_or_else(|error| error.to_string())
    }

    fn register(&self, node: &str, name: &str) -> String {
        self.beam.eval_within(&format!("mesh:register_at('{node}', {name})"), PATIENCE).unwrap()
    }
}

fn wait_for(what: &str, holds: impl Fn() -> Result<(), String>) {
    let end = Instant::now() + PATIENCE;
    while let Err(state) = holds() {
        assert!(Instant::now() < end, "{what}: {state}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until every node of these sites sees all others of them, and no further one.
fn wait_for_mesh(what: &str, sites: &[&Site]) {
    let others = sites.iter().map(|site| site.nodes().count()).sum::<usize>() - 1;
    wait_for(what, || {
        for site in sites {
            for node in site.nodes() {
                let seen = site.value("nodes_at", node);
                if seen != others.to_string() {
                    return Err(format!("{node} sees {seen}, not {others}"));
                }
            }
        }
        Ok(())
    });
}

/// Waits until the function gives the same at each node, and returns that.
fn agreed(what: &str, function: &str, sites: &[&Site], nodes: impl Fn(&Site) -> Vec<String>) -> String {
    let last = std::cell::RefCell::new(String::new());
    wait_for(what, || {
        let views =
            sites.iter().flat_map(|site| nodes(site).into_iter().map(|node| (site.value(function, &node), node)));
        let views: Vec<(String, String)> = views.collect();
        last.replace(views[0].0.clone());
        if views.iter().all(|(view, _)| *view == views[0].0) { Ok(()) } else { Err(format!("{views:#?}")) }
    });
    last.into_inner()
}

fn all_nodes(site: &Site) -> Vec<String> {
    site.nodes().map(str::to_owned).collect()
}

fn workers(site: &Site) -> Vec<String> {
    site.workers.clone()
}

#[test]
fn a_machine_loses_the_network_for_a_while() {
    let lan = Lan::start();
    let releases = matrix();
    let seeds = [2, 3, 4].map(|number| format!("beam{number}@{}", lan.address(number)));
    let seeds = format!("static:{}", seeds.join(","));
    let sites = [0, 1, 2]
        .map(|index| Site::start(&lan, index as u8 + 2, releases[index % releases.len()], WORKERS[index], &seeds));
    let all: Vec<&Site> = sites.iter().collect();
    let [one, two, three] = [0, 1, 2].map(|index| &sites[index]);
    wait_for_mesh("before the partition", &all);
    for site in &all {
        for (index, node) in site.nodes().enumerate() {
            assert_eq!(site.register(node, &format!("{{before, '{node}', {index}}}")), "yes");
        }
        for worker in &site.workers {
            let join = format!("mesh:join_at('{worker}', workers)");
            assert_eq!(site.beam.eval(&join).as_deref(), Ok("ok"));
        }
    }
    let names = agreed("names before the partition", "names_at", &all, all_nodes);
    assert_eq!(names.matches("before").count(), 8, "{names}");
    let members = agreed("members before the partition", "members_at", &all, workers);

    lan.unplug(&three.machine);
    wait_for_mesh("those that have the network", &[one, two]);
    wait_for_mesh("those that have it not", &[three]);
    // The same name at both sides, and one that only one side has.
    assert_eq!(one.register(&one.workers[0], "both"), "yes");
    assert_eq!(three.register(&three.workers[0], "both"), "yes");
    assert_eq!(two.register(two.beam.name(), "larger"), "yes");
    assert_eq!(three.register(three.beam.name(), "smaller"), "yes");
    let names = agreed("names of the larger side", "names_at", &[one, two], all_nodes);
    assert_eq!((names.matches("before").count(), names.contains("smaller")), (6, false), "{names}");

    lan.plug(&three.machine);
    wait_for_mesh("after the partition", &all);
    let names = agreed("names after the partition", "names_at", &all, all_nodes);
    assert_eq!(names.matches("before").count(), 8, "{names}");
    assert!(names.contains("larger") && names.contains("smaller"), "{names}");
    assert_eq!(agreed("members after the partition", "members_at", &all, workers), members);
    for site in &all {
        let synchronized = site.beam.eval_within("global:sync()", PATIENCE);
        assert_eq!(synchronized.as_deref(), Ok("ok"));
    }
    for otp in matrix() {
        conformance::holds(otp, [53, 56]);
    }
}
