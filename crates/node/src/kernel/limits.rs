use peerl_proto::channel::ChannelLimits;
use peerl_proto::connection::SendHalf;

/// What a node accepts from a peer. A peer knows the cookie, but may be faulty or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The limits of messages. A message beyond them fails alone: its caller gets `system_limit`, an exit reason is replaced,
    /// any other message is dropped.
    pub channel: ChannelLimits,
    /// The most calls of peers that run at a time; more are refused with `system_limit`. A peer may have as many of them as it
    /// leaves for the others: one that wants all gets half, two get a third each.
    pub calls: usize,
    /// The most bytes that may wait to be written to a peer that does not read. A single message may be larger, and so may the
    /// large answers for a peer that reads.
    pub queued: usize,
}

impl Limits {
    /// So many bytes that wait to be written to a peer make the senders of further messages wait.
    pub const BUSY: usize = SendHalf::BUSY;
}

impl Default for Limits {
    fn default() -> Self {
        Self { channel: ChannelLimits::default(), calls: 1 << 18, queued: 256 << 20 }
    }
}
