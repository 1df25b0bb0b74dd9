//! Large messages being sent, and the messages queued behind them.

use std::collections::VecDeque;

use peerl_term::Pid;

use crate::channel::{Fragment, Fragments};

/// A stream of messages that must stay in order: those of a process, or those of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender(u64);

impl Sender {
    /// A call of the node itself. All calls are made in the name of one pid, but need no order among each other, so
    /// small ones do not wait for large ones.
    pub fn call(number: u64) -> Self {
        // No pid has this bit: it would need a serial of 32 bits.
        Sender(number | 1 << 63)
    }
}

impl From<&Pid> for Sender {
    fn from(pid: &Pid) -> Self {
        Sender(u64::from(pid.serial) << 32 | u64::from(pid.id))
    }
}

/// A lane for each sender of a large message, served round-robin.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: VecDeque<Lane>,
    bytes: usize,
    /// Those of the frames.
    frame_bytes: usize,
}

/// The messages of one sender, from its unfinished large message on.
#[derive(Debug)]
struct Lane {
    sender: Sender,
    queue: VecDeque<Queued>,
}

#[derive(Debug)]
pub(super) enum Queued {
    Large(Fragments),
    Frame(Vec<u8>),
}

impl Queued {
    fn bytes(&self) -> usize {
        match self {
            Queued::Large(fragments) => fragments.remaining_bytes(),
            Queued::Frame(frame) => frame.len(),
        }
    }
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many bytes are queued.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes are in frames that are queued behind large messages.
    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// The bytes left of the largest unfinished message.
    pub(super) fn largest(&self) -> usize {
        let largest = self.lanes.iter().filter_map(|lane| match lane.queue.front() {
            Some(Queued::Large(fragments)) => Some(fragments.remaining_bytes()),
            _ => None,
        });
        largest.max().unwrap_or(0)
    }

    #[inline]
    pub(super) fn has(&self, sender: Sender) -> bool {
        self.lanes.iter().any(|lane| lane.sender == sender)
    }

    /// Appends a message to its sender's lane.
    pub(super) fn add(&mut self, sender: Sender, queue: Queued) {
        self.bytes += queue.bytes();
        if let Queued::Frame(frame) = &queue {
            self.frame_bytes += frame.len();
        }
        match self.lanes.iter_mut().find(|lane| lane.sender == sender) {
            Some(lane) => lane.queue.push_back(queue),
            None => self.lanes.push_back(Lane { sender, queue: [queue].into() }),
        }
    }

    /// Takes the fragments of one write, from each lane in turn, up to the end of a message: what is queued behind it
    /// belongs to the next write. Frames queued in a lane go into `buffer`.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>, fragments: &mut Vec<Fragment>) {
        // 1 MiB: about as much as a BEAM queues ahead of a small message (`+zdbbl`).
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

    /// The next fragment of the lane in turn, and whether it is the last of its message.
    fn next_fragment(&mut self, buffer: &mut Vec<u8>) -> Option<(Fragment, bool)> {
        while let Some(mut lane) = self.lanes.pop_front() {
            while let Some(queue) = lane.queue.front_mut() {
                match queue {
                    Queued::Large(fragments) => {
                        let before = fragments.remaining_bytes();
                        let fragment = fragments.next();
                        self.bytes -= before - fragments.remaining_bytes();
                        if let Some(fragment) = fragment {
                            let ends = fragments.len() == 0;
                            self.lanes.push_back(lane);
                            return Some((fragment, ends));
                        }
                    }
                    Queued::Frame(frame) => {
                        self.bytes -= frame.len();
                        self.frame_bytes -= frame.len();
                        buffer.append(frame);
                    }
                }
                lane.queue.pop_front();
            }
        }
        None
    }
}
