//! When to tick, and when a silent peer is dead.

use std::time::{Duration, Instant};

/// The tick state of one connection. It has no clock: every method is told the time.
///
/// A node that has written nothing for a quarter of the tick time writes a tick; a node that has read nothing for the
/// whole of it takes the peer for dead. Nodes with different tick times may meet, and the one with the shorter would
/// cut the other; so a tick that arrives while this side is idle is answered by a tick, which gives the peer bytes as
/// often as it gives us some.
///
/// Erlang docs: *kernel*, configuration parameters `net_ticktime` and `net_tickintensity`.
#[derive(Clone, Debug)]
pub struct TickTimer {
    tick_time: Duration,
    interval: Duration,
    last_read: Instant,
    last_write: Instant,
    echo: bool,
}

/// What a [`TickTimer`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TickAction {
    /// Nothing, until [`TickTimer::deadline`].
    Wait,
    /// Write a tick, then say [`TickTimer::wrote`].
    SendTick,
    /// The peer is dead: close the connection (`net_tick_timeout`).
    PeerDead,
}

impl TickTimer {
    /// OTP's `net_ticktime`: 60 seconds.
    pub const DEFAULT_TICK_TIME: Duration = Duration::from_secs(60);

    /// OTP's `net_tickintensity`: four ticks in the tick time.
    pub const DEFAULT_INTENSITY: u32 = 4;

    /// Two ticks that answer a peer's ticks are at least this far apart. Without a gap, two nodes that both answer
    /// ticks would play ping-pong.
    pub const ECHO_GAP: Duration = Duration::from_secs(1);

    /// Starts the timer of a connection that has just come up. `intensity` is at least 1.
    pub fn new(now: Instant, tick_time: Duration, intensity: u32) -> Self {
        let interval = tick_time / intensity.max(1);
        TickTimer { tick_time, interval, last_read: now, last_write: now, echo: false }
    }

    /// Bytes have arrived.
    pub fn read(&mut self, now: Instant) {
        self.last_read = now;
    }

    /// A tick has arrived. It may have to be answered: [`poll`](Self::poll) afterwards.
    pub fn read_tick(&mut self, now: Instant) {
        self.last_read = now;
        if now.saturating_duration_since(self.last_write) >= Self::ECHO_GAP.min(self.interval) {
            self.echo = true;
        }
    }

    /// Bytes have been written, or a tick.
    pub fn wrote(&mut self, now: Instant) {
        self.last_write = now;
        self.echo = false;
    }

    /// What is to be done now.
    pub fn poll(&self, now: Instant) -> TickAction {
        if now >= self.last_read + self.tick_time {
            TickAction::PeerDead
        } else if self.echo || now >= self.last_write + self.interval {
            TickAction::SendTick
        } else {
            TickAction::Wait
        }
    }

    /// When the peer is dead, if nothing is read until then. For whoever is busy writing, and has no ticks to send.
    pub fn silence(&self) -> Instant {
        self.last_read + self.tick_time
    }

    /// When to [`poll`](Self::poll) next, if nothing is read or written until then.
    pub fn deadline(&self) -> Instant {
        if self.echo {
            return self.last_read;
        }
        (self.last_read + self.tick_time).min(self.last_write + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn timer() -> (Instant, TickTimer) {
        let start = Instant::now();
        (start, TickTimer::new(start, TickTimer::DEFAULT_TICK_TIME, TickTimer::DEFAULT_INTENSITY))
    }

    #[test]
    fn ticks_when_nothing_is_written() {
        let (start, mut timer) = timer();
        assert_eq!(timer.deadline(), start + secs(15));
        assert_eq!(timer.poll(start + secs(14)), TickAction::Wait);
        assert_eq!(timer.poll(start + secs(15)), TickAction::SendTick);
        timer.wrote(start + secs(15));
        assert_eq!(timer.poll(start + secs(15)), TickAction::Wait);
        assert_eq!(timer.deadline(), start + secs(30));
    }

    #[test]
    fn a_silent_peer_is_dead() {
        let (start, mut timer) = timer();
        timer.read(start + secs(10));
        timer.wrote(start + secs(69));
        assert_eq!(timer.poll(start + secs(69)), TickAction::Wait);
        assert_eq!(timer.deadline(), start + secs(70));
        assert_eq!(timer.poll(start + secs(70)), TickAction::PeerDead);
    }

    #[test]
    fn an_idle_node_answers_ticks_but_not_the_answers() {
        let (start, mut a) = timer();
        let mut b = a.clone();
        a.wrote(start + secs(2));
        b.read_tick(start + secs(2));
        assert_eq!(b.poll(start + secs(2)), TickAction::SendTick);
        assert!(b.deadline() <= start + secs(2));
        b.wrote(start + secs(2));
        a.read_tick(start + secs(2));
        assert_eq!(a.poll(start + secs(2)), TickAction::Wait);
    }
}
