//! Functions whose values are far larger than their arguments, and those that go through all processes.

use peerl_node::{Atom, CallContext, Exception, Limits, Node, Pid, Term};
use peerl_proto::control::Signal;
use peerl_term::Reference;

use crate::attacks::attacker::erpc;
use crate::intruder::Intruder;
use crate::stage::{LIMIT, Stage};

/// A peer that calls functions, one after another.
struct Caller {
    intruder: Intruder,
    calls: u32,
}

impl Caller {
    fn connect(node: &Node) -> Self {
        Self { intruder: Intruder::connect(node), calls: 0 }
    }

    fn reference(&mut self) -> Reference {
        self.calls += 1;
        Reference::new(self.intruder.pid().node, 9, &[self.calls, 3, 0]).unwrap()
    }

    /// Begins a call; its outcome comes later.
    fn begin(&mut self, module: &'static str, function: &'static str, arguments: Term) -> Reference {
        let reference = self.reference();
        let call = [reference.clone().into(), Term::atom(module), Term::atom(function), arguments];
        self.intruder.frame(erpc(&self.intruder.pid(), &reference), Some(Term::list(call)));
        reference
    }

    /// The value, or the text of the exception.
    fn call(&mut self, module: &'static str, function: &'static str, arguments: Term) -> Result<Term, String> {
        self.begin(module, function, arguments);
        loop {
            let message = self.intruder.message();
            if !matches!(message.signal, Signal::MonitorExit { .. }) {
                continue;
            }
            let reason = message.payload.unwrap().decode().unwrap();
            // `{Ref, return, Value}`, or what the exception is made of.
            return match reason.as_tuple() {
                Some([_, kind, value]) if kind.is_atom("return") => Ok(value.clone()),
                _ => Err(reason.to_string()),
            };
        }
    }
}

/// Lets a peer call the functions of the node.
async fn with_caller(node: &Node, talk: impl FnOnce(&Node, &mut Caller) + Send + 'static) {
    let node = node.clone();
    tokio::task::spawn_blocking(move || talk(&node, &mut Caller::connect(&node))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_a_process_that_are_asked_for_often() {
    let stage = Stage::new();
    let node = stage.builder().limits(Limits::of_memory(64 << 20)).start().await.unwrap();
    let rex = node.whereis("rex").unwrap();
    with_caller(&node, move |_, caller| {
        let watchers = 5000;
        let own = caller.intruder.pid();
        let monitors = (0..watchers).map(|number| {
            let reference = Reference::new(own.node.clone(), 9, &[number, 1, 0]).unwrap();
            let from = Pid { id: number + 10, ..own.clone() };
            Term::tuple([19.into(), from.into(), rex.clone().into(), reference.into()])
        });
        assert!(caller.intruder.frames(monitors));
        let mut info = |items: usize| {
            let items = Term::list(vec![Term::atom("monitored_by"); items]);
            caller.call("erlang", "process_info", Term::list([rex.clone().into(), items]))
        };
        let two = info(2).unwrap();
        let lengths = two.as_list().unwrap().iter().map(|item| item.as_tuple().unwrap()[1].as_list().unwrap().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [watchers as usize; 2]);
        for refused in [200, 4300] {
            let error = info(refused).unwrap_err();
            assert!(error.contains("system_limit"), "{error}");
        }
        assert!(info(1).is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_more_processes_than_there_is_memory_for() {
    let stage = Stage::new();
    let node = stage.builder().limits(Limits::of_memory(16 << 20)).start().await.unwrap();
    // They are of the program: nobody's share has less for them.
    let mine: Vec<_> = (0..100_000).map(|_| node.process()).collect();
    with_caller(&node, move |_, caller| {
        for (module, function) in [("erlang", "processes"), ("Elixir.Process", "list")] {
            let error = caller.call(module, function, Term::nil()).unwrap_err();
            assert!(error.contains("system_limit"), "{error}");
        }
        let to = Term::list([caller.intruder.pid().into()]);
        let error = caller.call("observer_backend", "etop_collect", to).unwrap_err();
        assert!(error.contains("system_limit"), "{error}");
        drop(mine);
        let processes = caller.call("erlang", "processes", Term::nil()).unwrap();
        assert!(!processes.as_list().unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_sends_goes_to_the_node_that_asks() {
    let stage = Stage::new();
    let node = stage.node().await;
    with_caller(&node, |node, caller| {
        let other = Intruder::connect(node);
        for function in ["etop_collect", "procs_info"] {
            let mut ask = |to: Pid| caller.call("observer_backend", function, Term::list([to.into()]));
            assert!(ask(other.pid()).unwrap_err().contains("a process of another node"), "{function}");
        }
        let error = caller.call("observer_backend", "fetch_stats", Term::list([other.pid().into(), 1000.into()]));
        assert!(error.unwrap_err().contains("a process of another node"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_are_sent_by_64_processes() {
    let stage = Stage::new();
    let node = stage.node().await;
    with_caller(&node, |node, caller| {
        let arguments = Term::list([caller.intruder.pid().into(), 10.into()]);
        for _ in 0..32 {
            caller.begin("observer_backend", "fetch_stats", arguments.clone());
        }
        let error = caller.call("observer_backend", "fetch_stats", arguments).unwrap_err();
        assert!(error.contains("system_limit"), "{error}");
        let mut other = Caller::connect(node);
        let arguments = Term::list([other.intruder.pid().into(), 10.into()]);
        for _ in 0..8 {
            other.begin("observer_backend", "fetch_stats", arguments.clone());
        }
        // A peer has half of them, and others send for the next one.
        loop {
            match other.intruder.message().signal {
                Signal::Send { .. } => break,
                Signal::MonitorExit { .. } => panic!("it is refused"),
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_disconnects_nobody_else() {
    let stage = Stage::new();
    let node = stage.node().await;
    with_caller(&node, |node, caller| {
        let other = Intruder::connect(node);
        let of = |name: &str| Term::list([Term::Atom(Atom::new(name).unwrap())]);
        assert_eq!(caller.call("erlang", "disconnect_node", of(&other.name)), Ok(Term::from(false)));
        let nodes = caller.call("erlang", "nodes", Term::list([Term::atom("hidden")])).unwrap();
        assert!(nodes.as_list().unwrap().iter().any(|name| name.is_atom(&other.name)), "{nodes}");
        let own = caller.intruder.name.clone();
        caller.begin("erlang", "disconnect_node", of(&own));
        caller.intruder.assert_closed("it disconnects itself");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_learns_that_its_peer_has_gone() {
    let stage = Stage::new();
    let node = stage.node().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    node.export("page", "wait", move |context: CallContext, ()| {
        let tell = tell.clone();
        async move {
            tell.send("begun").unwrap();
            context.disconnected().await;
            tell.send("gone").unwrap();
            Ok::<_, Exception>(Term::nil())
        }
    })
    .unwrap();
    let mut caller = Caller::connect(&node);
    // Unlike a call, it does not end with its caller.
    let spawn = [29.into(), caller.reference().into(), caller.intruder.pid().into(), caller.intruder.pid().into()];
    let function = Term::tuple([Term::atom("page"), Term::atom("wait"), 0.into()]);
    let spawn = spawn.into_iter().chain([function, Term::nil()]);
    caller.intruder.frame(Term::tuple(spawn), Some(Term::nil()));
    let mut next = async || tokio::time::timeout(LIMIT, told.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, "begun");
    drop(caller);
    assert_eq!(next().await, "gone");
}
