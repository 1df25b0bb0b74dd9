//! The group leader of what this node has others do: what they print comes here.
//!
//! Erlang docs: *stdlib*, "The Erlang I/O Protocol".

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use peerl_node::{Atom, CallError, Lease, Mfa, Node, NodeName, Pid, ProcessSender, ServiceError, WeakNode};
use peerl_term::Term;

use super::Output;
use super::process::{self, Received, SystemProcess};
use super::unfinished::{Unfinished, Work};
use crate::chardata::{self, Encoding};

/// How long a peer may take to format what it wants printed.
const FORMATTING: Duration = Duration::from_secs(60);

/// The most requests that wait for their turn. As a rule a process has one, since it waits for the answer; those
/// beyond are refused.
const MOST_WAITING: usize = 1024;

pub(super) fn start(node: &Node, output: Output, unfinished: Unfinished) -> Result<Pid, ServiceError> {
    let device = Device { node: node.downgrade(), output };
    process::start(node, &[], GroupLeader { device, queues: Arc::default(), unfinished })
}

/// Makes text an event of this program's own log.
pub(super) fn trace(text: &str) {
    tracing::info!(target: "peerl::output", "{}", text.trim_end());
}

/// What prints.
#[derive(Clone)]
struct Device {
    node: WeakNode,
    output: Output,
}

/// A process that prints has its requests dealt with in their order. Those of others do not wait for it: it may print
/// what has to be formatted by functions that print, in turn.
struct GroupLeader {
    device: Device,
    queues: Arc<Mutex<Queues>>,
    unfinished: Unfinished,
}

/// The requests of processes whose last one has not been answered yet.
#[derive(Default)]
struct Queues {
    of: HashMap<Pid, VecDeque<IoRequest>>,
    waiting: usize,
}

/// `{io_request, From, ReplyAs, Request}`.
struct IoRequest {
    from: Pid,
    reply_as: Term,
    request: Term,
    _work: Work,
    _lease: Option<Lease>,
}

impl SystemProcess for GroupLeader {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Term::Tuple(parts) = message else { return };
        let [kind, Term::Pid(from), reply_as, request] = &parts[..] else { return };
        if !kind.is_atom("io_request") {
            return;
        }
        let (leader, from) = (received.process.sender(), (**from).clone());
        let mut queues = self.queues.lock();
        if !queues.of.contains_key(&from)
            && let Step::Done(reply) = Step::of(&self.device, request)
        {
            drop(queues);
            answer(&leader, &from, reply_as.clone(), reply);
        } else if queues.waiting >= MOST_WAITING {
            drop(queues);
            answer(&leader, &from, reply_as.clone(), error(Term::atom("system_limit")));
        } else if let Ok(lease) = received.keep() {
            queues.waiting += 1;
            let io = IoRequest {
                from: from.clone(),
                reply_as: reply_as.clone(),
                request: request.clone(),
                _work: self.unfinished.begin(),
                _lease: lease,
            };
            match queues.of.get_mut(&from) {
                Some(queue) => queue.push_back(io),
                None => {
                    queues.of.insert(from.clone(), [io].into());
                    received.tasks.spawn(work(self.device.clone(), leader, from, self.queues.clone()));
                }
            }
        } else {
            drop(queues);
            answer(&leader, &from, reply_as.clone(), error(Term::atom("system_limit")));
        }
    }
}

/// Deals with the requests of a process until there are none.
async fn work(device: Device, leader: ProcessSender, from: Pid, queues: Arc<Mutex<Queues>>) {
    loop {
        let io = {
            let mut queues = queues.lock();
            let Some(io) = queues.of.get_mut(&from).and_then(VecDeque::pop_front) else {
                queues.of.remove(&from);
                return;
            };
            queues.waiting -= 1;
            io
        };
        let mut requests = VecDeque::from([io.request]);
        let mut reply = Term::atom("ok");
        while let Some(request) = requests.pop_front() {
            reply = match Step::of(&device, &request) {
                Step::Done(reply) => reply,
                Step::Each(several) => {
                    several.into_iter().rev().for_each(|request| requests.push_front(request));
                    continue;
                }
                Step::Format(text) => text.print(&device, &io.from).await,
            };
            if !reply.is_atom("ok") {
                break;
            }
        }
        answer(&leader, &io.from, io.reply_as, reply);
    }
}

/// A process that has gone gets no answer, nor does one that asks so much that its mailbox is full.
fn answer(leader: &ProcessSender, to: &Pid, reply_as: Term, reply: Term) {
    let _ = leader.send_connected(to, &Term::tuple([Term::atom("io_reply"), reply_as, reply]));
}

