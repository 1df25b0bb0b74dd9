//! Servers in Rust, used by BEAM nodes like their own: `gen_server`, `sys`, links and monitors.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, expect, message};
use peerl::otp::{Context, Outcome, Server, Stop, later, reply};
use peerl::{Atom, CallError, Caller, Destination, MailboxPolicy, Message, Node, Term};
use peerl_test_support::matrix;
use serde::Deserialize;

/// A counting server, with a request for each ability of a server.
#[derive(Default)]
struct Counter {
    value: i64,
    waiting: Vec<Caller>,
    idle: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Increment(i64),
    Value,
    /// Answered with the next increment.
    Await,
    /// Answered, and counted down afterwards.
    TakeLater(i64),
    /// After this many idle milliseconds, it counts a time-out.
    Idle(u64),
    Idled,
    Panic,
    Fail,
    Leave,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cast {
    Set(i64),
}

impl Server for Counter {
    type Call = Request;
    type Reply = i64;
    type Cast = Cast;

    async fn handle_call(&mut self, request: Request, from: Caller, context: &mut Context) -> Outcome<i64> {
        match request {
            Request::Increment(by) => {
                self.value += by;
                for caller in self.waiting.drain(..) {
                    context.reply(&caller, &self.value)?;
                }
            }
            Request::Value => {}
            Request::Await => {
                self.waiting.push(from);
                return later();
            }
            Request::TakeLater(by) => {
                context.reply(&from, &self.value)?;
                self.value -= by;
                context.continue_next();
                return later();
            }
            Request::Idle(milliseconds) => context.timeout(Duration::from_millis(milliseconds)),
            Request::Idled => return reply(self.idle.into()),
            Request::Panic => panic!("as it was told"),
            Request::Fail => {
                "x".parse::<i64>()?;
            }
            Request::Leave => return Err(Stop::shutdown()),
        }
        reply(self.value)
    }

    async fn handle_cast(&mut self, Cast::Set(value): Cast, _: &mut Context) -> Result<(), Stop> {
        self.value = value;
        Ok(())
    }

    async fn handle_info(&mut self, message: Message, context: &mut Context) -> Result<(), Stop> {
        if let Message::User(payload) = message {
            let term = payload.decode()?;
            let Some([Term::Pid(from), Term::Integer(by)]) = term.as_tuple() else { return Ok(()) };
            self.value += by;
            context.process().send(&**from, &self.value).await?;
        }
        Ok(())
    }

    async fn handle_continue(&mut self, _: &mut Context) -> Result<(), Stop> {
        self.value *= 2;
        Ok(())
    }

    async fn handle_timeout(&mut self, _: &mut Context) -> Result<(), Stop> {
        self.idle += 1;
        Ok(())
    }

