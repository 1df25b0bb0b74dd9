//! What nodes do with each other, and what must come of it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use peerl::testing::Network;
use peerl::{Atom, CallError, Destination, Epmd, Exception, Message, Mfa, Node, NodeName, Process, Term};
use tokio::time::{Instant, sleep, timeout};

use crate::random::Random;
use crate::record::Record;

/// Nothing may take longer: the longest function, the longest life of a target, and some ticks.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// For how long a second `DOWN` or exit signal is waited for.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// One piece of work of a node, with a peer.
pub(crate) struct Work {
    pub(crate) node: Node,
    pub(crate) peer: NodeName,
    /// The host of the peer.
    pub(crate) host: usize,
    pub(crate) others: Vec<NodeName>,
    pub(crate) network: Network,
    pub(crate) record: Arc<Record>,
    pub(crate) random: Random,
}

impl Work {
    /// Does one thing of many.
    pub(crate) async fn run(mut self) {
        let (what, record) = (self.random.below(100), self.record.clone());
        let name = self.node.name().clone();
        let done = async move {
            match what {
                0..35 => self.call().await,
                35..45 => self.gen_call().await,
                45..60 => self.monitor().await,
                60..73 => self.link().await,
                73..83 => self.stream().await,
                83..90 => self.pmap().await,
                90..93 => self.kill_target().await,
                93..96 => self.guest().await,
                _ => self.connect().await,
            }
        };
        if timeout(LIMIT, done).await.is_err() {
            record.fail(format!("work {what} of {name} never ends"));
        }
    }

    /// A guest on the host of the node calls the peer, and goes.
    async fn guest(mut self) {
        let id = self.record.next_id();
        let builder = peerl::guest().short_names().cookie(Network::COOKIE);
        let builder = builder.transport(self.network.host(self.node.name().host()));
        let guest = builder.epmd(Epmd::None { port: Network::PORT }).seed(self.random.number()).start().await.unwrap();
        let mfa = Mfa::new("m", "slow", (id, self.random.below(3_000) as u64));
        let result = guest.call::<(u64, usize)>(&self.peer, mfa.unwrap()).await;
        self.record.note(format!("call {id} of {} to {}: {result:?}", guest.name_at(&self.peer), self.peer));
        let fits = match &result {
            Ok(value) => *value == (id, 0) && self.record.executions(id) == 1,
            Err(CallError::Connect(_) | CallError::NotSpawned(_)) => self.record.executions(id) == 0,
            Err(error) => matches!(error, CallError::NodeDown | CallError::Disconnected(_)),
        };
        self.record.check(fits, || format!("call {id} of a guest gives {result:?}"));
        if self.random.percent(50) {
            guest.shutdown().await;
        }
    }

    /// A call ends once, and was executed at most once.
    async fn call(mut self) {
        let id = self.record.next_id();
        let size = if self.random.percent(2) { 70_000 } else { self.random.below(50) };
        let (mfa, fails, bytes) = match self.random.below(10) {
            0..6 => (Mfa::new("m", "echo", (id, vec![7_u8; size])), false, size),
            6..9 => (Mfa::new("m", "slow", (id, self.random.below(20_000) as u64)), false, 0),
            _ => (Mfa::new("m", "fail", (id,)), true, 0),
        };
        let mut call = self.node.call::<(u64, usize)>(&self.peer, mfa.unwrap());
        if self.random.percent(40) {
            call = call.timeout(self.random.millis(10_000));
        }
        if self.random.percent(10) {
            // It is given up.
            let result = timeout(self.random.millis(500), call).await;
            return self.record.note(format!("call {id}: given up, {}", result.is_ok()));
        }
        let result = call.await;
        self.record.note(format!("call {id} of {} to {}: {result:?}", self.node.name(), self.peer));
        let executions = self.record.executions(id);
        let fits = match &result {
            Ok(value) => !fails && *value == (id, bytes) && executions == 1,
            Err(CallError::Exception(Exception { reason, .. })) => {
                fails && *reason == Term::from(id as i64) && executions == 1
            }
            Err(CallError::Connect(_) | CallError::NotSpawned(_)) => executions == 0,
            Err(CallError::NodeDown | CallError::Disconnected(_) | CallError::Timeout(_)) => executions <= 1,
            Err(_) => false,
        };
        self.record.check(fits, || format!("call {id} gives {result:?} and was executed {executions} times"));
        sleep(AFTERWARDS).await;
        let executions = self.record.executions(id);
        self.record.check(executions <= 1, || format!("call {id} was executed {executions} times"));
    }

