//! The signals that end a command that would otherwise go on.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal as unix_signal};

use crate::failure::Failure;

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM: what service managers send.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

/// Waits for a signal to end. From the moment of this call on, none of them ends the process by itself.
///
/// # Errors
/// If the operating system refuses.
pub fn signal() -> Result<impl Future<Output = Signal> + Send, Failure> {
    let listen = |kind| unix_signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
            _ = hang_up.recv() => Signal::HangUp,
        }
    })
}
