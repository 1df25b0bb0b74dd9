//! The group leader of what this node has others do: what they print comes here.
//!
//! Erlang docs: *stdlib*, "The Erlang I/O Protocol".

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use peerl_node::{Atom, CallError, Mfa, Node, NodeName, Pid, ProcessSender, ServiceError, WeakNode};
use peerl_term::{RawTerm, Term};

use super::Output;
use super::process::{self, Received, SystemProcess};
use super::queues::{Queues, Worker, log_panic};
use super::unfinished::Unfinished;
use crate::chardata::{self, Encoding};

/// How long a peer may take to format what it wants printed.
const FORMATTING: Duration = Duration::from_secs(60);

pub(super) fn start(node: &Node, output: Output, unfinished: Unfinished) -> Result<Pid, ServiceError> {
    let device = Device { node: node.downgrade(), output };
    process::start(node, &[], GroupLeader { queues: Queues::new(device.clone(), unfinished), device })
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
/// what has to be formatted by functions that print, in turn. As a rule a process has one request, since it waits for the
/// answer.
struct GroupLeader {
    device: Device,
    queues: Queues<Device>,
}

/// `{io_request, From, ReplyAs, Request}`.
struct IoRequest {
    leader: ProcessSender,
    from: Pid,
    reply_as: Term,
    /// What has not been done, the last part first. Requests may be large: they are not copied.
    parts: Vec<Part>,
    /// The message, if it is long.
    long: Option<RawTerm>,
}

/// A part of a request.
enum Part {
    Request(Term),
    Format(Formatted),
}

impl SystemProcess for GroupLeader {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Term::Tuple(parts) = message else { return };
        let Ok([kind, Term::Pid(from), reply_as, request]) = <[Term; 4]>::try_from(parts.into_vec()) else { return };
        if !kind.is_atom("io_request") {
            return;
        }
        let (leader, from) = (received.process.sender(), *from);
        let parts = if self.queues.are_busy(received.sender(), &from) {
            Ok(vec![Part::Request(request)])
        } else {
            self.device.begin(received.sender(), request)
        };
        let long = received.payload.is_long().then(|| received.payload.clone());
        let io = |parts| IoRequest { leader, from: from.clone(), reply_as, parts, long };
        match parts {
            Ok(parts) => {
                let io = io(parts);
                if let Err(io) = self.queues.push(received, from, io) {
                    io.answer(error(Term::atom("system_limit")));
                }
            }
            Err(reply) => io(Vec::new()).answer(reply),
        }
    }
}

/// So many parts of a request are dealt with before others run.
const TURN: usize = 128;

/// How a turn has ended.
enum Turn {
    /// All is done, or a part has failed: this is the answer.
    Over(Term),
    /// This has to be formatted next.
    Format(Formatted),
    /// Others are to run.
    Others,
}

impl Device {
    /// Begins a request: what is left of it, or the answer if nobody has to be asked.
    fn begin(&self, sender: &Atom, request: Term) -> Result<Vec<Part>, Term> {
        match catch_unwind(AssertUnwindSafe(|| Step::of(self, request))) {
            Ok(Step::Done(reply)) => Err(reply),
            Ok(Step::Each(parts)) => Ok(parts),
            Ok(Step::Format(text)) => Ok(vec![Part::Format(text)]),
            Err(panic) => {
                log_panic(sender, &*panic);
                Err(error(Term::atom("terminated")))
            }
        }
    }

    /// Deals with parts.
    fn turn(&self, parts: &mut Vec<Part>) -> Turn {
        for _ in 0..TURN {
            let step = match parts.pop() {
                None => return Turn::Over(Term::atom("ok")),
                Some(Part::Format(text)) => return Turn::Format(text),
                Some(Part::Request(request)) => Step::of(self, request),
            };
            match step {
                Step::Each(more) => parts.extend(more),
                Step::Done(reply) if reply.is_atom("ok") => {}
                Step::Done(reply) => return Turn::Over(reply),
                Step::Format(text) => return Turn::Format(text),
            }
        }
        Turn::Others
    }
}

impl Worker for Device {
    type Key = Pid;
    type Job = IoRequest;

    async fn work(&mut self, sender: &Atom, io: &mut IoRequest) {
        let reply = loop {
            let turn = match &io.long {
                Some(long) => long.work(|| self.turn(&mut io.parts)),
                None => self.turn(&mut io.parts),
            };
            match turn {
                Turn::Others => tokio::task::yield_now().await,
                Turn::Format(text) => {
                    let reply = text.print(self, sender).await;
                    if !reply.is_atom("ok") {
                        break reply;
                    }
                }
                Turn::Over(reply) => break reply,
            }
        };
        io.answer(reply);
    }