    async fn gen_call(mut self) {
        let id = self.record.next_id();
        let mut call = self.node.gen_call::<u64>(("target", &self.peer), &id);
        if self.random.percent(50) {
            call = call.timeout(self.random.millis(5_000));
        }
        let result = call.await;
        self.record.note(format!("gen call {id} of {} to {}: {result:?}", self.node.name(), self.peer));
        let fits = match &result {
            Ok(value) => *value == id,
            Err(error) => {
                !matches!(error, CallError::Decode(_) | CallError::Malformed(_) | CallError::AnswerLost { .. })
            }
        };
        self.record.check(fits, || format!("gen call {id} gives {result:?}"));
    }

    /// Exactly one `DOWN` comes; none after the monitor has been taken back.
    async fn monitor(mut self) {
        let mut process = self.node.process();
        let target: Destination = match self.record.target(self.host) {
            Some(pid) if self.random.percent(70) => pid.into(),
            _ => (Atom::from_static("target"), self.peer.clone()).into(),
        };
        let monitor = process.monitor(target).await;
        let taken_back = self.random.percent(30);
        let mut expected = 1;
        let mut downs = 0;
        if taken_back {
            sleep(self.random.millis(3_000)).await;
            if process.demonitor(&monitor) {
                expected = 0;
            }
        }
        let mut until = if expected == 1 { None } else { Some(Instant::now() + AFTERWARDS) };
        while let Some(message) = next(&mut process, until).await {
            match message {
                Message::Down(down) if down.reference == monitor => downs += 1,
                other => self.record.fail(format!("a process with a monitor is told {other:?}")),
            }
            until = Some(Instant::now() + AFTERWARDS);
        }
        let is_over = process.try_receive().is_err();
        self.record.note(format!("monitor of {} on {}: {downs} DOWN", self.node.name(), self.peer));
        self.record.check(downs == expected || is_over && downs < expected, || {
            format!("a monitor of {} on {} gave {downs} DOWN, {expected} expected", self.node.name(), self.peer)
        });
    }

    /// Exactly one exit signal comes; none after the link has been ended.
    async fn link(mut self) {
        let Some(pid) = self.record.target(self.host) else { return };
        let mut process = self.node.process();
        process.trap_exit(true);
        process.link(&pid).await;
        let mut expected = 1;
        let mut exits = 0;
        if self.random.percent(30) {
            sleep(self.random.millis(3_000)).await;
            process.unlink(&pid);
            while let Ok(Some(_)) = process.try_receive() {}
            expected = 0;
        } else if self.random.percent(10) {
            // The target is told.
            sleep(self.random.millis(3_000)).await;
            return process.exit(&Term::atom("leaves"));
        }
        let mut until = if expected == 1 { None } else { Some(Instant::now() + AFTERWARDS) };
        while let Some(message) = next(&mut process, until).await {
            match message {
                Message::Exit(exit) if exit.from == pid => exits += 1,
                other => self.record.fail(format!("a linked process is told {other:?}")),
            }
            until = Some(Instant::now() + AFTERWARDS);
        }
        let is_over = process.try_receive().is_err();
        self.record.note(format!("link of {} with {}: {exits} exits", self.node.name(), self.peer));
        self.record.check(exits == expected || is_over && exits < expected, || {
            format!("a link of {} with {} gave {exits} exits, {expected} expected", self.node.name(), self.peer)
        });
    }

