//! A worker on one machine, a BEAM node on another, and a hostile or excessive peer on a third: the BEAM node keeps
//! its connection and its calls.

use crate::intruder::Intruder;
use crate::stage::LIMIT;
use bytes::Bytes;
use peerl_node::{NodeName, Term};
use peerl_test_support::{Beam, COOKIE, Lan, ProcessGuard, matrix, peerl_command};

/// Waits for the end of a process of the worker, and records whether the worker was disconnected meanwhile.
const READER: &str = "register(reader, spawn(fun() ->
        net_kernel:monitor_nodes(true, #{node_type => all}),
        {P, R} = spawn_monitor(W, timer, sleep, [infinity]),
        receive {pid, From} -> From ! P end,
        receive {'DOWN', R, process, P, Reason} -> ok end,
        Lost = receive {nodedown, N, _} when N =:= W -> lost after 0 -> kept end,
        receive {ask, Who} -> Who ! {Reason, Lost} end
    end)), reader ! {pid, self()}, receive P -> P end";

#[test]
fn a_worker_keeps_its_peers() {
    let lan = Lan::start();
    let [serving, calling] = [4, 9].map(|number| lan.machine(lan.address(number)));
    let name = format!("press@{}", serving.address());
    let mut worker = peerl_command();
    worker.args(["worker", "--name", &name, "--max-message", "2MiB"]).env("PEERL_COOKIE", COOKIE);
    let worker = ProcessGuard::spawn(&mut serving.command(worker));
    let ready = worker.wait_for_line("ready", LIMIT);
    let mut epmd = peerl_command();
    epmd.arg("epmd");
    let epmd = ProcessGuard::spawn(&mut calling.command(epmd));
    epmd.wait_for_line("ready", LIMIT);
    let port = ready.rsplit(' ').next().and_then(|port| port.parse().ok()).expect("a port");
    let peer: NodeName = name.parse().unwrap();
    for otp in matrix() {
        let desk = format!("desk{}@{}", otp.number(), calling.address());
        let beam = Beam::erlang(otp).on(&calling).name(&desk).start();
        let with_worker = |expression: &str| format!("W = '{name}', {expression}");
        let pid = Term::decode(&Bytes::from(beam.eval_external(&with_worker(READER), &[], LIMIT).unwrap())).unwrap();

        // A malformed reason from a third machine.
        let stranger = format!("ink{}@{}", otp.number(), lan.gateway());
        let mut intruder = Intruder::connect_at(&stranger, &peer, (serving.address(), port).into());
        let exit = Term::tuple([Term::from(26), intruder.pid().into(), pid.clone()]);
        intruder.raw(exit, &[108, 0, 0, 0, 2, 97, 7]);
        intruder.assert_closed("a list cut short");

        // Messages beyond the limit fail alone; many concurrent ones below it are all answered.
        let hash = |bytes: usize| with_worker(&format!("erpc:call(W, crypto, hash, [sha256, <<0:{}>>])", 8 * bytes));
        let refused = beam.eval(&format!("catch begin {} end", hash(3 << 20))).unwrap();
        assert!(refused.contains("system_limit"), "{refused}");
        let many = "B = <<1:4800000>>, Calls = [rpc:async_call(W, crypto, hash, [sha256, B]) || _ <- lists:seq(1, 60)],
            Answers = [rpc:yield(Call) || Call <- Calls], {length([ok || A <- Answers, A =:= crypto:hash(sha256, B)]),
            erpc:call(W, crypto, hash, [sha256, <<>>]) =:= crypto:hash(sha256, <<>>)}";
        assert_eq!(beam.eval_within(&with_worker(many), LIMIT).as_deref(), Ok("{60,true}"));

        let mut intruder = Intruder::connect_at(&stranger, &peer, (serving.address(), port).into());
        let exit = Term::tuple([Term::from(26), intruder.pid().into(), pid]);
        intruder.frame(exit, Some(Term::tuple([Term::atom("paper"), Term::from(0)])));
        assert_eq!(beam.eval("reader ! {ask, self()}, receive A -> A end").as_deref(), Ok("{{paper,0},kept}"));
    }
}
