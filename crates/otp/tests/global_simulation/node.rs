use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use peerl_node::{Budget, Caller};
use peerl_otp::global::{CallId, Event, Identity, MonitorId, RequestId, State};
use peerl_term::{Atom, Pid, Term};

use crate::user::User;

/// A node: its `global`, its processes, and what it knows of those of others.
pub(crate) struct Node {
    pub(crate) name: Atom,
    pub(crate) creation: u32,
    pub(crate) state: State,
    pub(crate) server: Pid,
    /// What happens here without a peer.
    pub(crate) local: VecDeque<Local>,
    /// The processes that live, and who monitors each: node and monitor there.
    pub(crate) processes: BTreeMap<u32, Vec<(Atom, MonitorId)>>,
    pub(crate) next_process: u32,
    /// The monitors that the server has.
    pub(crate) monitors: BTreeMap<MonitorId, Monitor>,
    /// The calls that are under way, by the number that is their tag.
    pub(crate) calls: BTreeMap<i64, OpenCall>,
    pub(crate) next_tag: i64,
    pub(crate) users: Vec<User>,
    pub(crate) requests: HashMap<RequestId, Wanted>,
    pub(crate) next_request: u64,
    /// It reports the connections that it loses, as nodes of OTP do.
    pub(crate) is_of_otp: bool,
    pub(crate) losses: u64,
}

/// What a node does with itself.
pub(crate) enum Local {
    Event(Event),
    Dial(Atom),
    /// A message to a process of this node.
    Message(Pid, Term),
    /// A call of a process of this node to the server.
    Call(Caller, Term),
}

pub(crate) struct Monitor {
    pub(crate) pid: Pid,
    /// The connection by which it was made.
    pub(crate) connection: Option<u64>,
}

pub(crate) struct OpenCall {
    pub(crate) caller: Asker,
    pub(crate) node: Atom,
    pub(crate) connection: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Asker {
    Server(CallId),
    User(u32),
    /// A process that does not wait for the answer.
    Nobody(u32),
}

/// A request whose answer is looked at.
pub(crate) enum Wanted {
    /// A name is changed; in favour of a process, if it is registered.
    Change(Term, Option<Pid>),
    Other,
}

impl Node {
    pub(crate) fn new(name: Atom, creation: u32, seed: u64) -> Self {
        let server = Pid { node: name.clone(), id: 1, serial: 0, creation };
        let identity = Identity { node: name.clone(), server: server.clone(), seed };
        Self {
            state: State::new(identity, Budget::new(usize::MAX, 1)),
            name,
            creation,
            server,
            local: VecDeque::new(),
            processes: BTreeMap::new(),
            next_process: 2,
            monitors: BTreeMap::new(),
            calls: BTreeMap::new(),
            next_tag: 1,
            users: Vec::new(),
            requests: HashMap::new(),
            next_request: 1,
            is_of_otp: false,
            losses: 0,
        }
    }

    pub(crate) fn spawn(&mut self) -> Pid {
        let id = self.next_process;
        self.next_process += 1;
        self.processes.insert(id, Vec::new());
        self.pid(id)
    }

    pub(crate) fn pid(&self, id: u32) -> Pid {
        Pid { node: self.name.clone(), id, serial: 0, creation: self.creation }
    }

    pub(crate) fn is_alive(&self, pid: &Pid) -> bool {
        pid.node == self.name
            && pid.creation == self.creation
            && (*pid == self.server || self.processes.contains_key(&pid.id))
    }

    pub(crate) fn next_tag(&mut self) -> i64 {
        self.next_tag += 1;
        self.next_tag
    }

    pub(crate) fn next_request(&mut self, wanted: Wanted) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.requests.insert(request, wanted);
        request
    }

    /// When something happens here without any message.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let users = self.users.iter().filter_map(User::deadline);
        users.chain(self.state.deadline()).min()
    }
}
