//! Supervisors in a simulated network, whose time is simulated too.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peerl::otp::{
    ChildError, ChildSpec, Context, Intensity, Outcome, Parent, Restart, Running, Server, Shutdown, Stop, Strategy,
    Supervisor, reply,
};
use peerl::{CallLabel, Caller, Node, Pid, Term};
use peerl_node::testing::Network;
use tokio::time::Instant;

/// What the children did, in its order.
type Journal = Arc<Mutex<Vec<String>>>;

/// A child that notes its start and end, and takes this long to end.
struct Noted {
    name: &'static str,
    journal: Journal,
    slow: Duration,
}

impl Server for Noted {
    type Call = Term;
    type Reply = Term;
    type Cast = Term;

    async fn init(&mut self, _: &mut Context) -> Result<(), Stop> {
        self.journal.lock().unwrap().push(format!("+{}", self.name));
        Ok(())
    }

    async fn handle_call(&mut self, reason: Term, _: Caller, _: &mut Context) -> Outcome<Term> {
        if reason.is_atom("hello") { reply(reason) } else { Err(Stop::because(reason)) }
    }

    async fn terminate(&mut self, _: &Term, _: &mut Context) {
        tokio::time::sleep(self.slow).await;
        self.journal.lock().unwrap().push(format!("-{}", self.name));
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn noted(name: &'static str, journal: &Journal) -> ChildSpec {
    slow(name, journal, Duration::ZERO)
}

fn slow(name: &'static str, journal: &Journal, slow: Duration) -> ChildSpec {
    let journal = journal.clone();
    ChildSpec::new(name, move |parent: &Parent| parent.start(Noted { name, journal: journal.clone(), slow }).name(name))
}

async fn node() -> Node {
    Network::new().node("a@one").start().await.unwrap()
}

fn three(strategy: Strategy, journal: &Journal) -> Supervisor {
    ["a", "b", "c"]
        .into_iter()
        .fold(Supervisor::new(strategy), |supervisor, name| supervisor.child(noted(name, journal)))
}

fn pid(node: &Node, name: &str) -> Pid {
    node.whereis(name).unwrap_or_else(|| panic!("{name} does not run"))
}

async fn fail(node: &Node, name: &str, reason: &Term) {
    let _ = node.gen_call::<Term>(&pid(node, name), reason).await;
    // Time is simulated: all that follows from it happens meanwhile.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn taken(journal: &Journal) -> String {
    std::mem::take(&mut *journal.lock().unwrap()).join(" ")
}

async fn stop(node: &Node, supervisor: &mut Running) {
    // Exit signals of others than its parent do nothing.
    node.process().exit_other(supervisor.pid(), &Term::atom("shutdown"));
    let request = Term::tuple([Term::atom("terminate"), Term::atom("normal")]);
    let call = node.gen_call::<Term>(supervisor.pid(), &request).label(CallLabel::System);
    assert!(call.await.unwrap().is_atom("ok"));
    assert!(supervisor.ended().await.is_atom("normal"));
}

#[tokio::test(start_paused = true)]
async fn strategies() {
    let bye = Term::atom("bye");
    for (strategy, expected) in [
        (Strategy::OneForOne, "-b +b"),
        (Strategy::RestForOne, "-b -c +b +c"),
        (Strategy::OneForAll, "-b -c -a +a +b +c"),
    ] {
        let (node, journal) = (node().await, Journal::default());
        let mut supervisor = three(strategy, &journal).start(&node).await.unwrap();
        assert_eq!(taken(&journal), "+a +b +c");
        fail(&node, "b", &bye).await;
        assert_eq!(taken(&journal), expected);
        stop(&node, &mut supervisor).await;
        assert_eq!(taken(&journal), "-c -b -a");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_started_again() {
    let (node, journal) = (node().await, Journal::default());
    let supervisor = Supervisor::new(Strategy::OneForAll)
        .intensity(Intensity { restarts: 10, period: SECOND })
        .child(noted("permanent", &journal))
        .child(noted("transient", &journal).restart(Restart::Transient))
        .child(noted("temporary", &journal).restart(Restart::Temporary));
    let running = supervisor.start(&node).await.unwrap();
    let count =
        async || node.gen_call::<Vec<(String, u32)>>(running.pid(), &Term::atom("count_children")).await.unwrap();
    taken(&journal);
    fail(&node, "transient", &Term::atom("normal")).await;
    fail(&node, "temporary", &Term::atom("bye")).await;
    assert_eq!(taken(&journal), "-transient -temporary");
    assert_eq!(count().await[..2], [("specs".to_owned(), 2), ("active".to_owned(), 1)]);
    // A child that has ended is started with the others.
    fail(&node, "permanent", &Term::atom("normal")).await;
    assert_eq!(taken(&journal), "-permanent +permanent +transient");
    fail(&node, "transient", &Term::atom("bye")).await;
    assert_eq!(taken(&journal), "-transient -permanent +permanent +transient");
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_end_all() {
    let (node, journal) = (node().await, Journal::default());
    let inner = {
        let journal = journal.clone();
        ChildSpec::new("inner", move |parent: &Parent| {
            let inner = three(Strategy::OneForOne, &journal).intensity(Intensity { restarts: 2, period: 5 * SECOND });
            parent.start(inner).name("inner")
        })
    };
    let outer = Supervisor::new(Strategy::OneForOne).child(inner.supervisor());
    let mut running = outer.start(&node).await.unwrap();
    taken(&journal);
    let (bye, first) = (Term::atom("bye"), pid(&node, "inner"));
    // As many as are allowed, twice.
    for _ in 0..2 {
        fail(&node, "a", &bye).await;
        fail(&node, "a", &bye).await;
        tokio::time::sleep(6 * SECOND).await;
    }
    assert_eq!(pid(&node, "inner"), first);
    taken(&journal);
    for _ in 0..3 {
        fail(&node, "a", &bye).await;
    }
    // The supervisor above starts the one that has ended.
    assert_eq!(taken(&journal), "-a +a -a +a -a -c -b +a +b +c");
    assert_ne!(pid(&node, "inner"), first);
    for _ in 0..3 {
        fail(&node, "a", &bye).await;
    }
    assert!(running.ended().await.is_atom("shutdown"));
}

/// A child that ends slowly has its time, and not more.
#[tokio::test(start_paused = true)]
async fn time_to_end() {
    let (node, journal) = (node().await, Journal::default());
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .child(slow("quick", &journal, 2 * SECOND).shutdown(Shutdown::Within(3 * SECOND)))
        .child(slow("slow", &journal, 60 * SECOND).shutdown(Shutdown::Within(4 * SECOND)))
        .child(slow("killed", &journal, 60 * SECOND).shutdown(Shutdown::Kill));
    let mut running = supervisor.start(&node).await.unwrap();
    taken(&journal);
    let began = Instant::now();
    stop(&node, &mut running).await;
    assert_eq!(began.elapsed().as_secs(), 6);
    assert_eq!(taken(&journal), "-quick");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_fails_to_start() {
    let (node, journal) = (node().await, Journal::default());
    let starts = Arc::new(AtomicU32::new(0));
    let reluctant = |refused: fn(u32) -> bool| {
        let starts = starts.clone();
        ChildSpec::new("reluctant", move |parent: &Parent| {
            let start = starts.fetch_add(1, Ordering::Relaxed);
            assert_ne!(start, 2, "a start that panics");
            let refuses = refused(start);
            parent.start(Reluctant { refuses }).name("reluctant")
        })
    };
    // At first: the supervisor does not start, and ends those before.
    let failed = Supervisor::new(Strategy::OneForOne).child(noted("a", &journal)).child(reluctant(|_| true));
    let error = failed.start(&node).await.unwrap_err();
    assert!(error.to_string().contains("failed_to_start_child"), "{error}");
    assert_eq!(taken(&journal), "+a -a");
    // Later: it is tried again, which counts. Once the start panics.
    starts.store(0, Ordering::Relaxed);
    let supervisor = Supervisor::new(Strategy::OneForAll)
        .intensity(Intensity { restarts: 3, period: SECOND })
        .child(noted("a", &journal))
        .child(reluctant(|start| start == 1))
        .child(noted("b", &journal));
    let mut running = supervisor.start(&node).await.unwrap();
    taken(&journal);
    fail(&node, "a", &Term::atom("bye")).await;
    assert_eq!(taken(&journal), "-a -b +a -a +a -a +a +b");
    assert_eq!(starts.load(Ordering::Relaxed), 4);
    fail(&node, "b", &Term::atom("bye")).await;
    assert!(running.ended().await.is_atom("shutdown"));
}

struct Reluctant {
    refuses: bool,
}

impl Server for Reluctant {
    type Call = Term;
    type Reply = Term;
    type Cast = Term;

    async fn init(&mut self, _: &mut Context) -> Result<(), Stop> {
        if self.refuses { Err(Stop::because(Term::atom("not_now"))) } else { Ok(()) }
    }

    async fn handle_call(&mut self, request: Term, _: Caller, _: &mut Context) -> Outcome<Term> {
        reply(request)
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_and_children_that_are_added() {
    let (node, journal) = (node().await, Journal::default());
    let ticks = Arc::new(AtomicU32::new(0));
    let ticking = ticks.clone();
    let task = ChildSpec::task("ticks", move |_| {
        let ticks = ticking.clone();
        async move {
            tokio::time::sleep(SECOND).await;
            match ticks.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Stop::because(Term::atom("bye"))),
                1 => panic!("on purpose"),
                _ => Ok(()),
            }
        }
    });
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(Intensity { restarts: 2, period: 60 * SECOND })
        .max_children(2)
        .child(task.restart(Restart::Transient));
    let handle = supervisor.handle();
    assert!(matches!(handle.start_child(&node, noted("a", &journal)).await, Err(ChildError::NotRunning)));
    let mut running = supervisor.start(&node).await.unwrap();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(ticks.load(Ordering::Relaxed), 3);
    let added = handle.start_child(&node, noted("a", &journal)).await.unwrap();
    assert_eq!(added, pid(&node, "a"));
    let again = handle.start_child(&node, noted("a", &journal)).await;
    assert!(matches!(again, Err(ChildError::AlreadyStarted(pid)) if pid == added));
    assert!(matches!(handle.start_child(&node, noted("b", &journal)).await, Err(ChildError::MaxChildren)));
    stop(&node, &mut running).await;
    assert_eq!(taken(&journal), "+a -a");
}
