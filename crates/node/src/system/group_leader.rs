//! The group leader of what this node has others do: what they print comes here.
//!
//! Erlang docs: *stdlib*, "The Erlang I/O Protocol".

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Pid, Term};
use tokio::time::timeout;

use super::service::{self, Service};
use super::unfinished::{Unfinished, Work};
use crate::format::{self, Encoding};
use crate::inner::Inner;
use crate::mfa::Mfa;
use crate::process::Process;
use crate::rpc::CallError;

/// What is done with text that peers print.
pub(crate) type Output = Arc<dyn Fn(&str) + Send + Sync>;

/// How long a peer may take to format what it wants printed.
const FORMATTING: Duration = Duration::from_secs(60);

/// The most requests that wait for their turn. As a rule a process has one, since it waits for the answer; those
/// beyond are refused.
const MOST_WAITING: usize = 1024;

pub(super) fn start(node: &Arc<Inner>, unfinished: Unfinished) -> Pid {
    let leader = GroupLeader { queues: Arc::default(), unfinished };
    service::start(node, &[], leader)
}

/// A process that prints has its requests dealt with in their order. Those of others do not wait for it: it may print
/// what has to be formatted by functions that print, in turn.
struct GroupLeader {
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
}

impl Service for GroupLeader {
    fn handle(&mut self, process: &Process, message: Term) {
        let Term::Tuple(parts) = message else { return };
        let [kind, Term::Pid(from), reply_as, request] = &parts[..] else { return };
        if !kind.is_atom("io_request") {
            return;
        }
        let (node, from) = (process.inner(), (**from).clone());
        let mut queues = self.queues.lock();
        if !queues.of.contains_key(&from)
            && let Step::Done(reply) = Step::of(node, request)
        {
            drop(queues);
            answer(node, process.pid(), &from, reply_as.clone(), reply);
        } else if queues.waiting >= MOST_WAITING {
            drop(queues);
            answer(node, process.pid(), &from, reply_as.clone(), error(Term::atom("system_limit")));
        } else {
            queues.waiting += 1;
            let io = IoRequest {
                from: from.clone(),
                reply_as: reply_as.clone(),
                request: request.clone(),
                _work: self.unfinished.begin(),
            };
            match queues.of.get_mut(&from) {
                Some(queue) => queue.push_back(io),
                None => {
                    queues.of.insert(from.clone(), [io].into());
                    tokio::spawn(work(node.clone(), process.pid().clone(), from, self.queues.clone()));
                }
            }
        }
    }
}

/// Deals with the requests of a process until there are none.
async fn work(node: Arc<Inner>, leader: Pid, from: Pid, queues: Arc<Mutex<Queues>>) {
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
            reply = match Step::of(&node, &request) {
                Step::Done(reply) => reply,
                Step::Each(several) => {
                    several.into_iter().rev().for_each(|request| requests.push_front(request));
                    continue;
                }
                Step::Format(text) => text.print(&node, &io.from).await,
            };
            if !reply.is_atom("ok") {
                break;
            }
        }
        answer(&node, &leader, &io.from, io.reply_as, reply);
    }
}

fn answer(node: &Arc<Inner>, leader: &Pid, to: &Pid, reply_as: Term, reply: Term) {
    node.answer_at_once(leader, to, &Term::tuple([Term::atom("io_reply"), reply_as, reply]));
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
    fn of(node: &Inner, request: &Term) -> Self {
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
                Self::put_chars(node, encoding, rest)
            }
            // As before R13.
            ("put_chars", rest) => Self::put_chars(node, &Atom::from_static("latin1"), rest),
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

    fn put_chars(node: &Inner, name: &Atom, rest: &[Term]) -> Self {
        let Some(encoding) = Encoding::named(name) else { return Self::Done(error(Term::atom("request"))) };
        match rest {
            [characters] => match format::chardata(characters, encoding) {
                Some(text) => {
                    node.print(&text);
                    Self::Done(Term::atom("ok"))
                }
                None => {
                    let request = [Term::atom("put_chars"), name.clone().into(), characters.clone()];
                    Self::Done(error(Term::tuple(request)))
                }
            },
            [Term::Atom(module), Term::Atom(function), Term::List(arguments)] => {
                match format::characters(module, function, arguments) {
                    Some(text) => {
                        node.print(&text);
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
    async fn print(self, node: &Arc<Inner>, from: &Pid) -> Term {
        let failed = error(self.function.clone().into());
        let Ok(peer) = NodeName::new(&from.node) else { return failed };
        let mfa = Mfa::with_terms(self.module, self.function, self.arguments);
        let call = node.apply_at(&peer, &mfa);
        match timeout(FORMATTING, call).await {
            Ok(Ok(characters)) => match format::chardata(&characters, self.encoding) {
                Some(text) => {
                    node.print(&text);
                    Term::atom("ok")
                }
                None => failed,
            },
            Ok(Err(CallError::Exception(_))) => failed,
            // The sender has gone.
            Ok(Err(_)) | Err(_) => error(Term::atom("terminated")),
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
