//! Large messages that are under way, and what waits behind them.

use std::collections::VecDeque;

use peerl_term::Pid;

use crate::channel::{Fragment, Fragments};

/// Whose messages must arrive in the order in which they were sent: those of a process, or those of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender(u64);

impl Sender {
    /// A call of the node itself. All calls are made in the name of one pid, but their order does not matter, and the small ones
    /// do not wait for the large ones.
    pub fn call(number: u64) -> Self {
        // No pid has this bit: its serial would be of 32 bits.
        Sender(number | 1 << 63)
    }
}

impl From<&Pid> for Sender {
    fn from(pid: &Pid) -> Self {
        Sender(u64::from(pid.serial) << 32 | u64::from(pid.id))
    }
}

/// One lane for each sender with a large message under way, served in turn.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: VecDeque<Lane>,
    bytes: usize,
}

/// What one sender has sent since its large message that is still under way.
#[derive(Debug)]
struct Lane {
    sender: Sender,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
pub(super) enum Waiting {
    Large(Fragments),
    Frame(Vec<u8>),
}

impl Waiting {
    fn bytes(&self) -> usize {
        match self {
            Waiting::Large(fragments) => fragments.remaining_bytes(),
            Waiting::Frame(frame) => frame.len(),
        }
    }
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes the largest message has that is under way.
    pub(super) fn largest(&self) -> usize {
        let largest = self.lanes.iter().filter_map(|lane| match lane.waiting.front() {
            Some(Waiting::Large(fragments)) => Some(fragments.remaining_bytes()),
            _ => None,
        });
        largest.max().unwrap_or(0)
    }

    #[inline]
    pub(super) fn has(&self, sender: Sender) -> bool {
        self.lanes.iter().any(|lane| lane.sender == sender)
    }

    /// Puts a message into the lane of its sender.
    pub(super) fn add(&mut self, sender: Sender, waiting: Waiting) {
        self.bytes += waiting.bytes();
        match self.lanes.iter_mut().find(|lane| lane.sender == sender) {
            Some(lane) => lane.waiting.push_back(waiting),
            None => self.lanes.push_back(Lane { sender, waiting: [waiting].into() }),
        }
    }

    /// The fragments of one write: of each lane in turn, up to the end of a message, since what its lane has waiting
    /// behind it belongs into the next write. Whole frames that have waited in a lane go into `buffer`.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>, fragments: &mut Vec<Fragment>) {
        // 1 MiB: about as much as lies ahead of a small message on a BEAM's connection, too (`+zdbbl`).
        const AT_A_TIME: usize = 4;
        while fragments.len() < AT_A_TIME
            && let Some((fragment, ends)) = self.next_fragment(buffer)
        {
            fragments.push(fragment);
            if ends {
                break;
            }
        }
    }

    /// The next fragment of the lane whose turn it is, and whether it is the last of its message.
    fn next_fragment(&mut self, buffer: &mut Vec<u8>) -> Option<(Fragment, bool)> {
        while let Some(mut lane) = self.lanes.pop_front() {
            while let Some(waiting) = lane.waiting.front_mut() {
                match waiting {
                    Waiting::Large(fragments) => {
                        let before = fragments.remaining_bytes();
                        let fragment = fragments.next();
                        self.bytes -= before - fragments.remaining_bytes();
                        if let Some(fragment) = fragment {
                            let ends = fragments.len() == 0;
                            self.lanes.push_back(lane);
                            return Some((fragment, ends));
                        }
                    }
                    Waiting::Frame(frame) => {
                        self.bytes -= frame.len();
                        buffer.append(frame);
                    }
                }
                lane.waiting.pop_front();
            }
        }
        None
    }
}
