//! When to send ticks, and when a silent peer is dead.

use std::time::{Duration, Instant};

/// The tick state of one connection. It has no clock: its methods take the time.
///
/// A node that has written nothing for a quarter of the tick time sends a tick; a node that has read nothing for all
/// of it considers the peer dead. The handshake does not tell the peer's tick time, and a peer with a shorter one
/// would close the connection. So a node that has read messages or a tick, and written nothing for
/// [`ANSWER_GAP`](Self::ANSWER_GAP), sends a tick too.
///
/// Erlang docs: *kernel*, configuration parameters `net_ticktime` and `net_tickintensity`.
#[derive(Clone, Debug)]
pub struct TickTimer {
    tick_time: Duration,
    interval: Duration,
    /// The shortest time between a write and a tick.
    gap: Duration,
    last_read: Instant,
    last_write: Instant,
    written: Traffic,
    /// Something was read since the last write and needs an answer.
    answer_due: bool,
}

/// The kind of bytes read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Only ticks.
    Tick,
    /// Messages, or parts of them.
    Message,
}

/// What a [`TickTimer`] requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TickAction {
    /// Nothing, until [`TickTimer::deadline`].
    Wait,
    /// Write a tick, then call [`TickTimer::wrote`].
    SendTick,
    /// The peer is dead: close the connection (`net_tick_timeout`).
    PeerDead,
}

impl TickTimer {
    /// OTP's `net_ticktime`: 60 seconds.
    pub const DEFAULT_TICK_TIME: Duration = Duration::from_secs(60);

    /// OTP's `net_tickintensity`: four ticks in the tick time.
    pub const DEFAULT_INTENSITY: u32 = 4;

    /// A read is answered by a tick at this time after the last write. OTP's shortest tick time is 4 seconds; a node
    /// with it checks once a second.
    pub const ANSWER_GAP: Duration = Duration::from_secs(1);

    /// Starts the timer of a connection that has just come up. `intensity` is at least 1.
    pub fn new(now: Instant, tick_time: Duration, intensity: u32) -> Self {
        let interval = tick_time / intensity.max(1);
        TickTimer {
            tick_time,
            interval,
            gap: Self::ANSWER_GAP.min(interval),
            last_read: now,
            last_write: now,
            written: Traffic::Message,
            answer_due: false,
        }
    }

    /// Reports a read. An answer may be due at once: call [`poll`](Self::poll) afterwards.
    pub fn read(&mut self, now: Instant, read: Traffic) {
        self.last_read = now;
        // A tick soon after one of ours may be its answer. Answering answers would never end.
        let is_answer = read == Traffic::Tick && self.written == Traffic::Tick && now < self.last_write + self.gap;
        self.answer_due |= !is_answer;
    }

    /// Reports a write.
    pub fn wrote(&mut self, now: Instant, written: Traffic) {
        self.last_write = now;
        self.written = written;
        self.answer_due = false;
    }

    /// What to do now.
    pub fn poll(&self, now: Instant) -> TickAction {
        if now >= self.last_read + self.tick_time {
            TickAction::PeerDead
        } else if now >= self.tick_due() {
            TickAction::SendTick
        } else {
            TickAction::Wait
        }
    }

    /// When the peer is dead if nothing is read until then. For a connection that is busy writing, and so sends no
    /// ticks.
    pub fn silence(&self) -> Instant {
        self.last_read + self.tick_time
    }

    /// When to call [`poll`](Self::poll) next, if nothing is read or written until then.
    pub fn deadline(&self) -> Instant {
        (self.last_read + self.tick_time).min(self.tick_due())
    }

    /// When to call [`poll`](Self::poll) after a write at the latest, whatever is read in the meantime. Reads after
    /// this instant are due for an answer at once.
    pub fn answer_deadline(&self) -> Instant {
        self.last_write + self.gap
    }

    fn tick_due(&self) -> Instant {
        self.last_write + if self.answer_due { self.gap } else { self.interval }
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
        timer.wrote(start + secs(15), Traffic::Tick);
        assert_eq!(timer.poll(start + secs(15)), TickAction::Wait);
        assert_eq!(timer.deadline(), start + secs(30));
    }

    #[test]
    fn a_silent_peer_is_dead() {
        let (start, mut timer) = timer();
        timer.read(start + secs(10), Traffic::Message);
        timer.wrote(start + secs(69), Traffic::Message);
        assert_eq!(timer.poll(start + secs(69)), TickAction::Wait);
        assert_eq!(timer.deadline(), start + secs(70));
        assert_eq!(timer.poll(start + secs(70)), TickAction::PeerDead);
    }

    #[test]
    fn an_idle_node_answers_ticks_but_not_the_answers() {
        let (start, mut a) = timer();
        let mut b = a.clone();
        a.wrote(start + secs(2), Traffic::Tick);
        b.read(start + secs(2), Traffic::Tick);
        assert_eq!(b.poll(start + secs(2)), TickAction::SendTick);
        assert!(b.deadline() <= start + secs(2));
        b.wrote(start + secs(2), Traffic::Tick);
        a.read(start + secs(2), Traffic::Tick);
        assert_eq!(a.poll(start + secs(3)), TickAction::Wait);
        assert_eq!(a.deadline(), start + secs(17));
    }

    #[test]
    fn what_is_read_is_answered_a_second_after_the_last_write() {
        let half = Duration::from_millis(500);
        for read in [Traffic::Message, Traffic::Tick] {
            let (start, mut timer) = timer();
            timer.wrote(start + secs(2), Traffic::Message);
            assert_eq!(timer.answer_deadline(), start + secs(3));
            timer.read(start + secs(2) + half, read);
            assert_eq!(timer.poll(start + secs(2) + half), TickAction::Wait);
            assert_eq!(timer.deadline(), start + secs(3));
            assert_eq!(timer.poll(start + secs(3)), TickAction::SendTick);
            timer.wrote(start + secs(3), Traffic::Tick);
            timer.read(start + secs(7), read);
            assert_eq!(timer.poll(start + secs(7)), TickAction::SendTick);
        }
    }
}
