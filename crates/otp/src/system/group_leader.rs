//! The group leader of what this node has others do: what they print comes here.
//!
//! Erlang docs: *stdlib*, "The Erlang I/O Protocol".

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use peerl_node::{Atom, CallError, Mfa, Node, NodeName, Pid, ProcessSender, ServiceError, WeakNode};
use peerl_term::Term;

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
    request: Term,
}

impl SystemProcess for GroupLeader {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        let Term::Tuple(parts) = message else { return };
        let [kind, Term::Pid(from), reply_as, request] = &parts[..] else { return };
        if !kind.is_atom("io_request") {
            return;
        }
        let (leader, from) = (received.process.sender(), (**from).clone());
        let io = IoRequest { leader, from: from.clone(), reply_as: reply_as.clone(), request: request.clone() };
        if !self.queues.are_busy(received.sender(), &from)
            && let Some(reply) = self.device.reply_at_once(received.sender(), request)
        {
            io.answer(reply);
        } else if let Err(io) = self.queues.push(received, from, io) {
            io.answer(error(Term::atom("system_limit")));
        }
    }
}

impl Device {
    /// Deals with a request for which nobody has to be asked.
    fn reply_at_once(&self, sender: &Atom, request: &Term) -> Option<Term> {
        match catch_unwind(AssertUnwindSafe(|| Step::of(self, request))) {
            Ok(Step::Done(reply)) => Some(reply),
            Ok(Step::Each(_) | Step::Format(_)) => None,
            Err(panic) => {
                log_panic(sender, &*panic);
                Some(error(Term::atom("terminated")))
            }
        }
    }
}

impl Worker for Device {
    type Key = Pid;
    type Job = IoRequest;

    async fn work(&mut self, sender: &Atom, io: &IoRequest) {
        let mut requests = VecDeque::from([io.request.clone()]);
        let mut reply = Term::atom("ok");
        while let Some(request) = requests.pop_front() {
            reply = match Step::of(self, &request) {
                Step::Done(reply) => reply,
                Step::Each(several) => {
                    several.into_iter().rev().for_each(|request| requests.push_front(request));
                    continue;
                }
                Step::Format(text) => text.print(self, sender).await,
            };
            if !reply.is_atom("ok") {
                break;
            }
        }
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
    /// These are to be done, up to the first that fails.
    Each(Vec<Term>),
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