    /// What is sent arrives in order, and all of it while the connection lasts.
    async fn stream(mut self) {
        let Some(pid) = self.record.collector(self.host) else { return };
        let process = self.node.process();
        let stream = self.record.next_id();
        // The first message may connect.
        let _ = self.node.connect(&self.peer).await;
        let connection = self.node.connection(&self.peer);
        let mut sent = 0;
        for number in 0..self.random.below(30) as u64 {
            let size = if self.random.percent(2) { 70_000 } else { 10 };
            let message = (stream, number, vec![1_u8; size]);
            if process.send(pid.clone(), &message).await.is_err() {
                return;
            }
            sent += 1;
            if self.random.percent(20) {
                sleep(self.random.millis(200)).await;
            }
        }
        // Ticks find out about everything that is lost.
        sleep(self.node.net_ticktime() * 2).await;
        let lasts = connection.is_some() && self.node.connection(&self.peer) == connection;
        let arrived = self.record.arrived(stream);
        self.record.note(format!("stream {stream} of {} to {}: {arrived} of {sent}", self.node.name(), self.peer));
        let same_collector = self.record.collector(self.host) == Some(pid);
        self.record.check(arrived <= sent && (arrived == sent || !lasts || !same_collector), || {
            format!("{arrived} of {sent} messages of stream {stream} have arrived on one connection")
        });
    }

    /// Each item is reported exactly once.
    async fn pmap(mut self) {
        let items = self.random.below(40) + 1;
        let ids: Vec<u64> = (0..items).map(|_| self.record.next_id()).collect();
        let slow = self.random.below(3_000) as u64;
        let call = move |id: &u64| Mfa::new("m", "slow", (*id, slow * (id % 3))).unwrap();
        let mut pmap = self.node.pmap(self.others.clone(), call, ids.clone()).window(self.random.below(8) + 1);
        if self.random.percent(50) {
            pmap = pmap.timeout(Duration::from_millis(500) + self.random.millis(10_000));
        }
        if self.random.percent(30) {
            pmap = pmap.ordered();
        }
        let mut results = Box::pin(pmap.run::<(u64, usize)>());
        let mut seen = vec![0; items];
        let mut values = 0;
        while let Some(mapped) = results.next().await {
            seen[mapped.index] += 1;
            let fits = match &mapped.result {
                Ok(value) => *value == (ids[mapped.index], 0) && mapped.item == ids[mapped.index],
                Err(error) => !matches!(error, CallError::Decode(_) | CallError::Malformed(_) | CallError::Erpc(_)),
            };
            values += usize::from(mapped.result.is_ok());
            self.record.check(fits, || format!("an item of pmap gives {:?}", mapped.result));
        }
        self.record.note(format!("pmap of {}: {values} of {items} items have values", self.node.name()));
        self.record.check(seen.iter().all(|times| *times == 1), || format!("pmap gives items {seen:?} times"));
    }

    async fn kill_target(self) {
        if let Some(pid) = self.record.target(self.host) {
            self.node.process().exit_other(&pid, &Term::atom("kill"));
        }
    }

    async fn connect(mut self) {
        if self.random.percent(30) {
            let was_connected = self.node.disconnect(&self.peer);
            return self.record.note(format!("{} disconnects {}: {was_connected}", self.node.name(), self.peer));
        }
        let result = self.node.connect(&self.peer).await;
        let shown = result.map_err(|error| error.to_string());
        self.record.note(format!("{} connects to {}: {shown:?}", self.node.name(), self.peer));
    }
}

/// The next message; none when the time is over, or the node has stopped.
async fn next(process: &mut Process, until: Option<Instant>) -> Option<Message> {
    match until {
        None => process.receive().await.ok(),
        Some(until) => tokio::time::timeout_at(until, process.receive()).await.ok()?.ok(),
    }
}
