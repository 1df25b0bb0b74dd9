//! What users of Elixir do with the servers, tasks and functions of a node: a node of peerl does what a BEAM does. Both are
//! asked the same by the same program.

#[path = "behaviours/clients.rs"]
mod clients;
mod stage;
#[path = "behaviours/supervisors.rs"]
mod supervisors;
#[path = "behaviours/timeouts.rs"]
mod timeouts;

use std::time::Duration;

use futures::future::join_all;
use peerl::otp::{
    ChildSpec, Context, Intensity, Outcome, Parent, Server, Stop, Strategy, Supervisor, TaskSupervisor, later, reply,
};
use peerl::{Atom, CallContext, Caller, Exception, Message, Node, Process, Term};
use peerl_test_support::{Beam, Otp, matrix};
use serde::Deserialize;
use stage::{Stage, export};

/// The server of `behaviours/servers.exs` in Rust.
struct Counter(i64);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Add(i64),
    Value,
    Sleep(u64),
    End(Term),
    Idle(u64),
    DoubleNext,
    Later(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cast {
    Set(i64),
}

impl Server for Counter {
    type Call = Request;
    type Reply = Term;
    type Cast = Cast;

    async fn handle_call(&mut self, request: Request, from: Caller, context: &mut Context) -> Outcome<Term> {
        match request {
            Request::Add(by) => self.0 += by,
            Request::Value => {}
            Request::Sleep(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Request::End(reason) => return Err(Stop::because(reason)),
            Request::Idle(ms) => context.timeout(Duration::from_millis(ms)),
            Request::DoubleNext => context.continue_next(),
            Request::Later(ms) => {
                let sender = context.process().sender();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    sender.reply(&from, &Term::atom("later"))
                });
                return later();
            }
        }
        reply(Term::from(self.0))
    }

    async fn handle_cast(&mut self, Cast::Set(value): Cast, _: &mut Context) -> Result<(), Stop> {
        self.0 = value;
        Ok(())
    }

    async fn handle_continue(&mut self, _: &mut Context) -> Result<(), Stop> {
        self.0 *= 2;
        Ok(())
    }

    async fn handle_timeout(&mut self, _: &mut Context) -> Result<(), Stop> {
        self.0 += 100;
        Ok(())
    }

    async fn handle_info(&mut self, message: Message, context: &mut Context) -> Result<(), Stop> {
        if let Some([Term::Pid(from), Term::Integer(by)]) = message.into_term()?.as_tuple() {
            self.0 += by;
            context.process().send(&**from, &self.0).await?;
        }
        Ok(())
    }

    async fn code_change(&mut self, _: &Term, extra: &Term, _: &mut Context) -> Result<(), Stop> {
        let by = extra.as_integer().ok_or_else(|| Stop::because(Term::tuple([Term::atom("error"), extra.clone()])))?;
        self.0 += by;
        Ok(())
    }

    fn state(&self) -> Term {
        Term::from(self.0)
    }

    fn replace_state(&mut self, state: Term) -> Result<(), Exception> {
        self.0 = state.as_integer().ok_or_else(|| Exception::error(Term::atom("badarg")))?;
        Ok(())
    }
}

async fn elixir(beam: &Beam, program: &str) -> String {
    let (beam, program) = (beam.clone(), program.to_owned());
    let run = move || beam.eval_elixir_within(&program, Duration::from_secs(300)).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(run).await.unwrap().unwrap_or_else(|error| panic!("{error}"))
}

/// A node that has what `behaviours/servers.exs` has.
async fn node(stage: &Stage) -> Node {
    let node = stage.node().await;
    export(&node);
    node.export("rust", "server", |call: CallContext, (value,): (i64,)| async move {
        Ok(Term::from(Counter(value).start(&call.node()?).await?.pid().clone()))
    })
    .unwrap();
    node.export("rust", "wait", |mut process: Process, _: CallContext, (): ()| async move {
        Ok(process.receive().await?.into_term()?)
    })
    .unwrap();
    node.export("rust", "start_link", |call: CallContext, (value,): (i64,)| async move {
        let pid = Counter(value).start(&call.node()?).await?.pid().clone();
        Ok(Term::tuple([Term::atom("ok"), pid.into()]))
    })
    .unwrap();
    node.export("rust", "supervisor", |call: CallContext, (strategy,): (Atom,)| async move {
        let strategy = match strategy.as_str() {
            "one_for_one" => Strategy::OneForOne,
            "rest_for_one" => Strategy::RestForOne,
            _ => Strategy::OneForAll,
        };
        let intensity = Intensity { restarts: 2, period: Duration::from_secs(60) };
        let supervisor = ["a", "b", "c"].into_iter().fold(Supervisor::new(strategy), |supervisor, id| {
            supervisor.child(ChildSpec::new(id, |parent: &Parent| parent.start(Counter(0))))
        });
        Ok(Term::from(supervisor.intensity(intensity).start(&call.node()?).await?.pid().clone()))
    })
    .unwrap();
    Counter(0).start(&node).name("counter").await.unwrap();
    node
}