    fn state(&self) -> Term {
        Term::tuple([Term::atom("counter"), Term::from(self.value)])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_casts_and_messages() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        Counter::default().start(&node).name("counter").await.unwrap();
        let expect = |expression, value| expect(&beam, &node, expression, value);
        expect("gen_server:call({counter, NODE}, {increment, 2})", "2").await;
        expect("gen_server:cast({counter, NODE}, {set, 40}), gen_server:call({counter, NODE}, value)", "40").await;
        expect("abcast = gen_server:abcast([NODE], counter, {set, 41}), gen_server:call({counter, NODE}, value)", "41")
            .await;
        expect("gen_server:multi_call([NODE], counter, {increment, 1}) =:= {[{NODE, 42}], []}", "true").await;
        expect("gen_server:receive_response(gen_server:send_request({counter, NODE}, value), 5000)", "{reply,42}")
            .await;
        expect("{counter, NODE} ! {self(), 1}, receive Value -> Value after 5000 -> nothing end", "43").await;
        // The answer of one call comes with another.
        let both = "Request = gen_server:send_request({counter, NODE}, await),
                    timer:sleep(20),
                    {gen_server:call({counter, NODE}, {increment, 7}), gen_server:receive_response(Request, 5000)}";
        expect(both, "{50,{reply,50}}").await;
        expect("[gen_server:call({counter, NODE}, R) || R <- [{take_later, 10}, value]]", "\"2P\"").await;
        // A message ends the wait; without one it ends by itself.
        let idle = "gen_server:call({counter, NODE}, {idle, 1000000}),
                    Wait = fun Wait() ->
                        gen_server:call({counter, NODE}, {idle, 10}), timer:sleep(500),
                        case gen_server:call({counter, NODE}, idled) of 0 -> Wait(); Idled -> Idled end
                    end, Wait()";
        expect(idle, "1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_it_does_not_know() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let server = Counter::default().start(&node).name("counter").await.unwrap();
        let expect = |expression, value| expect(&beam, &node, expression, value);
        let kind = "element(1, element(2, gen_server:call({counter, NODE}, {decrement, 2})))";
        expect(kind, "bad_request").await;
        expect("{error, {bad_request, T}} = gen_server:call({counter, NODE}, {increment, a}), is_binary(T)", "true")
            .await;
        expect("gen_server:cast({counter, NODE}, nonsense), {counter, NODE} ! nonsense, ok", "ok").await;
        expect("gen_server:call({counter, NODE}, value)", "0").await;
        assert_eq!(node.whereis("counter").as_ref(), Some(server.pid()));
    }
}

/// While suspended, it queues no more than its mailbox's limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_and_sent_too_much() {
    let stage = Stage::new();
    let (node, beam) = (stage.node().await, stage.beam(matrix()[0]).await);
    let mailbox = MailboxPolicy { bytes: 1 << 20, ..MailboxPolicy::default() };
    let mut server = Counter::default().start(&node).name("counter").mailbox(mailbox).await.unwrap();
    let flood = "ok = sys:suspend({counter, NODE}), B = binary:copy(<<0>>, 100000),
                 [begin {counter, NODE} ! B, sys:get_status({counter, NODE}) end || _ <- lists:seq(1, 10)], held";
    expect(&beam, &node, flood, "held").await;
    expect(&beam, &node, "{counter, NODE} ! binary:copy(<<0>>, 100000), ok", "ok").await;
    assert!(tokio::time::timeout(LIMIT, server.ended()).await.unwrap().is_atom("mailbox_overflow"));
}

/// The ends of a server, as reported to monitors, links and callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        for (how, told, reason) in [
            ("gen_server:stop(Pid)", "ok", "normal"),
            ("gen_server:stop(Pid, {shutdown, done}, 5000)", "ok", "{shutdown,done}"),
            ("proc_lib:stop(Pid, bye, 5000)", "ok", "bye"),
            ("exit(Pid, shutdown), ok", "ok", "shutdown"),
            ("exit(Pid, kill), ok", "ok", "killed"),
            ("catch gen_server:call(Pid, leave), ok", "ok", "shutdown"),
            ("catch gen_server:call(Pid, panic), ok", "ok", "{panic,<<\"as it was told\">>}"),
            ("catch gen_server:call(Pid, fail), ok", "ok", "{error,<<\"invalid digit found in string\">>}"),
        ] {
            let mut server = Counter::default().start(&node).name("mortal").await.unwrap();
            let expression = format!(
                "{{status, Pid, _, _}} = sys:get_status({{mortal, NODE}}),
                 Monitor = monitor(process, Pid),
                 Told = begin {how} end,
                 receive {{'DOWN', Monitor, process, Pid, Reason}} -> {{Told, Reason}} after 10000 -> alive end"
            );
            assert_eq!(eval(&beam, &node, &expression).await, format!("{{{told},{reason}}}"), "{how} on {otp:?}");
            let ended = tokio::time::timeout(LIMIT, server.ended()).await.unwrap();
            assert_eq!(peerl::term::text::Syntax::Erlang.display(&ended).to_string(), reason);
            assert_eq!(node.whereis("mortal"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_with_its_parent_and_the_other_way_round() {
    let stage = Stage::new();
    let node = stage.node().await;
    let parent = node.process();
    let mut server = Counter::default().start(&node).link(parent.pid()).await.unwrap();
    parent.exit(&Term::atom("retired"));
    assert!(tokio::time::timeout(LIMIT, server.ended()).await.unwrap().is_atom("retired"));

    let mut parent = node.process();
    parent.trap_exit(true);
    let mut server = Counter::default().start(&node).link(parent.pid()).await.unwrap();
    parent.exit_other(server.pid(), &Term::atom("normal"));
    // `normal` from the parent ends it; from others it does not.
    assert!(tokio::time::timeout(LIMIT, server.ended()).await.unwrap().is_atom("normal"));
    let told = message(&mut parent).await;
    assert_eq!(told.as_tuple().unwrap()[2], Term::atom("normal"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_its_own_node() {
    let stage = Stage::new();
    let node = stage.node().await;
    let server = Counter::default().start(&node).name("counter").await.unwrap();
    assert_eq!(server.call::<i64>(&("increment", 3)).await.unwrap(), 3);
    for to in [Destination::Name(Atom::from_static("counter")), ("counter", node.name()).into(), server.pid().into()] {
        assert_eq!(node.gen_call::<i64>(to, &"value").timeout(LIMIT).await.unwrap(), 3);
    }
    let error = server.call::<i64>(&"leave").await.unwrap_err();
    assert!(matches!(&error, CallError::Signal(reason) if reason.is_atom("shutdown")), "{error}");
    for to in [Destination::Name(Atom::from_static("counter")), server.pid().into()] {
        let error = node.gen_call::<i64>(to, &"value").await.unwrap_err();
        assert!(matches!(&error, CallError::Signal(reason) if reason.is_atom("noproc")), "{error}");
    }
    let silent = node.process();
    let error = node.gen_call::<i64>(silent.pid(), &"value").timeout(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout(_)), "{error}");
}

/// A server that fails to start, and one whose name is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_not_start() {
    struct Reluctant;
    impl Server for Reluctant {
        type Call = ();
        type Reply = ();
        type Cast = ();

        async fn init(&mut self, _: &mut Context) -> Result<(), Stop> {
            Err(Stop::because(Term::atom("not_today")))
        }

        async fn handle_call(&mut self, (): (), _: Caller, _: &mut Context) -> Outcome<()> {
            reply(())
        }
    }
    let stage = Stage::new();
    let node: Node = stage.node().await;
    let error = Reluctant.start(&node).name("reluctant").await.unwrap_err();
    assert!(error.to_string().contains("not_today"), "{error}");
    assert_eq!(node.whereis("reluctant"), None);
    let _first = Counter::default().start(&node).name("counter").await.unwrap();
    let error = Counter::default().start(&node).name("counter").await.unwrap_err();
    assert!(error.to_string().contains("counter"), "{error}");
    assert!(Counter::default().start(&node).name(&"x".repeat(256)).await.is_err());
}
