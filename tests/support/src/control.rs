//! The line to the control loop (`control.erl`) inside a BEAM.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The Erlang expression that starts the control loop in a node.
pub(crate) const LOOP: &str = include_str!("control.erl");

/// The reason why an evaluation in a BEAM has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The expression raised an exception, or could not be parsed (`exit` with reason `{syntax, _}`).
    #[error("exception {class}: {reason}")]
    Exception {
        /// `error`, `exit` or `throw`.
        class: String,
        /// The reason as an Erlang term.
        reason: String,
    },
    /// There was no answer in time; the evaluation may still go on.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The node has ended.
    #[error("the node has ended")]
    Ended,
}

/// The operation on a source text.
#[derive(Clone, Copy)]
pub(crate) enum Request {
    /// Evaluate an Erlang expression; the value as text.
    Text = b't' as isize,
    /// Evaluate an Erlang expression; the value in external term format.
    External = b'b' as isize,
    /// Evaluate an Elixir expression; the value as text.
    Elixir = b'x' as isize,
    /// Compile and load a module; its name.
    Module = b'm' as isize,
}

pub(crate) struct Control {
    pipe: Mutex<ChildStdin>,
    pending: Arc<Mutex<Pending>>,
    next: AtomicU64,
}

type Answer = Result<Vec<u8>, EvalError>;

/// The callers of pending requests; `None` when the node has ended.
type Pending = Option<HashMap<u64, SyncSender<Answer>>>;

impl Control {
    /// Connects to a node that was just started; the answer to be received is the loop's greeting.
    pub(crate) fn new(pipe: ChildStdin, stream: ChildStdout) -> (Self, Receiver<Answer>) {
        let (sender, greeting) = sync_channel(1);
        let pending = Arc::new(Mutex::new(Some(HashMap::from([(0, sender)]))));
        let answers = pending.clone();
        std::thread::spawn(move || {
            read_answers(stream, &answers);
            lock(&answers).take();
        });
        (Self { pipe: Mutex::new(pipe), pending, next: AtomicU64::new(1) }, greeting)
    }

    /// Sends a request and waits for the answer. The bindings are names of variables with values in external term
    /// format.
    pub(crate) fn request(
        &self,
        request: Request,
        source: &str,
        bindings: &[(&str, &[u8])],
        limit: Duration,
    ) -> Result<Vec<u8>, EvalError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = sync_channel(1);
        lock(&self.pending).as_mut().ok_or(EvalError::Ended)?.insert(id, sender);

        let mut frame = vec![0; 4];
        frame.extend_from_slice(&id.to_be_bytes());
        frame.push(request as u8);
        put_with_length(&mut frame, source.as_bytes());
        for (name, value) in bindings {
            frame.push(u8::try_from(name.len()).expect("a short name"));
            frame.extend_from_slice(name.as_bytes());
            put_with_length(&mut frame, value);
        }
        let length = u32::try_from(frame.len() - 4).expect("less than 4 GiB");
        frame[..4].copy_from_slice(&length.to_be_bytes());

        if self.pipe.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame).is_err() {
            return Err(EvalError::Ended);
        }
        await_answer(&answer, limit)
    }
}

/// Waits for an answer.
pub(crate) fn await_answer(answer: &Receiver<Answer>, limit: Duration) -> Answer {
    answer.recv_timeout(limit).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => Err(EvalError::TimedOut(limit)),
        RecvTimeoutError::Disconnected => Err(EvalError::Ended),
    })
}

fn put_with_length(frame: &mut Vec<u8>, bytes: &[u8]) {
    frame.extend_from_slice(&u32::try_from(bytes.len()).expect("less than 4 GiB").to_be_bytes());
    frame.extend_from_slice(bytes);
}

fn read_answers(mut stream: ChildStdout, pending: &Mutex<Pending>) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        if stream.read_exact(&mut frame).is_err() {
            return;
        }
        let Some((head, body)) = frame.split_at_checked(9) else {
            return;
        };
        let id = u64::from_be_bytes(head[..8].try_into().expect("8 bytes"));
        let answer = match head[8] {
            b'o' => Ok(body.to_vec()),
            _ => {
                let text = String::from_utf8_lossy(body);
                let (class, reason) = text.split_once('\n').unwrap_or(("error", &text));
                Err(EvalError::Exception { class: class.to_owned(), reason: reason.to_owned() })
            }
        };
        // A late answer is dropped.
        if let Some(sender) = lock(pending).as_mut().and_then(|pending| pending.remove(&id)) {
            let _ = sender.send(answer);
        }
    }
}

fn lock(pending: &Mutex<Pending>) -> std::sync::MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