    fn failed(&self, io: &IoRequest) {
        io.answer(error(Term::atom("terminated")));
    }
}

impl IoRequest {
    /// A process that has gone gets no answer, nor does one that asks so much that its mailbox is full.
    fn answer(&self, reply: Term) {
        let reply = Term::tuple([Term::atom("io_reply"), self.reply_as.clone(), reply]);
        let _ = self.leader.send_connected(&self.from, &reply);
    }
}

fn error(reason: Term) -> Term {
    Term::tuple([Term::atom("error"), reason])
}

/// What comes of a request.
enum Step {
    /// It has been done, and this is the answer.
    Done(Term),
    /// These are to be done, the last one first, up to one that fails.
    Each(Vec<Part>),
    /// The device is to print what a function gives.
    Format(Formatted),
}

/// Text that a function of the node gives that has sent the request.
struct Formatted {
    encoding: Encoding,
    module: Atom,
    function: Atom,
    arguments: Vec<Term>,
}

impl Step {
    fn of(device: &Device, request: Term) -> Self {
        let mut parts = match request {
            Term::Tuple(parts) => parts.into_vec(),
            Term::Atom(kind) if kind == "getopts" => {
                return Self::Done(Term::list([
                    Term::tuple([Term::atom("binary"), Term::from(false)]),
                    Term::tuple([Term::atom("encoding"), Term::atom("unicode")]),
                ]));
            }
            Term::Atom(kind) if kind == "get_password" => return Self::Done(error(Term::atom("enotsup"))),
            _ => return Self::Done(error(Term::atom("request"))),
        };
        let Some(Term::Atom(kind)) = parts.first().cloned() else { return Self::Done(error(Term::atom("request"))) };
        match (kind.as_str(), &parts[1..]) {
            ("put_chars", [Term::Atom(encoding), ..]) if Encoding::named(encoding).is_some() => {
                let encoding = encoding.clone();
                Self::put_chars(device, &encoding, parts.split_off(2))
            }
            // As before R13.
            ("put_chars", _) => Self::put_chars(device, &Atom::from_static("latin1"), parts.split_off(1)),
            ("requests", [Term::List(_)]) => match parts.pop() {
                Some(Term::List(requests)) => {
                    Self::Each(requests.into_vec().into_iter().rev().map(Part::Request).collect())
                }
                _ => Self::Done(error(Term::atom("request"))),
            },
            // Nobody is there to type anything.
            ("get_line" | "get_chars" | "get_until" | "get_password" | "get_geometry", _) => {
                Self::Done(error(Term::atom("enotsup")))
            }
            ("setopts", [Term::List(options)]) if options.iter().all(is_known_option) => Self::Done(Term::atom("ok")),
            ("setopts", _) => Self::Done(error(Term::atom("enotsup"))),
            _ => Self::Done(error(Term::atom("request"))),
        }
    }

    /// `rest` is the text, or the module, the function and the arguments by which it is formatted.
    fn put_chars(device: &Device, name: &Atom, mut rest: Vec<Term>) -> Self {
        let refused = || Self::Done(error(Term::atom("request")));
        let Some(encoding) = Encoding::named(name) else { return refused() };
        let text = match &rest[..] {
            [characters] => chardata::chardata(characters, encoding),
            [Term::Atom(module), Term::Atom(function), Term::List(arguments)] => {
                chardata::characters(module, function, arguments)
            }
            _ => return refused(),
        };
        if let Some(text) = text {
            (device.output)(&text);
            return Self::Done(Term::atom("ok"));
        }
        match (rest.pop(), rest.pop(), rest.pop()) {
            (Some(characters), None, _) => {
                Self::Done(error(Term::tuple([Term::atom("put_chars"), name.clone().into(), characters])))
            }
            (Some(Term::List(arguments)), Some(Term::Atom(function)), Some(Term::Atom(module))) => {
                Self::Format(Formatted { encoding, module, function, arguments: arguments.into_vec() })
            }
            _ => refused(),
        }
    }
}

impl Formatted {
    /// Has the node that has sent the request format the text, as its own releases do, and prints it: nobody has another node do
    /// something. Fails as OTP's `group` does.
    async fn print(self, device: &Device, sender: &Atom) -> Term {
        let failed = error(self.function.clone().into());
        let Ok(peer) = NodeName::new(sender) else { return failed };
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