fn error(reason: Term) -> Term {
    Term::tuple([Term::atom("error"), reason])
}

/// What comes of a request.
enum Step {
    /// It has been done, and this is the answer.
    Done(Term),
    /// These are to be done, up to the first that fails.
    Each(Vec<Term>),
    /// The device is to print what a function gives.
    Format(Formatted),
}

/// Text that a function of the sender's node gives.
struct Formatted {
    encoding: Encoding,
    module: Atom,
    function: Atom,
    arguments: Vec<Term>,
}

impl Step {
    fn of(device: &Device, request: &Term) -> Self {
        let Some(parts) = request.as_tuple() else {
            return Self::Done(match request {
                Term::Atom(kind) if kind == "getopts" => Term::list([
                    Term::tuple([Term::atom("binary"), Term::from(false)]),
                    Term::tuple([Term::atom("encoding"), Term::atom("unicode")]),
                ]),
                Term::Atom(kind) if kind == "get_password" => error(Term::atom("enotsup")),
                _ => error(Term::atom("request")),
            });
        };
        let Some(Term::Atom(kind)) = parts.first() else { return Self::Done(error(Term::atom("request"))) };
        match (kind.as_str(), &parts[1..]) {
            ("put_chars", [Term::Atom(encoding), rest @ ..]) if Encoding::named(encoding).is_some() => {
                Self::put_chars(device, encoding, rest)
            }
            // As before R13.
            ("put_chars", rest) => Self::put_chars(device, &Atom::from_static("latin1"), rest),
            ("requests", [Term::List(requests)]) => Self::Each(requests.to_vec()),
            // Nobody is there to type anything.
            ("get_line" | "get_chars" | "get_until" | "get_password" | "get_geometry", _) => {
                Self::Done(error(Term::atom("enotsup")))
            }
            ("setopts", [Term::List(options)]) if options.iter().all(is_known_option) => Self::Done(Term::atom("ok")),
            ("setopts", _) => Self::Done(error(Term::atom("enotsup"))),
            _ => Self::Done(error(Term::atom("request"))),
        }
    }

    fn put_chars(device: &Device, name: &Atom, rest: &[Term]) -> Self {
        let Some(encoding) = Encoding::named(name) else { return Self::Done(error(Term::atom("request"))) };
        match rest {
            [characters] => match chardata::chardata(characters, encoding) {
                Some(text) => {
                    (device.output)(&text);
                    Self::Done(Term::atom("ok"))
                }
                None => {
                    let request = [Term::atom("put_chars"), name.clone().into(), characters.clone()];
                    Self::Done(error(Term::tuple(request)))
                }
            },
            [Term::Atom(module), Term::Atom(function), Term::List(arguments)] => {
                match chardata::characters(module, function, arguments) {
                    Some(text) => {
                        (device.output)(&text);
                        Self::Done(Term::atom("ok"))
                    }
                    None => Self::Format(Formatted {
                        encoding,
                        module: module.clone(),
                        function: function.clone(),
                        arguments: arguments.to_vec(),
                    }),
                }
            }
            _ => Self::Done(error(Term::atom("request"))),
        }
    }
}

impl Formatted {
    /// Has the sender's node format the text, as its own releases do, and prints it. Fails as OTP's `group` does.
    async fn print(self, device: &Device, from: &Pid) -> Term {
        let failed = error(self.function.clone().into());
        let Ok(peer) = NodeName::new(&from.node) else { return failed };
        let mfa = Mfa::with_terms(self.module, self.function, self.arguments);
        // This node ends.
        let Some(node) = device.node.upgrade() else { return error(Term::atom("terminated")) };
        match node.call::<Term>(&peer, mfa).if_connected().timeout(FORMATTING).await {
            Ok(characters) => match chardata::chardata(&characters, self.encoding) {
                Some(text) => {
                    (device.output)(&text);
                    Term::atom("ok")
                }
                None => failed,
            },
            Err(CallError::Exception(_)) => failed,
            // The sender has gone.
            Err(_) => error(Term::atom("terminated")),
        }
    }
}

/// Options that change nothing in what is printed.
fn is_known_option(option: &Term) -> bool {
    match option {
        Term::Atom(name) => matches!(name.as_str(), "binary" | "list"),
        Term::Tuple(pair) => match &pair[..] {
            [Term::Atom(name), Term::Atom(value)] if name == "encoding" => {
                matches!(value.as_str(), "unicode" | "utf8" | "latin1")
            }
            [Term::Atom(name), _] => matches!(name.as_str(), "binary" | "echo" | "expand_fun"),
            _ => false,
        },
        _ => false,
    }
}
