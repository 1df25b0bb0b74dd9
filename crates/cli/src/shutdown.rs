//! Signals that end a long-running command, and the forced end of a command that does not react.
//!
//! A dedicated thread waits for signals, so the process ends even if the threads of the runtime are blocked.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, thread};

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::failure::{Failure, Status};

/// The signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM, as sent by service managers.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
}

/// The exit code of a command that a signal ends, like in shells.
impl From<Signal> for Status {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::HangUp => Self::HungUp,
            Signal::Interrupt => Self::Interrupted,
            Signal::Terminate => Self::Terminated,
        }
    }
}

/// How long a command may take to end after a signal, unless it has to answer pending calls.
pub const LIMIT: Duration = Duration::from_millis(900);

/// Waits for the next termination signal. From this call on, none ends the process by itself; but if the process
/// still runs `limit` after the first, or [`LIMIT`] after the second, it exits with the signal's status.
///
/// # Errors
/// If the operating system refuses.
pub fn signal(limit: Duration) -> Result<impl Future<Output = Signal> + Send + use<>, Failure> {
    GIVEN.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    let mut received = RECEIVED.get_or_init(listen).as_ref().map_err(Clone::clone)?.subscribe();
    Ok(async move {
        match received.changed().await {
            Ok(()) => *received.borrow(),
            // The sender is static, so this does not happen.
            Err(_) => std::future::pending().await,
        }
    })
}

/// The latest signal.
static RECEIVED: OnceLock<Result<watch::Sender<Signal>, Failure>> = OnceLock::new();

/// How many milliseconds the process may run after the first signal.
static GIVEN: AtomicU64 = AtomicU64::new(0);

fn listen() -> Result<watch::Sender<Signal>, Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot listen for signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let within = runtime.enter();
    let mut signals = Signals::new().map_err(failed)?;
    drop(within);
    let received = watch::Sender::new(Signal::Terminate);
    let sender = received.clone();
    let wait = move || {
        let signal = runtime.block_on(async {
            let signal = signals.next().await;
            sender.send_replace(signal);
            let given = Duration::from_millis(GIVEN.load(Ordering::Relaxed));
            let begun = Instant::now();
            tokio::select! {
                () = running_for(given) => signal,
                again = signals.next() => {
                    sender.send_replace(again);
                    running_for(LIMIT.min(given.saturating_sub(begun.elapsed()))).await;
                    again
                }
            }
        });
        std::process::exit(Status::from(signal) as i32);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(received)
}

/// Waits until the process has run for so long. While it stands still, because it is stopped or the machine is busy, it cannot
/// end by itself either: that counts as one step, however long it takes.
async fn running_for(limit: Duration) {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = limit;
    while !left.is_zero() {
        let step = STEP.min(left);
        tokio::time::sleep(step).await;
        left -= step;
    }
}

struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hang_up.recv() => Signal::HangUp,
        }
    }
}