/// As many tasks as there may be, and no new ones while the node drains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_tasks() {
    let stage = Stage::new();
    let small = |name: &str| TaskSupervisor::new().name(name).max_children(3);
    let builder = stage.builder().service(small("Elixir.Small")).service(small("Elixir.Fair").max_children_per_peer(2));
    let node = builder.start().await.unwrap();
    export(&node);
    let held = stage::export_held(&node, "held");
    let beam = Beam::elixir(matrix()[0]).epmd(&stage.epmd).start_async().await;
    for (name, limit) in [("Small", 3), ("Fair", 2)] {
        let fill = format!(
            "tasks = {{{name}, :\"{}\"}}
             start = fn ms -> Task.Supervisor.start_child(tasks, :rust, :sleep, [ms]) end
             for _ <- 1..{limit}, do: {{:ok, _}} = start.(60_000)
             refused = [start.(1), try do Task.Supervisor.async(tasks, :rust, :sleep, [1]) rescue e in RuntimeError -> e.__struct__ end]
             [first | _] = Task.Supervisor.children(tasks)
             Task.Supervisor.terminate_child(tasks, first)
             {{refused, start.(60_000) |> elem(0), length(Task.Supervisor.children(tasks))}}",
            node.name()
        );
        let expected = format!("{{[{{:error, :max_children}}, RuntimeError], :ok, {limit}}}");
        assert_eq!(elixir(&beam, &fill).await, expected);
    }
    // A task counts among the calls under way, for which a node waits before it leaves.
    let begin = "tasks = {Peerl.TaskSupervisor, :\"NODE\"}
        Task.Supervisor.start_child(tasks, :rust, :held, []) |> elem(0)";
    assert_eq!(elixir(&beam, &begin.replace("NODE", node.name().as_str())).await, ":ok");
    let stop = format!("for name <- [Small, Fair], do: Supervisor.stop({{name, :\"{}\"}})", node.name());
    assert_eq!(elixir(&beam, &stop).await, "[:ok, :ok]");
    stage::eventually("the ends of the others", || node.calls_served() == 1).await;
    let drained = node.clone();
    let drain = tokio::spawn(async move { drained.drain().await });
    stage::eventually("a refusal", || node.begin_call(None, 0).is_err()).await;
    assert_eq!(elixir(&beam, &begin.replace("NODE", node.name().as_str())).await, ":error");
    held.add_permits(1);
    tokio::time::timeout(stage::LIMIT, drain).await.expect("the end of the task").unwrap();
    assert_eq!(node.calls_served(), 0);
}

/// What differs, and is documented at `Server`.
const DIFFERENT: [&str; 2] = ["install", "log_to_file"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_beam_does() {
    let stage = Stage::new();
    // Most of the time the checks wait.
    join_all(matrix().into_iter().map(|otp| compare(&stage, otp))).await;
}

async fn compare(stage: &Stage, otp: Otp) {
    let start = || Beam::elixir(otp).epmd(&stage.epmd).start_async();
    let (client, reference) = tokio::join!(start(), start());
    let node = node(stage).await;
    elixir(&reference, include_str!("behaviours/servers.exs")).await;
    clients::use_those_of_a_beam(&node, &reference).await;
    elixir(&client, include_str!("behaviours/checks.exs")).await;
    // Some of the checks alone: PEERL_CHECKS='[:async, :stop]'.
    let only = std::env::var("PEERL_CHECKS").unwrap_or_else(|_| ":all".to_owned());
    let outcomes = async |name: &str| {
        let run = format!(
            "Checks.run(:\"{name}\", {only}) |> Enum.map(fn {{name, outcome}} ->
                 IO.iodata_to_binary([inspect(name), \" \", inspect(outcome, limit: :infinity, printable_limit: 300)])
             end) |> Enum.join(\"\\n\")"
        );
        elixir(&client, &run).await
    };
    let (ours, theirs) = tokio::join!(outcomes(node.name().as_str()), outcomes(reference.name()));
    let lines = |text: &str| text.split("\\n").map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (lines(&ours), lines(&theirs));
    assert!(!ours.iter().any(|line| line.contains(":never") || line.contains(":no_end")), "{ours:#?}");
    assert!(theirs.len() > 80 || only != ":all", "{theirs:?}");
    let is_same = |line: &str| !DIFFERENT.iter().any(|name| line.starts_with(&format!(":{name} ")));
    let different: Vec<String> = ours
        .iter()
        .zip(&theirs)
        .filter(|(ours, theirs)| ours != theirs && is_same(ours))
        .map(|(ours, theirs)| format!("peerl {ours}\nBEAM  {theirs}"))
        .collect();
    assert!(different.is_empty(), "{} of {} differ on {otp:?}:\n{}", different.len(), ours.len(), different.join("\n"));
    assert_eq!(ours.len(), theirs.len());
}
